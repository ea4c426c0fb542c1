//! From the outbox to the streams (RELIABILITY section 1.4). Whoever commits hands its messages over in memory; everything else,
//! and whatever failed, is found by a sweep. A row is marked as published after the stream has answered: marking first would lose
//! what dies between the two. A failure says nothing about what was stored, so the same id is published again, for ever.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use rollout::At;
use store::{Parked, Placed, Store};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::publish::publish;
use super::queue::Queue;
use super::repair::Repair;
use super::server::{Answer, Server};
use crate::back_off::BackOff;
use crate::bus::Error;
use crate::clock::Clock;
use crate::consume::chain;
use crate::failpoint;
use crate::metrics::Metrics;

/// Publications on their way at once.
const IN_FLIGHT: usize = 512;
/// Rows claimed at once.
const CLAIM: i64 = 256;
/// With fewer rows in the queue than this, more are claimed.
const QUEUE_LOW: usize = 256;
/// How often the outbox is looked at.
const SWEEP_AGAIN: Duration = Duration::from_millis(250);
/// A claim is worth this long: longer than a publication takes to fail, in milliseconds.
const CLAIMED_FOR_MS: i64 = 5_000;
/// What the streams have said is written down when so many rows wait for that, or after so long.
const WRITE_DOWN: (usize, Duration) = (256, Duration::from_millis(20));
/// Until it is written down, this much may wait.
const UNWRITTEN_MAX: usize = 1_024;
/// What can't be sent is held for so long, in its order; then it is left to whoever claims it.
const HELD_FOR: Duration = Duration::from_secs(5);
/// The wait before a row is tried again.
const AGAIN: BackOff = BackOff(Duration::from_millis(50), Duration::from_secs(5));
/// The rest of what was handed over is published within this when the process stops; what is left is found by the next one.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);

// What can go wrong.
const COMPARE: &str = "compare the outbox with its streams";
const CLAIM_ROWS: &str = "claim messages of the outbox";
const PUBLISH: &str = "publish messages of the outbox";
const MARK: &str = "mark what was published";

/// What a relay stands on.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    /// Whose rows it publishes.
    pub(crate) services: &'static [&'static str],
}

/// Publishes the outbox of some services.
pub(crate) struct Relay<S> {
    outbox: Outbox,
    server: S,
    repair: Repair,
    queue: Queue,
    on_their_way: FuturesUnordered<BoxFuture<'static, (Placed, Answer)>>,
    unwritten: Unwritten,
    /// The last claim found as much as it could.
    has_more: bool,
    /// Since when nothing can be sent.
    held_since: Option<Instant>,
    troubles: Troubles,
}

