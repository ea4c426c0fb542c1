//! `tidegate verify`: the log of every rollout against its chain of hashes, in the folder of a tidegate that is stopped.

use std::path::Path;

use anyhow::ensure;
use rollout::{At, Tenant};
use store::Store;

use crate::exit::Exit;
use crate::screen::{Screen, Tone};

/// Rollouts read at once.
const PAGE: i64 = 500;

pub(crate) async fn run(screen: Screen, data: &Path) -> anyhow::Result<Exit> {
    ensure!(data.join("tidegate.db").is_file(), "there is no tidegate in {}", data.display());
    let store = Store::open(data).await?;
    let mut reader = store.reader().await?;
    let (mut count, mut broken, mut before) = (0, 0, (At(i64::MAX), String::new()));
    loop {
        let page = reader.rows().rollouts(&Tenant::default(), (before.0, &before.1), PAGE).await?;
        let Some(last) = page.last() else { break };
        before = (last.created_at, last.id.to_string());
        for rollout in &page {
            count += 1;
            if let Some(version) = reader.rows().broken_link(&rollout.id).await? {
                broken += 1;
                let what =
                    format!("{}: entry {version} of its log was changed, or one before it is missing", rollout.id);
                screen.line(screen.paint(Tone::Bad, &what))?;
            }
        }
    }
    drop(reader);
    store.close().await;
    screen.line(format!("verified the logs of {count} rollouts, {broken} broken"))?;
    Ok(if broken == 0 { Exit::Done } else { Exit::Failed })
}
