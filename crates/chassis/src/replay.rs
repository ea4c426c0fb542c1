//! Parked messages at somebody's word (RELIABILITY section 1.5.7): handled again under the same id, or thrown away.
//!
//! The word is a row that the api writes. Who parked the message looks for it each 5 s, and at once when it was said in this
//! process; mark, effect, trace and word change in one transaction. Only a handler that consumes the message's subject takes it:
//! another task under the same name would settle it without a deed.

use std::sync::Arc;
use std::time::Duration;

use proto::Unreadable;
use rollout::At;
use store::{Class, Parked, ReplayRow, Tx, Unpark, UnparkedRow};

use crate::consume::{KILLS_US, chain, killed_us, opened, tried, trust};
use crate::core::Core;
use crate::failpoint;
use crate::handler::{Failure, Handler, Incoming};
use crate::step::{Ended, Taken};
use crate::wheel::Arm;

/// A word that was said in another process is seen within this.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Who asks when this release knows a type that an older one parked.
const BY_ITSELF: &str = "tidegate";

/// A parked message and what is asked for it.
#[derive(Debug, Clone)]
pub(crate) struct Unparking {
    pub(crate) parked: Parked,
    pub(crate) asked: ReplayRow,
}

impl Unparking {
    pub(crate) fn done(&self, outcome: &'static str, why: Option<String>, done_at: At) -> UnparkedRow {
        UnparkedRow { asked: self.asked.clone(), outcome, why, done_at }
    }

    fn read(&self) -> Result<Incoming, Unreadable> {
        let Parked { subject, headers, body, first_seen_at, .. } = &self.parked;
        opened(subject, headers, body, *first_seen_at)
    }
}

/// Does what is asked for until the process stops.
pub(crate) async fn unpark<H: Handler>(core: Core, handler: Arc<H>, arm: Arm) {
    let mut words = core.words.subscribe();
    let mut is_known_tried = false;
    loop {
        words.borrow_and_update();
        let looked = async {
            if !is_known_tried {
                all(&core, &*handler, &arm, known_now::<H>(&core).await?).await;
                is_known_tried = true;
            }
            all(&core, &*handler, &arm, asked::<H>(&core).await?).await;
            Ok::<_, store::Error>(())
        };
        if let Err(error) = looked.await {
            tracing::warn!(service = H::NAME, "can't look for replays, trying again in {LOOK_AGAIN:?}: {error:#}");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            _ = words.changed() => {}
            () = core.stop.cancelled() => return,
        }
    }
}

fn is_ours<H: Handler>(parked: &Parked) -> bool {
    let mut filters = H::CONSUMERS.iter().flat_map(|consumer| consumer.filters);
    filters.any(|filter| proto::subject::fits(filter, &parked.subject))
}

async fn asked<H: Handler>(core: &Core) -> Result<Vec<Unparking>, store::Error> {
    let rows = core.store.reader().await?.rows().replays(H::NAME).await?;
    Ok(rows
        .into_iter()
        .map(|(asked, parked)| Unparking { parked, asked })
        .filter(|unparking| is_ours::<H>(&unparking.parked))
        .collect())
}

/// What an older release parked because it did not know the type, and this one can read.
async fn known_now<H: Handler>(core: &Core) -> Result<Vec<Unparking>, store::Error> {
    let rows = core.store.reader().await?.rows().parked_as_unknown(H::NAME).await?;
    let asked_at = core.clock.now();
    let by_itself = |parked: Parked| {
        let asked = ReplayRow {
            parked_id: parked.id.clone(),
            action: Unpark::Replay,
            actor: BY_ITSELF.to_owned(),
            reason: Some("this release knows its type".to_owned()),
            asked_at,
        };
        Unparking { parked, asked }
    };
    Ok(rows.into_iter().filter(is_ours::<H>).map(by_itself).filter(|unparking| unparking.read().is_ok()).collect())
}

async fn all<H: Handler>(core: &Core, handler: &H, arm: &Arm, unparkings: Vec<Unparking>) {
    for unparking in unparkings {
        let _ = failpoint::reach("replay_before_handling").await;
        let done = match unparking.asked.action {
            Unpark::Drop => dropped(core, &unparking).await.map_err(Failure::from),
            Unpark::Replay => again(core, handler, &unparking, arm).await,
        };
        if let Err(failure) = done {
            let id = &unparking.parked.id;
            tracing::warn!(
                service = H::NAME,
                parked.id = id,
                "what is asked for {id} has to wait: {}",
                chain(&failure)
            );
        }
    }
}

/// Throws the message away; its mark stays, so that it does not come again, and its trace says what it was.
async fn dropped(core: &Core, unparking: &Unparking) -> Result<(), store::Error> {
    let mut tx = core.store.begin().await?;
    if tx.drop_parked(&unparking.parked.id).await? {
        tx.unparked(&unparking.parked, &unparking.done("dropped", None, core.clock.now())).await?;
        commit(tx).await?;
        told(core, unparking, "dropped");
    }
    Ok(())
}

async fn again<H: Handler>(core: &Core, handler: &H, unparking: &Unparking, arm: &Arm) -> Result<(), Failure> {
    let incoming = match unparking.read() {
        Ok(incoming) => incoming,
        Err(unreadable) => return Ok(parked_again(core, unparking, unreadable.reason(), unreadable.to_string()).await?),
    };
    // The word outlives a death, so a message that kills us must not do so at every start.
    if let Some(error) = killed_us(core, H::NAME, &incoming).await? {
        return Ok(parked_again(core, unparking, KILLS_US, error).await?);
    }
    let ended = tried(core, handler, &incoming, arm, Taken::Unparked(unparking)).await;
    failpoint::reach("replay_after_handling").await?;
    trust(core, H::NAME, &incoming).await?;
    match ended {
        Ok(Ended::Settled(settled)) => told(core, unparking, settled.name()),
        Ok(Ended::Before) => {
            let mut tx = core.store.begin().await?;
            let now = core.clock.now();
            if tx.unpark(&unparking.parked, &unparking.asked.actor, now).await? {
                let why = Some("it was handled before".to_owned());
                tx.unparked(&unparking.parked, &unparking.done("refused", why, now)).await?;
                commit(tx).await?;
                told(core, unparking, "refused");
            }
        }
        Err(failure) if failure.class() == Class::Never => {
            parked_again(core, unparking, failure.reason(), chain(&failure)).await?;
        }
        Err(failure) => return Err(failure),
    }
    Ok(())
}

/// It still can't work: it stays parked, with what is wrong with it now.
async fn parked_again(
    core: &Core,
    unparking: &Unparking,
    reason: &'static str,
    error: String,
) -> Result<(), store::Error> {
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    tx.park_again(&unparking.parked.id, reason, &error, now).await?;
    tx.unparked(&unparking.parked, &unparking.done("parked", Some(format!("{reason}: {error}")), now)).await?;
    commit(tx).await?;
    told(core, unparking, "parked again");
    Ok(())
}

async fn commit(tx: Tx) -> Result<(), store::Error> {
    let _ = failpoint::reach("replay_before_commit").await;
    tx.commit().await?;
    let _ = failpoint::reach("replay_after_commit").await;
    Ok(())
}

fn told(core: &Core, unparking: &Unparking, outcome: &str) {
    core.bus.announce(&[]);
    let Unparking { parked, asked } = unparking;
    tracing::warn!(
        service = parked.service,
        parked.id = parked.id,
        fact.id = parked.message_id,
        "{} of parked message {} ({}) by {}: {outcome}",
        asked.action.name(),
        parked.id,
        parked.message_id.escape_default(),
        asked.actor.escape_default()
    );
}