/// What goes wrong, by what we were doing: a thousand tries that fail alike are one line of the log.
#[derive(Debug, Default)]
struct Troubles(BTreeSet<&'static str>);

impl Troubles {
    fn with(&mut self, doing: &'static str, error: &dyn std::error::Error) {
        if self.0.insert(doing) {
            tracing::warn!("can't {doing}, trying again: {}", chain(error));
        }
    }

    fn over(&mut self, doing: &'static str) {
        self.0.remove(doing);
    }
}

/// What the streams have said and the outbox does not know yet.
#[derive(Debug, Default)]
struct Unwritten {
    published: Vec<(i64, Option<i64>)>,
    postponed: Vec<(i64, At)>,
    parked: Vec<Parked>,
    since: Option<Instant>,
    /// After a try in vain.
    not_before: Option<Instant>,
}

impl Unwritten {
    /// Whether enough waits to be written down, or for long enough.
    fn is_due(&self) -> bool {
        let is_time = self.since.is_some_and(|since| since.elapsed() >= WRITE_DOWN.1);
        let may_be = self.not_before.is_none_or(|not_before| Instant::now() >= not_before);
        may_be && (is_time || self.len() >= WRITE_DOWN.0)
    }

    fn len(&self) -> usize {
        self.published.len() + self.postponed.len()
    }

    async fn write(&self, outbox: &Outbox) -> Result<(), store::Error> {
        if !self.published.is_empty() {
            let mut tx = outbox.store.begin().await?;
            for parked in &self.parked {
                tx.park(parked).await?;
            }
            tx.published(&self.published, outbox.clock.now()).await?;
            tx.commit().await?;
        }
        if !self.postponed.is_empty() {
            outbox.store.postpone(&self.postponed).await?;
        }
        Ok(())
    }
}

impl<S: Server> Relay<S> {
    pub(crate) fn new(outbox: Outbox, server: S, metrics: &Metrics) -> Self {
        Self {
            outbox,
            server,
            repair: Repair::new(metrics.clone()),
            queue: Queue::default(),
            on_their_way: FuturesUnordered::new(),
            unwritten: Unwritten::default(),
            has_more: false,
            held_since: None,
            troubles: Troubles::default(),
        }
    }

    /// Publishes until `drain` is cancelled, and then what was handed over before. What is urgent is taken at once, the others as
    /// there is room.
    pub(super) async fn run(
        mut self,
        mut urgent: mpsc::Receiver<Vec<Placed>>,
        mut handed: mpsc::Receiver<Vec<Placed>>,
        drain: CancellationToken,
    ) {
        let mut sweep = tokio::time::interval(SWEEP_AGAIN);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !drain.is_cancelled() {
            tokio::select! {
                () = drain.cancelled() => {}
                _ = sweep.tick() => self.look().await,
                Some(said) = urgent.recv() => self.take(said),
                Some(said) = handed.recv(), if self.queue.waiting() < QUEUE_LOW => self.take(said),
                Some(answered) = self.on_their_way.next() => self.answered(answered),
                () = tokio::time::sleep(WRITE_DOWN.1), if self.unwritten.since.is_some() => {}
            }
            self.go_on().await;
        }
        for mut way in [urgent, handed] {
            way.close();
            while let Ok(said) = way.try_recv() {
                self.take(said);
            }
        }
        if tokio::time::timeout(DRAIN_LIMIT, self.drain()).await.is_err() {
            tracing::warn!("the outbox is not empty; what is left is published by the next process");
        }
    }

    pub(crate) fn take(&mut self, said: Vec<Placed>) {
        said.into_iter().for_each(|placed| self.queue.push(placed));
    }

    /// Looks for rows that nobody has claimed, and at what became of the server.
    pub(crate) async fn look(&mut self) {
        if !self.server.is_up() {
            return;
        }
        if self.repair.is_due(&self.server) {
            // What is on its way was said to another server, perhaps; its places are not to be taken for those of this one.
            self.settle().await;
            if let Err(error) = self.repair.run(&self.outbox, &self.server).await {
                self.troubles.with(COMPARE, &error);
                return;
            }
            self.troubles.over(COMPARE);
        }
        self.claim().await;
    }

    async fn claim(&mut self) {
        let now = self.outbox.clock.now();
        self.has_more = false;
        for service in self.outbox.services {
            match self.outbox.store.claim(service, (now, now.plus_ms(CLAIMED_FOR_MS)), CLAIM).await {
                Ok(claimed) => {
                    self.troubles.over(CLAIM_ROWS);
                    self.has_more |= i64::try_from(claimed.len()).is_ok_and(|count| count >= CLAIM);
                    self.take(claimed);
                }
                Err(error) => self.troubles.with(CLAIM_ROWS, &error),
            }
        }
    }

    /// Hears answers, sends what there is room for, writes down what is known, and claims more where there is more.
    async fn go_on(&mut self) {
        self.hear();
        self.send_or_hold().await;
        if self.unwritten.is_due() {
            self.write_down().await;
        }
    }

    /// Takes the answers that are here.
    pub(crate) fn hear(&mut self) {
        while let Some(Some(answered)) = self.on_their_way.next().now_or_never() {
            self.answered(answered);
        }
    }

    /// Sends what there is room for and claims more where there is more; without a server it holds what it has.
    pub(crate) async fn send_or_hold(&mut self) {
        if self.server.is_up() && !self.repair.is_due(&self.server) {
            if self.has_more && self.queue.waiting() < QUEUE_LOW {
                self.claim().await;
            }
            self.held_since = None;
            self.send();
        } else if self.held_since.get_or_insert_with(Instant::now).elapsed() > HELD_FOR {
            // Others may have claimed it since: what is held for long would be old when it is sent.
            self.queue.clear();
        }
    }

    fn send(&mut self) {
        while self.on_their_way.len() < IN_FLIGHT && self.unwritten.len() < UNWRITTEN_MAX {
            let Some(placed) = self.queue.next() else { return };
            let answer = self.server.publish(&placed.message);
            self.on_their_way.push(sent(self.outbox.clone(), answer, placed).boxed());
        }
    }

    fn answered(&mut self, (placed, answer): (Placed, Answer)) {
        self.queue.ended(&placed);
        self.unwritten.since.get_or_insert_with(Instant::now);
        match answer {
            Answer::Taken(sequence) => {
                self.troubles.over(PUBLISH);
                self.unwritten.published.push((placed.position, i64::try_from(sequence).ok()));
            }
            Answer::Never(why) => {
                self.unwritten.published.push((placed.position, None));
                self.unwritten.parked.push(parked(placed, why, self.outbox.clock.now()));
            }
            Answer::Unknown(error) => {
                self.troubles.with(PUBLISH, &error);
                let wait = AGAIN.after(u32::try_from(placed.tries).unwrap_or(u32::MAX));
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                self.unwritten.postponed.push((placed.position, self.outbox.clock.now().plus_ms(wait)));
            }
        }
    }

    pub(crate) async fn write_down(&mut self) {
        if !self.unwritten.published.is_empty() {
            let _ = failpoint::reach("relay_before_mark").await;
        }
        match self.unwritten.write(&self.outbox).await {
            Ok(()) => {
                self.troubles.over(MARK);
                self.unwritten = Unwritten::default();
            }
            Err(error) => {
                self.troubles.with(MARK, &error);
                self.unwritten.not_before = Some(Instant::now() + SWEEP_AGAIN);
            }
        }
    }

    /// Waits for all that is on its way, which takes no longer than a request, and writes it down.
    async fn settle(&mut self) {
        while let Some(answered) = self.on_their_way.next().await {
            self.answered(answered);
        }
        self.write_down().await;
    }

    /// Whether there is nothing to send, to hear or to write down.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.waiting() == 0 && self.on_their_way.is_empty() && self.unwritten.len() == 0
    }

    async fn drain(&mut self) {
        while self.server.is_up() && (self.queue.waiting() > 0 || !self.on_their_way.is_empty()) {
            self.send();
            if let Some(answered) = self.on_their_way.next().await {
                self.answered(answered);
            }
        }
        self.settle().await;
    }
}

