//! Parking: a message that can never work is kept with its reason, and everything else goes on.

use std::collections::BTreeMap;

use rollout::At;
use store::{Mark, Parked, Settled};

use crate::bus::Received;
use crate::bus::received::is_from_outside;
use crate::core::Core;
use crate::failpoint;
use crate::handler::Failure;

/// A message as it came, and what is wrong with it.
pub(crate) struct Hopeless<'a> {
    pub(crate) service: &'static str,
    pub(crate) source: &'a str,
    pub(crate) id: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) error: String,
    pub(crate) tries: i64,
}

/// Keeps the message and marks it as settled, in one transaction.
pub(crate) async fn park(core: &Core, received: &Received, hopeless: &Hopeless<'_>) -> Result<(), Failure> {
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    tx.park(&row(received, hopeless, now)).await?;
    tx.mark(&[Mark {
        service: hopeless.service,
        source: hopeless.source.to_owned(),
        message_id: hopeless.id.to_owned(),
        settled: Settled::Parked,
        reason: Some(hopeless.reason.to_owned()),
        rollout_id: None,
        handled_at: now,
    }])
    .await?;
    tx.trust(hopeless.service, hopeless.source, hopeless.id).await?;
    failpoint::reach("park_before_commit").await?;
    tx.commit().await?;
    failpoint::reach("park_after_commit").await?;
    core.bus.announce(&[]);
    core.metrics.settled(hopeless.service, Settled::Parked);
    tracing::error!(
        service = hopeless.service,
        fact.id = hopeless.id,
        subject = received.subject,
        "parked message {} from {}: {}: {}",
        hopeless.id.escape_default(),
        hopeless.source.escape_default(),
        hopeless.reason,
        hopeless.error.escape_default()
    );
    // Whoever is outside could stop the service otherwise.
    if !is_from_outside(&received.subject) && core.health.parked(hopeless.service, now) {
        tracing::error!(
            service = hopeless.service,
            "{} parked too many messages within a minute and takes no more until it is started again: that is a bad release, not so many bad messages",
            hopeless.service
        );
    }
    Ok(())
}

fn row(received: &Received, hopeless: &Hopeless<'_>, now: At) -> Parked {
    let headers = serde_json::from_str::<BTreeMap<String, String>>(&received.headers)
        .map_or_else(|_| "{}".to_owned(), |_| received.headers.clone());
    Parked {
        id: format!("{}.{}", hopeless.service, received.place),
        service: hopeless.service.to_owned(),
        source: hopeless.source.to_owned(),
        message_id: hopeless.id.to_owned(),
        subject: received.subject.clone(),
        reason: hopeless.reason.to_owned(),
        error: hopeless.error.clone(),
        headers,
        body: received.body.to_vec(),
        tries: hopeless.tries,
        first_seen_at: received.said_at,
        parked_at: now,
        replayed_at: None,
        replayed_by: None,
    }
}
