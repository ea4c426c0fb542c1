//! The deadline wheel (RELIABILITY section 1.6): the deadline is a column of the row; this only makes it punctual.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use judge::Span;
use rollout::{At, RolloutId};
use store::{Class, Due};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::Instrument as _;

use crate::consume::{chain, panic_text, settled_together};
use crate::core::Core;
use crate::failpoint;
use crate::handler::{Cause, Failure, Handler};
use crate::step::{Taken, step};
use crate::telemetry::cause_span;

/// Rows are read ahead by this much, so that each is in the heap before it is due.
const AHEAD: Span = Span(5_000);
/// Rows are read this often.
const LOAD_AGAIN: Span = Span(1_000);
/// Rows read at once.
const LOAD: i64 = 10_000;
/// After a start, what is overdue is spread over this much, so that it does not all come at once.
const SPREAD: Span = Span(2_000);
/// Deadlines that share a transaction: it holds the one writer, for which a retreat may wait.
const TOGETHER: usize = 100;
/// A deadline that fired and is still there, because it failed or changed nothing, fires again after this.
const FIRE_AGAIN: Span = Span(1_000);

/// What the wheel is told between two reads.
#[derive(Debug)]
pub(crate) enum News {
    /// A commit armed a deadline.
    Armed(Due),
    /// A deadline that was fired is no longer in hand.
    Ended(Due),
}

/// The way to arm a deadline from a commit, without waiting for the next read.
#[derive(Debug, Clone)]
pub(crate) struct Arm(mpsc::UnboundedSender<News>);

impl Arm {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<News>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(crate) fn all(&self, wakes: &[Due]) {
        for due in wakes {
            // A wheel that is gone has read the row, or will when it starts again.
            let _ = self.0.send(News::Armed(due.clone()));
        }
    }

    fn ended(&self, due: &Due) {
        let _ = self.0.send(News::Ended(due.clone()));
    }
}

/// Deadlines in order, one for each rollout.
#[derive(Debug, Default)]
struct Wheel {
    order: BTreeSet<(At, RolloutId)>,
    armed: BTreeMap<RolloutId, Due>,
    fired: BTreeMap<RolloutId, Fired>,
}

/// The latest deadline of a rollout that was fired. Until its row moves, every read finds it again.
#[derive(Debug)]
struct Fired {
    version: i64,
    /// When it may fire again; not while it is in hand.
    again_at: Option<At>,
}

impl Wheel {
    fn hear(&mut self, news: News, now: At) {
        match news {
            News::Armed(due) => self.arm(due),
            News::Ended(due) => {
                if let Some(fired) = self.fired.get_mut(&due.rollout_id).filter(|fired| fired.version == due.version) {
                    fired.again_at = Some(now.plus(FIRE_AGAIN));
                }
            }
        }
    }

    /// Arms what a commit says, unless what is there is newer: commits may be heard of late.
    fn arm(&mut self, due: Due) {
        match self.armed.get(&due.rollout_id) {
            Some(there)
                if there.version > due.version || (there.version == due.version && there.wake_at <= due.wake_at) => {}
            _ => self.put(due),
        }
    }

    /// Arms what a read says: it is at least as new as everything that was heard before it.
    fn put(&mut self, mut due: Due) {
        if let Some(fired) = self.fired.get(&due.rollout_id).filter(|fired| fired.version == due.version) {
            // What is in hand now will be read again if it is still due then.
            let Some(again_at) = fired.again_at else { return };
            due.wake_at = due.wake_at.max(again_at);
        }
        if let Some(there) = self.armed.get(&due.rollout_id) {
            self.order.remove(&(there.wake_at, due.rollout_id.clone()));
        }
        self.order.insert((due.wake_at, due.rollout_id.clone()));
        self.armed.insert(due.rollout_id.clone(), due);
    }

    fn has(&self, due: &Due) -> bool {
        self.armed.get(&due.rollout_id).is_some_and(|there| there.version == due.version)
    }

    /// Forgets what fired long enough ago.
    fn forget(&mut self, now: At) {
        self.fired.retain(|_, fired| fired.again_at.is_none_or(|again_at| again_at > now));
    }

    fn next(&self) -> Option<At> {
        self.order.first().map(|(at, _)| *at)
    }

    fn take(&mut self, now: At) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        let (_, id) = self.order.pop_first()?;
        let due = self.armed.remove(&id)?;
        self.fired.insert(id, Fired { version: due.version, again_at: None });
        Some(due)
    }
}

/// When a wheel last turned: a service whose wheel stands still is not alive, whatever else of it is.
#[derive(Debug)]
pub struct Pulse(watch::Receiver<Option<At>>);

impl Pulse {
    pub(crate) fn new() -> (watch::Sender<Option<At>>, Self) {
        let (turned, pulse) = watch::channel(None);
        (turned, Self(pulse))
    }

    /// Waits for the first turn; `false` when there will be none.
    pub async fn begun(&mut self) -> bool {
        self.0.wait_for(Option::is_some).await.is_ok()
    }

    /// When the wheel last turned.
    #[must_use]
    pub fn turned_at(&self) -> Option<At> {
        *self.0.borrow()
    }
}