async fn sent(outbox: Outbox, answer: BoxFuture<'static, Answer>, placed: Placed) -> (Placed, Answer) {
    if failpoint::is_broken("publish_last") {
        mark_alone(&outbox, &placed).await;
    }
    let _ = failpoint::reach("relay_before_publish").await;
    (placed, answer.await)
}

/// What the design forbids: a row that counts as published before it is. Only a broken design comes here.
async fn mark_alone(outbox: &Outbox, placed: &Placed) {
    let alone = Unwritten { published: vec![(placed.position, None)], ..Unwritten::default() };
    let _ = alone.write(outbox).await;
}

/// What no stream takes is kept with its reason, for a person.
fn parked(placed: Placed, error: String, now: At) -> Parked {
    let message = placed.message;
    tracing::error!(
        service = message.service,
        fact.id = message.message_id,
        subject = message.subject,
        "parked message {} of {}: no stream takes it: {error}",
        message.message_id,
        message.service
    );
    Parked {
        id: format!("{}.{}", message.service, placed.position),
        service: message.service.to_owned(),
        source: format!("/tidegate/{}", message.service),
        message_id: message.message_id,
        subject: message.subject,
        reason: "too_large".to_owned(),
        error,
        headers: message.headers,
        body: message.body.into_bytes(),
        tries: placed.tries + 1,
        first_seen_at: message.created_at,
        parked_at: now,
        replayed_at: None,
        replayed_by: None,
    }
}

/// Publishes messages that no outbox holds, and waits for all answers together.
///
/// # Errors
/// When one of them was not taken, or nobody knows.
pub(super) async fn publish_now(jetstream: &Context, messages: &[store::Outgoing]) -> Result<(), Error> {
    let answers = futures_util::future::join_all(messages.iter().map(|message| publish(jetstream, message))).await;
    answers.into_iter().try_for_each(|answer| match answer {
        Answer::Taken(_) => Ok(()),
        Answer::Never(cause) => Err(Error::Nats { doing: "publish", cause }),
        Answer::Unknown(error) => Err(error),
    })
}
