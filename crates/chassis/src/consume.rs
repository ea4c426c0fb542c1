//! The consumer loop (RELIABILITY section 1.5): pull, door, suspicion, step, and what is done about each kind of failure.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use proto::envelope::Event;
use proto::{Message, Unreadable};
use rollout::At;
use store::Class;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::bus::Received;
use crate::consumers::Consumer;
use crate::core::Core;
use crate::failpoint;
use crate::handler::{Cause, Failure, Handler, Incoming};
use crate::metrics::ByService;
use crate::park::{Hopeless, park};
use crate::step::{Ended, Taken, step, step_together};
use crate::telemetry::cause_span;
use crate::wheel::Arm;

/// The wait after a failure, doubled each time up to the second figure.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A service that a statement or a permission stops for this long is broken: another release of it must start.
const BROKEN_LIMIT: Duration = Duration::from_secs(30);
/// A message that was in hand at this many deaths is parked: it kills us.
const DEATHS: i64 = 5;
/// The word that it is parked with.
pub(crate) const KILLS_US: &str = "kills_us";

/// Takes messages until the process stops; what is in hand then is finished.
pub(crate) async fn consume<H: Handler>(core: Core, handler: Arc<H>, consumer: &Consumer, arm: Arm) {
    let subscription = core.bus.subscribe(consumer);
    let slots = Arc::new(Semaphore::new(H::PARALLEL));
    let mut wait = BACK_OFF.0;
    while core.health.is_well(H::NAME) {
        let next = tokio::select! { next = subscription.next() => next, () = core.stop.cancelled() => return };
        let batch = match next {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(service = H::NAME, "can't read the stream, trying again in {wait:?}: {error:#}");
                tokio::select! { () = tokio::time::sleep(wait) => {}, () = core.stop.cancelled() => return }
                wait = (wait * 2).min(BACK_OFF.1);
                continue;
            }
        };
        wait = BACK_OFF.0;
        if is_taken_together(&core, &*handler, &batch, &arm).await {
            let _ = failpoint::reach("consumer_before_ack").await;
            batch.iter().for_each(|received| received.handle.settled());
            continue;
        }
        for received in batch {
            let slot = tokio::select! {
                biased;
                () = core.stop.cancelled() => return,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let Ok(slot) = slot else { return };
            if !core.health.is_well(H::NAME) {
                return;
            }
            let (core_of_one, handler, arm) = (core.clone(), Arc::clone(&handler), arm.clone());
            let one = async move {
                if take(&core_of_one, &*handler, &received, &arm).await {
                    received.handle.settled();
                }
            };
            if H::PARALLEL == 1 {
                one.await;
                drop(slot);
            } else {
                core.tasks.spawn(async move {
                    one.await;
                    drop(slot);
                });
            }
        }
    }
}

/// Settles all messages of a batch in one transaction, where nothing speaks against it; `false` when they have to be taken one
/// by one: some need the outside world, were perhaps in hand at a death, can't be read, or failed.
async fn is_taken_together<H: Handler>(core: &Core, handler: &H, batch: &[Received], arm: &Arm) -> bool {
    if H::PARALLEL > 1
        || failpoint::is_broken("mark_first")
        || batch.len() < 2
        || batch.iter().any(|received| received.handle.was_delivered_before())
    {
        return false;
    }
    let causes: Result<Vec<_>, _> =
        batch.iter().map(|received| door(received).map(|incoming| Cause::Message(Box::new(incoming)))).collect();
    let Ok(causes) = causes else { return false };
    settled_together(core, handler, &causes, arm).await
}

/// Several causes at once; `false` when nothing was written.
pub(crate) async fn settled_together<H: Handler>(core: &Core, handler: &H, causes: &[Cause], arm: &Arm) -> bool {
    let stepped = AssertUnwindSafe(step_together(core, handler, causes)).catch_unwind().await;
    match stepped {
        Ok(Ok(commits)) => {
            commits.iter().for_each(|commit| arm.all(&commit.wakes));
            true
        }
        Ok(Err(failure)) => {
            tracing::debug!(service = H::NAME, "taking {} causes one by one: {}", causes.len(), chain(&failure));
            false
        }
        Err(_) => false,
    }
}