/// Fires deadlines until the process stops.
pub(crate) async fn turn<H: Handler>(
    core: Core,
    handler: Arc<H>,
    (arm, turned): (Arm, watch::Sender<Option<At>>),
    mut news: mpsc::UnboundedReceiver<News>,
) {
    let mut wheel = Wheel::default();
    let mut load_at = core.clock.now();
    let slots = Arc::new(Semaphore::new(H::PARALLEL));
    let born = core.clock.now();
    loop {
        let now = core.clock.now();
        // A clock that was set back must not keep the rows unread for as long.
        if now >= load_at || load_at > now.plus(LOAD_AGAIN) {
            load(&core, &*handler, &mut wheel, born).await;
            load_at = now.plus(LOAD_AGAIN);
        }
        while let Ok(heard) = news.try_recv() {
            wheel.hear(heard, core.clock.now());
        }
        while let Some(due) = wheel.take(core.clock.now()) {
            if H::PARALLEL == 1 && wheel.next().is_some_and(|next| next <= core.clock.now()) {
                fire_together(&core, &*handler, &mut wheel, due, &arm).await;
                if core.stop.is_cancelled() {
                    return;
                }
                continue;
            }
            let slot = tokio::select! { slot = Arc::clone(&slots).acquire_owned() => slot, () = core.stop.cancelled() => return };
            let Ok(slot) = slot else { return };
            let one = {
                let (core, handler, arm) = (core.clone(), Arc::clone(&handler), arm.clone());
                async move { fire(&core, &*handler, due, &arm).await }
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
            if core.stop.is_cancelled() {
                return;
            }
        }
        turned.send_replace(Some(core.clock.now()));
        let until = wheel.next().map_or(load_at, |next| next.min(load_at));
        tokio::select! {
            () = core.clock.sleep_until(until) => {}
            Some(heard) = news.recv() => wheel.hear(heard, core.clock.now()),
            () = core.stop.cancelled() => return,
        }
    }
}

async fn load<H: Handler>(core: &Core, handler: &H, wheel: &mut Wheel, born: At) {
    let read = async { handler.due(core.store.reader().await?.rows(), core.clock.now().plus(AHEAD), LOAD).await };
    match read.await {
        Ok(rows) => {
            let now = core.clock.now();
            wheel.forget(now);
            let (mut overdue, ahead): (Vec<_>, Vec<_>) = rows.into_iter().partition(|due| due.wake_at < born);
            overdue.retain(|due| !wheel.has(due));
            let count = i64::try_from(overdue.len()).unwrap_or(i64::MAX);
            for (rank, due) in (0..).zip(overdue) {
                wheel.put(Due { wake_at: now.plus_ms(SPREAD.ms() * rank / count), ..due });
            }
            for due in ahead {
                wheel.put(due);
            }
        }
        Err(failure) => tracing::warn!(service = H::NAME, "can't read deadlines, trying again: {}", chain(&failure)),
    }
}

/// Fires `first` and what else is due, in one transaction; what fails in company is fired alone.
async fn fire_together<H: Handler>(core: &Core, handler: &H, wheel: &mut Wheel, first: Due, arm: &Arm) {
    let mut due = vec![first];
    while due.len() < TOGETHER
        && let Some(next) = wheel.take(core.clock.now())
    {
        due.push(next);
    }
    let causes: Vec<_> = due.iter().cloned().map(Cause::Deadline).collect();
    let _ = failpoint::reach("wheel_before_fire").await;
    if settled_together(core, handler, &causes, arm).await {
        for due in &due {
            note_lateness(core, due);
            arm.ended(due);
        }
        return;
    }
    for due in due {
        fire(core, handler, due, arm).await;
    }
}

fn note_lateness(core: &Core, due: &Due) {
    let late_ms = core.clock.now().ms_since(due.wake_at).max(0);
    #[expect(clippy::cast_precision_loss, reason = "a lateness in milliseconds is far below 2^52")]
    core.metrics.late_seconds.observe(late_ms as f64 / 1000.0);
}

async fn fire<H: Handler>(core: &Core, handler: &H, due: Due, arm: &Arm) {
    if let Err(failure) = fire_once(core, handler, &due, arm).await {
        let text = chain(&failure);
        if failure.class() == Class::Never {
            tracing::error!(service = H::NAME, rollout.id = %due.rollout_id, "the deadline of {} can't be handled: {text}", due.rollout_id);
        } else {
            tracing::warn!(service = H::NAME, rollout.id = %due.rollout_id, "the deadline of {} has to wait: {text}", due.rollout_id);
        }
    }
    // Where it failed, the row keeps its deadline, so a later read finds it again.
    arm.ended(&due);
}

/// Fires a deadline, and arms what its commit arms.
pub(crate) async fn fire_once<H: Handler>(core: &Core, handler: &H, due: &Due, arm: &Arm) -> Result<(), Failure> {
    note_lateness(core, due);
    let cause = Cause::Deadline(due.clone());
    let span = cause_span(H::NAME, &cause);
    let stepped = async {
        failpoint::reach("wheel_before_fire").await?;
        step(core, handler, &cause, Taken::Fresh).await
    };
    let stepped = AssertUnwindSafe(stepped.instrument(span)).catch_unwind().await;
    let (_, commit) = stepped.unwrap_or_else(|panic| Err(Failure::never("panic", panic_text(&*panic))))?;
    arm.ended(due);
    arm.all(&commit.wakes);
    Ok(())
}
