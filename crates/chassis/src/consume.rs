//! The consumer loop (RELIABILITY section 1.5): pull, door, suspicion, step, and what is done about each kind of failure.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use proto::{Message, Unreadable};
use rollout::At;
use store::Class;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use crate::back_off::BackOff;
use crate::bus::{Received, Subscription, received};
use crate::consumers::Consumer;
use crate::core::Core;
use crate::failpoint;
use crate::handler::{Cause, Failure, Handler, Incoming};
use crate::metrics::ByService;
use crate::outage::Outage;
use crate::park::{Hopeless, park};
use crate::step::{Ended, Taken, step, step_together};
use crate::telemetry::cause_span;
use crate::wheel::Arm;

/// The wait after a failure.
const AGAIN: BackOff = BackOff(Duration::from_millis(100), Duration::from_secs(5));
/// The wait of a message that could not be settled as long as its consumer was patient: others go on meanwhile.
const LATER: BackOff = BackOff(Duration::from_millis(100), Duration::from_secs(30));
/// What nobody has begun with when the process stops comes to another one after this.
const SOON: Duration = Duration::from_millis(100);
/// A service that a statement or a permission stops for this long is broken: another release of it must start.
const BROKEN_LIMIT: Duration = Duration::from_secs(30);
/// A message that was in hand at this many deaths is parked: it kills us.
const DEATHS: i64 = 5;
/// The word that it is parked with.
pub(crate) const KILLS_US: &str = "kills_us";

/// Takes messages until the process stops; what is in hand then is finished.
pub(crate) async fn consume<H: Handler>(core: Core, handler: Arc<H>, consumer: &'static Consumer, arm: Arm) {
    let mut subscription = core.bus.subscribe(consumer);
    let outage = Outage::new(consumer.patience);
    let consuming =
        Consuming { core, handler, arm, outage: Arc::new(outage), slots: Arc::new(Semaphore::new(H::PARALLEL)) };
    consuming.run(&mut subscription).await;
    subscription.close(SOON).await;
}

/// A consumer at work.
struct Consuming<H> {
    core: Core,
    handler: Arc<H>,
    arm: Arm,
    outage: Arc<Outage>,
    slots: Arc<Semaphore>,
}

impl<H> Clone for Consuming<H> {
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
            handler: Arc::clone(&self.handler),
            arm: self.arm.clone(),
            outage: Arc::clone(&self.outage),
            slots: Arc::clone(&self.slots),
        }
    }
}

/// What became of a message in hand.
enum Took {
    Settled,
    /// It was tried as long as one can wait for it.
    InVain,
    /// The process stopped first.
    Stopped,
}

impl<H: Handler> Consuming<H> {
    async fn run(&self, subscription: &mut Subscription) {
        let mut tries = 0;
        while self.core.health.is_well(H::NAME) {
            let next = tokio::select! { next = subscription.next() => next, () = self.core.stop.cancelled() => return };
            match next {
                Ok(batch) => {
                    tries = 0;
                    self.take(batch).await;
                }
                Err(error) => {
                    let wait = AGAIN.after(tries);
                    tracing::warn!(service = H::NAME, "can't read the stream, trying again in {wait:?}: {error:#}");
                    tokio::select! { () = tokio::time::sleep(wait) => {}, () = self.core.stop.cancelled() => return }
                    tries += 1;
                }
            }
        }
    }

    async fn take(&self, batch: Vec<Received>) {
        if is_taken_together(&self.core, &*self.handler, &batch, &self.arm).await {
            let _ = failpoint::reach("consumer_before_ack").await;
            for received in &batch {
                self.settled(received).await;
            }
            return;
        }
        for received in batch {
            match self.slot().await {
                None => received.handle.give_back(SOON).await,
                Some(_slot) if H::PARALLEL == 1 => self.take_one(&received).await,
                Some(slot) => {
                    let consuming = self.clone();
                    self.core.tasks.spawn(async move {
                        consuming.take_one(&received).await;
                        drop(slot);
                    });
                }
            }
        }
    }

    /// Leave to begin with one more; none when the process stops or the service takes no more.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        let slot = tokio::select! {
            biased;
            () = self.core.stop.cancelled() => None,
            slot = Arc::clone(&self.slots).acquire_owned() => slot.ok(),
        };
        slot.filter(|_| self.core.health.is_well(H::NAME))
    }

    async fn take_one(&self, received: &Received) {
        match take(&self.core, &*self.handler, received, (&self.arm, &self.outage)).await {
            Took::Settled => self.settled(received).await,
            Took::InVain => received.handle.give_back(LATER.after(received.handle.deliveries() - 1)).await,
            Took::Stopped => received.handle.give_back(SOON).await,
        }
    }

    async fn settled(&self, received: &Received) {
        self.outage.is_over();
        received.handle.settled(self.core.stop.is_cancelled()).await;
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

/// Settles one message, as long as its consumer can wait for the database and the outside world.
async fn take<H: Handler>(core: &Core, handler: &H, received: &Received, (arm, outage): (&Arm, &Outage)) -> Took {
    let mut tries = 0;
    let began = Instant::now();
    loop {
        tries += 1;
        let Err(failure) = take_once(core, handler, received, (arm, tries)).await else { return Took::Settled };
        let wait = AGAIN.after(tries - 1);
        let (_, id) = received.known_as();
        core.metrics.retried.get_or_create(&ByService { service: H::NAME }).inc();
        tracing::warn!(service = H::NAME, fact.id = id, "message {id} has to wait {wait:?}: {}", chain(&failure));
        if failure.class() == Class::Code && began.elapsed() > BROKEN_LIMIT {
            core.give_up(H::NAME, &chain(&failure));
        }
        if outage.is_too_long(began) {
            return Took::InVain;
        }
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = core.stop.cancelled() => return Took::Stopped }
    }
}

/// Tries to settle one message; what can never work is parked. `tries` counts this one.
pub(crate) async fn take_once<H: Handler>(
    core: &Core,
    handler: &H,
    received: &Received,
    (arm, tries): (&Arm, u32),
) -> Result<(), Failure> {
    let (reason, error, (source, id)) = match door(received) {
        Err(unreadable) => (unreadable.reason(), unreadable.to_string(), received.known_as()),
        Ok(incoming) => match guarded(core, handler, &incoming, received, arm).await {
            Err(failure) if failure.class() == Class::Never => {
                (failure.reason(), chain(&failure), (incoming.source, incoming.id))
            }
            other => return other,
        },
    };
    let tries = if reason == KILLS_US { DEATHS } else { i64::from(tries) };
    park_once(core, received, &Hopeless { service: H::NAME, source: &source, id: &id, reason, error, tries }).await
}

async fn park_once(core: &Core, received: &Received, hopeless: &Hopeless<'_>) -> Result<(), Failure> {
    let before = core.store.reader().await?.rows().is_settled(hopeless.service, hopeless.source, hopeless.id).await?;
    if !before {
        park(core, received, hopeless).await?;
    }
    Ok(())
}

fn door(received: &Received) -> Result<Incoming, Unreadable> {
    opened(&received.subject, &received.headers, &received.body, received.said_at)
}

/// Decodes a message, cheapest check first.
pub(crate) fn opened(subject: &str, headers: &str, body: &[u8], said_at: At) -> Result<Incoming, Unreadable> {
    let event = received::event(subject, headers, body)?;
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
