//! Sends what is due at one channel, one delivery after the other.
//!
//! A task of its own for each channel, not the wheel of the chassis: a send stands between two commits, `sending` before it
//! and the outcome after it, and what a receiver says about its own load holds for the whole channel.

mod attempt;

use judge::Span;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use proto::Event;
use rollout::At;
use store::{Change, Delivery, Mark, Parked, Settled, Told, Written};
use tracing::Instrument as _;
use uuid::Uuid;

use chassis::{Core, Metrics, Stamped, Trace, failpoint, say_now};

use crate::handler::{NAME, SOURCE, message_id};
use crate::pagerduty::PagerDuty;
use crate::slack::Slack;
use crate::told::{Channel, Kind};
use crate::webhook::Webhook;

pub(crate) use attempt::{Answer, sorted};
use attempt::{Reason, begun, ended};

/// New deliveries are looked for this often: a page may be that late.
const LOOK_AGAIN: Span = Span(250);
/// Where others send too, one that is being sent is left alone for so long, which is more than a send takes: after that its
/// process is dead, or as good as that.
const SENDING_LIMIT: Span = Span(15_000);
/// The wait after a failure of the database.
const DATABASE_AGAIN: Span = Span(1_000);

/// Where a channel leads.
pub(crate) enum Receiver {
    /// Slack.
    Slack(Slack),
    /// PagerDuty.
    PagerDuty(PagerDuty),
    /// Any other one.
    Webhook(Webhook),
}

impl Receiver {
    async fn send(&self, row: &Delivery, receipt: Option<&str>, now: At) -> Answer {
        match self {
            Self::Slack(slack) => slack.send(row, receipt, now).await,
            Self::PagerDuty(pagerduty) => pagerduty.send(row, now).await,
            Self::Webhook(webhook) => webhook.send(row, now).await,
        }
    }

    /// The least time between two sends: Slack takes about one a second, PagerDuty 120 a minute.
    const fn pace(&self) -> Span {
        match self {
            Self::Slack(_) => Span(1_000),
            Self::PagerDuty(_) => Span(500),
            Self::Webhook(_) => Span(50),
        }
    }
}

/// A channel, and what became of a try.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    channel: &'static str,
    result: &'static str,
}

/// What is counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted(Family<ByResult, Counter>);

impl Counted {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let counted = Self::default();
        metrics.register(|registry| {
            registry.register("notifications", "Tries to tell a receiver, by what became of them", counted.0.clone());
        });
        counted
    }

    fn count(&self, channel: Channel, state: Told) {
        let result = if state == Told::Waiting { "retried" } else { state.name() };
        self.0.get_or_create(&ByResult { channel: channel.name(), result }).inc();
    }

    /// A count that begins with its first event would show none: what an alarm looks at is the difference.
    fn begin(&self, channel: Channel) {
        drop(self.0.get_or_create(&ByResult { channel: channel.name(), result: Told::Parked.name() }));
    }
}

/// Sends what is due at a channel until the process stops.
pub(crate) async fn send(core: Core, channel: Channel, receiver: Receiver, counted: Counted) {
    counted.begin(channel);
    let mut sender = Sender { core, channel, receiver, counted, not_before: At(0) };
    while !sender.core.stop.is_cancelled() {
        let at = sender.step().await.unwrap_or_else(|error| {
            tracing::warn!("can't read what is to be told to {}, trying again: {error:#}", channel.name());
            sender.core.clock.now().plus(DATABASE_AGAIN)
        });
        tokio::select! {
            () = sender.core.clock.sleep_until(at) => {}
            () = sender.core.stop.cancelled() => return,
        }
    }
}

struct Sender {
    core: Core,
    channel: Channel,
    receiver: Receiver,
    counted: Counted,
    /// Until then the whole channel waits.
    not_before: At,
}

impl Sender {
    /// Sends one delivery if one is due; gives when to look again.
    async fn step(&mut self) -> Result<At, store::Error> {
        let now = self.core.clock.now();
        let next = self.core.store.reader().await?.rows().next_delivery(self.channel.name()).await?;
        let Some(row) = next else { return Ok(now.plus(LOOK_AGAIN)) };
        let due_at = row.attempt_at.max(self.not_before);
        if due_at > now {
            return Ok(due_at.min(now.plus(LOOK_AGAIN)));
        }
        let span = tracing::info_span!(
            "delivery",
            service = NAME,
            channel = self.channel.name(),
            rollout.id = row.about,
            version = row.version,
            delivery.kind = row.kind,
            attempt = row.tries + 1
        );
        self.deliver(row).instrument(span).await?;
        Ok(self.core.clock.now())
    }

    async fn deliver(&mut self, row: Delivery) -> Result<(), store::Error> {
        let alone_until = self.core.bus.is_shared().then(|| self.core.clock.now().plus(SENDING_LIMIT));
        let (ready, taken) = (self.ready(&row).await?, begun(&row, alone_until));
        if !self.write(&taken, &row, None).await? {
            return Ok(());
        }
        let answer = match ready {
            Ready::Send(receipt) => {
                let _ = failpoint::reach("notifier_before_send").await;
                let now = self.core.clock.now();
                let answer = tokio::select! {
                    answer = self.receiver.send(&taken, receipt.as_deref(), now) => answer,
                    // It stays `sending`: nobody knows whether it arrived, so the next start repeats it.
                    () = self.core.stop.cancelled() => return Ok(()),
                };
                let _ = failpoint::reach("notifier_after_send").await;
                answer
            }
            Ready::Settled(answer) => answer,
        };
        self.record(&taken, &answer).await;
        Ok(())
    }

