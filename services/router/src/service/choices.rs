//! The versions that a request may name, kept in step with the registry.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::Core;
use rollout::{Arm, Share};

use crate::named::Choices;

/// The registry is read at most this often, and only after a commit: a version may be named this long after it was registered.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Follows the registry until the process stops.
pub(super) async fn follow(core: Core, choices: Choices) {
    let mut commits = core.bus.commits();
    commits.mark_changed();
    loop {
        tokio::select! {
            changed = commits.changed() => if changed.is_err() { return },
            () = core.stop.cancelled() => return,
        }
        commits.borrow_and_update();
        match read(&core).await {
            Ok(registered) => choices.replace(registered),
            Err(error) => tracing::warn!("can't read which versions may be named; the last list stays: {error}"),
        }
        tokio::select! {
            () = tokio::time::sleep(READ_AGAIN) => {}
            () = core.stop.cancelled() => return,
        }
    }
}

async fn read(core: &Core) -> Result<BTreeMap<String, Vec<Arm>>, store::Error> {
    let mut choices: BTreeMap<String, Vec<Arm>> = BTreeMap::new();
    for row in core.store.page().await?.rows().choices().await? {
        let arm = Arm { version: row.version, basis_points: Share::ZERO, upstream: row.upstream, headers: row.headers };
        choices.entry(proto::subject::key(&row.tenant, &row.name)).or_default().push(arm);
    }
    Ok(choices)
}