/// Settles one message, however long the database or the outside world makes it wait; `false` when the process stopped first.
async fn take<H: Handler>(core: &Core, handler: &H, received: &Received, arm: &Arm) -> bool {
    let (incoming, source, id) = match door(received) {
        Ok(incoming) => (Ok(incoming.clone()), incoming.source, incoming.id),
        Err(unreadable) => (Err(unreadable), received.known_as.0.clone(), received.known_as.1.clone()),
    };
    let (mut wait, mut tries) = (BACK_OFF.0, 0);
    let began = Instant::now();
    loop {
        tries += 1;
        let hopeless = |reason, error| {
            let tries = if reason == KILLS_US { DEATHS } else { tries };
            Hopeless { service: H::NAME, source: &source, id: &id, reason, error, tries }
        };
        let settled = match &incoming {
            Err(unreadable) => park_once(core, received, &hopeless(unreadable.reason(), unreadable.to_string())).await,
            Ok(incoming) => match guarded(core, handler, incoming, received, arm).await {
                Err(failure) if failure.class() == Class::Never => {
                    park_once(core, received, &hopeless(failure.reason(), chain(&failure))).await
                }
                other => other,
            },
        };
        let Err(failure) = settled else { return true };
        core.metrics.retried.get_or_create(&ByService { service: H::NAME }).inc();
        tracing::warn!(service = H::NAME, fact.id = id, "message {id} has to wait {wait:?}: {}", chain(&failure));
        if failure.class() == Class::Code && began.elapsed() > BROKEN_LIMIT {
            core.give_up(H::NAME, &chain(&failure));
        }
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = core.stop.cancelled() => return false }
        wait = (wait * 2).min(BACK_OFF.1);
    }
}

async fn park_once(core: &Core, received: &Received, hopeless: &Hopeless<'_>) -> Result<(), Failure> {
    let before = core.store.reader().await?.rows().is_settled(hopeless.service, hopeless.source, hopeless.id).await?;
    if !before {
        park(core, received, hopeless).await?;
    }
    Ok(())
}

fn door(received: &Received) -> Result<Incoming, Unreadable> {
    opened(&received.subject, &received.body, received.said_at)
}

/// Decodes a message, cheapest check first.
pub(crate) fn opened(subject: &str, body: &[u8], said_at: At) -> Result<Incoming, Unreadable> {
    let event = Event::structured(body)?;
    let message = Message::read(subject, event.clone())?;
    Ok(Incoming::of(&event, message, said_at))
}

/// One try. A message that may have been in hand when we died is suspected meanwhile: only a death leaves the suspicion there.
async fn guarded<H: Handler>(
    core: &Core,
    handler: &H,
    incoming: &Incoming,
    received: &Received,
    arm: &Arm,
) -> Result<(), Failure> {
    if !received.handle.was_delivered_before() {
        return tried(core, handler, incoming, arm, Taken::Fresh).await.map(drop);
    }
    if !core.store.reader().await?.rows().is_settled(H::NAME, &incoming.source, &incoming.id).await?
        && let Some(error) = killed_us(core, H::NAME, incoming).await?
    {
        return Err(Failure::never(KILLS_US, error));
    }
    let ended = tried(core, handler, incoming, arm, Taken::Suspected).await.map(drop);
    if ended.as_ref().is_err_and(|failure| failure.class() != Class::Never) {
        trust(core, H::NAME, incoming).await?;
    }
    ended
}

/// A panic is a failure like another.
pub(crate) async fn tried<H: Handler>(
    core: &Core,
    handler: &H,
    incoming: &Incoming,
    arm: &Arm,
    taken: Taken<'_>,
) -> Result<Ended, Failure> {
    let cause = Cause::Message(Box::new(incoming.clone()));
    let span = cause_span(H::NAME, &cause);
    let stepped = AssertUnwindSafe(step(core, handler, &cause, taken).instrument(span)).catch_unwind().await;
    let (ended, commit) = stepped.map_err(|panic| Failure::never("panic", panic_text(&*panic)))??;
    match ended {
        Ended::Settled(_) => {
            arm.all(&commit.wakes);
            failpoint::reach("consumer_before_ack").await?;
        }
        Ended::Before => {
            core.metrics.redelivered.get_or_create(&ByService { service: H::NAME }).inc();
        }
    }
    Ok(ended)
}

/// Counts one more try of a message that may have been in hand at a death, and says so when it was at too many.
pub(crate) async fn killed_us(core: &Core, service: &str, incoming: &Incoming) -> Result<Option<String>, Failure> {
    let mut tx = core.store.begin().await?;
    let tries = tx.suspect(service, &incoming.source, &incoming.id, core.clock.now()).await?;
    tx.commit().await?;
    Ok((tries >= DEATHS).then(|| format!("the process died {tries} times with this message in hand")))
}

/// Takes the suspicion away: it did not kill us.
pub(crate) async fn trust(core: &Core, service: &str, incoming: &Incoming) -> Result<(), Failure> {
    let mut tx = core.store.begin().await?;
    tx.trust(service, &incoming.source, &incoming.id).await?;
    Ok(tx.commit().await?)
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