    /// Whether it is still to be sent, now that everything before it is settled.
    async fn ready(&self, row: &Delivery) -> Result<Ready, store::Error> {
        let mut reader = self.core.store.reader().await?;
        let mut rows = reader.rows();
        if row.kind == Kind::Resolve.name() && rows.triggers(&row.channel, &row.about).await?.1 == 0 {
            return Ok(Ready::Settled(Answer::Unopened));
        }
        Ok(match rows.receipt(&row.channel, &row.about).await? {
            // One message shows where the rollout is: what is older has nothing to say any more.
            Some((version, _)) if version > row.version => Ready::Settled(Answer::Sent { receipt: None }),
            Some((_, receipt)) => Ready::Send(Some(receipt)),
            None => Ready::Send(None),
        })
    }

    /// Writes what became of it, however long the database makes that wait: forgotten, it would be sent twice.
    async fn record(&mut self, taken: &Delivery, answer: &Answer) {
        let now = self.core.clock.now();
        let (done, reason) = ended(taken, answer, now, Uuid::new_v4().as_u64_pair().1);
        self.not_before = now.plus(self.receiver.pace());
        if let Answer::Later { after_ms: Some(_), .. } = answer {
            self.not_before = self.not_before.max(done.attempt_at);
        }
        loop {
            match self.write(&done, taken, reason).await {
                Ok(_) => break,
                Err(error) => tracing::warn!("can't record a delivery, trying again: {error:#}"),
            }
            tokio::select! {
                () = self.core.clock.sleep_until(self.core.clock.now().plus(DATABASE_AGAIN)) => {}
                () = self.core.stop.cancelled() => return,
            }
        }
        self.counted.count(self.channel, done.state);
        tell(&done);
    }

    async fn write(&self, row: &Delivery, from: &Delivery, reason: Option<Reason>) -> Result<bool, store::Error> {
        write(&self.core, row, (from.state, from.tries), reason).await
    }
}

enum Ready {
    Send(Option<String>),
    Settled(Answer),
}

/// Writes where a delivery stands, and into the list of what was parked if it is; `false` when somebody else was quicker.
async fn write(core: &Core, row: &Delivery, from: (Told, i64), reason: Option<Reason>) -> Result<bool, store::Error> {
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    if tx.apply(&Change::Attempted { row: Box::new(row.clone()), from }).await? == Written::Lost {
        return Ok(false);
    }
    if let Some(reason) = reason {
        let parked = parked(row, reason, now);
        tx.park(&parked).await?;
        tx.mark(&[Mark {
            service: NAME,
            source: parked.source,
            message_id: parked.message_id,
            settled: Settled::Parked,
            reason: Some(parked.reason),
            rollout_id: None,
            handled_at: now,
        }])
        .await?;
    }
    let trace = Trace::from_parent(None);
    say_now(&core.bus, tx, &Stamped { service: NAME, at: now, trace: &trace }, &[]).await?;
    Ok(true)
}

/// The delivery as a message that can't be handled: replayed, it is handled by waiting again.
fn parked(row: &Delivery, reason: Reason, now: At) -> Parked {
    let id = message_id(row);
    let body = Event::structured(row.news.as_bytes()).map_or_else(
        |_| row.news.clone(),
        |event| Event { id: id.clone(), source: SOURCE.to_owned(), ..event }.to_json(),
    );
    Parked {
        id: id.clone(),
        service: NAME.to_owned(),
        source: SOURCE.to_owned(),
        message_id: id,
        subject: row.subject.clone(),
        reason: reason.name().to_owned(),
        error: row.error.clone().unwrap_or_default(),
        headers: "{}".to_owned(),
        body: body.into_bytes(),
        tries: row.tries,
        first_seen_at: row.since_at,
        parked_at: now,
        replayed_at: None,
        replayed_by: None,
    }
}

fn tell(row: &Delivery) {
    let (channel, about, version, kind, tries) = (&row.channel, &row.about, row.version, &row.kind, row.tries);
    let error = row.error.as_deref().unwrap_or("-");
    match row.state {
        Told::Sent => tracing::info!("told {channel} about {about}, version {version}: {kind}"),
        Told::Parked => tracing::error!("parked {}: {kind} for {channel}, {tries} tries: {error}", message_id(row)),
        _ => tracing::warn!(
            "{channel} did not take the {kind} about {about}, version {version}, try {tries}; again later: {error}"
        ),
    }
}

/// Parks what waits for a channel that has no receiver any more, so that it does not wait for ever.
pub(crate) async fn park_what_nobody_takes(core: Core, taken: Vec<Channel>) {
    for channel in Channel::ALL.into_iter().filter(|channel| !taken.contains(channel)) {
        while let Err(error) = park_all(&core, channel).await {
            tracing::warn!("can't park what waits for {}, trying again: {error:#}", channel.name());
            tokio::select! {
                () = core.clock.sleep_until(core.clock.now().plus(DATABASE_AGAIN)) => {}
                () = core.stop.cancelled() => return,
            }
        }
    }
}

async fn park_all(core: &Core, channel: Channel) -> Result<(), store::Error> {
    while !core.stop.is_cancelled() {
        let next = core.store.reader().await?.rows().next_delivery(channel.name()).await?;
        let Some(row) = next else { return Ok(()) };
        let error = Some(format!("no receiver is configured for {}", channel.name()));
        let done = Delivery { state: Told::Parked, error, ..row.clone() };
        write(core, &done, (row.state, row.tries), Some(Reason::ChannelGone)).await?;
        tell(&done);
    }
    Ok(())
}
