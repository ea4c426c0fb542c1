//! Reads the database of a stopped tidegate and says what the invariants of RELIABILITY section 6.1 have against it. It trusts
//! no counter of a service. What users and routers saw meanwhile is in [`crate::witness`].

mod log;
mod stream;

use std::path::Path;

use rollout::{At, Rollout, Tenant};
use store::{Reader, Store};

/// Everything that is wrong; empty when nothing is.
pub(crate) async fn violations(folder: &Path) -> Vec<String> {
    let store = Store::open(folder).await.unwrap();
    let mut reader = store.reader().await.unwrap();
    let mut wrong = Vec::new();
    let rollouts = rollouts(&mut reader).await;
    for row in &rollouts {
        let log = reader.rows().history(&row.id, 0, 100_000).await.unwrap();
        wrong.extend(log::of_rollout(row, &log));
        if !row.stage.is_final() {
            wrong.push(format!("{} is still {}", row.id, row.stage));
        }
        if let Some(version) = reader.rows().broken_link(&row.id).await.unwrap() {
            wrong.push(format!("{} version {version}: its hash does not follow from the entry before", row.id));
        }
    }
    wrong.extend(stream::violations(&mut reader, &rollouts).await);
    wrong.extend(of_routes(&mut reader).await);
    for parked in reader.rows().parked((At(i64::MAX), ""), 100).await.unwrap() {
        wrong.push(format!("parked {} by {}: {}: {}", parked.message_id, parked.service, parked.reason, parked.error));
    }
    drop(reader);
    store.close().await;
    wrong
}

/// Every rollout of a stopped tidegate, oldest first, with the moves of its log: from, to, step, kind of the fact.
pub(crate) async fn stories(folder: &Path) -> Vec<(Rollout, Vec<String>)> {
    let store = Store::open(folder).await.unwrap();
    let mut reader = store.reader().await.unwrap();
    let mut stories = Vec::new();
    for row in rollouts(&mut reader).await.into_iter().rev() {
        let log = reader.rows().history(&row.id, 0, 100_000).await.unwrap();
        stories.push((row, log::story(&log)));
    }
    drop(reader);
    store.close().await;
    stories
}

async fn rollouts(reader: &mut Reader) -> Vec<Rollout> {
    reader.rows().rollouts(&Tenant::default(), (At(i64::MAX), ""), 10_000).await.unwrap()
}

/// I11, and I13 of what was wished: when nothing is live, one version has everything, and it is registered.
async fn of_routes(reader: &mut Reader) -> Vec<String> {
    let mut wrong = Vec::new();
    for route in reader.rows().routes().await.unwrap() {
        if let Err(what) = route.check() {
            wrong.push(format!("route of {}: {what}", route.model));
        }
        if route.arms.len() != 1 {
            wrong.push(format!("route of {} still has {} arms", route.model, route.arms.len()));
        }
        for arm in &route.arms {
            if reader.rows().version(&route.tenant, &route.model, &arm.version).await.unwrap().is_none() {
                wrong.push(format!("route of {} names {}, which nobody registered", route.model, arm.version));
            }
        }
    }
    wrong
}
