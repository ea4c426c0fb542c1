//! `tidegate promote`.

use proto::http::NewPromotion;

use super::policy_of;
use crate::arguments::{PromoteArguments, Which};
use crate::client::Client;
use crate::exit::Exit;
use crate::follow::appears;
use crate::screen::Screen;
use crate::watch;

pub(crate) async fn run(client: &Client, screen: Screen, arguments: PromoteArguments) -> anyhow::Result<Exit> {
    let PromoteArguments { model, version, policy, reason, when_live, wait, timeout } = arguments;
    let new = NewPromotion {
        target_stage: Some("canary".to_owned()),
        policy: policy.as_deref().map(policy_of).transpose()?,
        when_live,
        requested_by: who(),
        reason,
    };
    let id = client.promote(&model, &version, &new).await?;
    if wait {
        screen.line(format!("promoting {model} {version}: rollout {id}"))?;
        let which = Which { which: id.as_str().parse()? };
        return watch::run(client, screen, &which, Some(timeout)).await;
    }
    // Whoever says `wait MODEL` next must find this rollout, not the one before.
    appears(client, id.as_str()).await?;
    screen.line(format!("promoting {model} {version}: rollout {id}\nnext: `tidegate watch {id}`"))?;
    Ok(Exit::Done)
}

/// Whoever is logged in, as a claim for the records.
pub(super) fn who() -> Option<String> {
    std::env::var("USER").ok().filter(|user| !user.trim().is_empty())
}
