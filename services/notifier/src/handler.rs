//! News in, deliveries out; and a delivery that was parked, back in.

use chassis::{Cause, Commit, Consumer, Failure, Handler, Incoming, consumers};
use proto::{Message, Stamp};
use rollout::{At, RolloutId};
use serde_json::Value;
use store::{Change, Delivery, Rows, Store, Told};

use crate::told::{Channel, Draft, Known, Listeners, concerns, dedup_key, told};

/// The service.
pub(crate) const NAME: &str = "notifier";
/// The source of its messages, which are deliveries that were parked.
pub(crate) const SOURCE: &str = "/tidegate/notifier";

/// The handler.
pub(crate) struct Notifier {
    to: Listeners,
}

impl Notifier {
    pub(crate) const fn new(to: Listeners) -> Self {
        Self { to }
    }
}

impl Handler for Notifier {
    const NAME: &'static str = NAME;
    const CONSUMERS: &'static [Consumer] = consumers::NOTIFIER;
    type Seen = ();

    async fn act(&self, _: &Store, _: &Cause, _: At) -> Result<(), Failure> {
        Ok(())
    }

    async fn handle(&self, mut rows: Rows<'_>, cause: &Cause, (): &(), now: At) -> Result<Commit, Failure> {
        let Cause::Message(incoming) = cause else { return Ok(Commit::applied()) };
        if incoming.source == SOURCE {
            return replayed(&mut rows, &incoming.id, self.to, now).await;
        }
        let (about, known) = known(&mut rows, incoming).await?;
        let drafts = told(&incoming.message, &known, self.to);
        let commit = drafts.into_iter().map(|draft| delivery(incoming, &about, draft, now));
        Ok(commit.fold(Commit::applied(), |commit, row| commit.change(Change::Deliver(Box::new(row)))))
    }
}

/// What the news are about, and what the rows say about it.
async fn known(rows: &mut Rows<'_>, incoming: &Incoming) -> Result<(String, Known), Failure> {
    let id = match &incoming.message {
        Message::RolloutMoved(moved) => &moved.rollout_id,
        Message::RolloutWaiting(waiting) => &waiting.rollout_id,
        _ => return Ok((incoming.id.clone(), Known::default())),
    };
    let known = if concerns(&incoming.message) { read(rows, id).await? } else { Known::default() };
    Ok((id.to_string(), known))
}

async fn read(rows: &mut Rows<'_>, id: &RolloutId) -> Result<Known, Failure> {
    Ok(Known {
        rollout: rows.rollout(id).await?,
        turned: rows.turned_back(id).await?,
        has_trigger: rows.triggers(Channel::PagerDuty.name(), id.as_str()).await?.0 > 0,
    })
}

fn delivery(incoming: &Incoming, about: &str, draft: Draft, now: At) -> Delivery {
    let stamp = Stamp {
        id: incoming.id.clone(),
        source: incoming.source.clone(),
        at: incoming.said_at,
        traceparent: incoming.traceparent.as_deref(),
    };
    let news = incoming.message.event(&stamp).to_json();
    let body = draft.body.unwrap_or_else(|| serde_json::from_str(&news).unwrap_or(Value::Null));
    Delivery {
        channel: draft.channel.name().to_owned(),
        about: about.to_owned(),
        version: draft.version,
        kind: draft.kind.name().to_owned(),
        dedup_key: dedup_key(incoming.message.about().0, about),
        body,
        subject: incoming.message.subject().to_string(),
        news,
        state: Told::Waiting,
        tries: 0,
        is_unsure: false,
        receipt: None,
        error: None,
        since_at: now,
        attempt_at: now,
    }
}

/// The id under which a delivery stands among the messages that were parked.
pub(crate) fn message_id(row: &Delivery) -> String {
    format!("{NAME}.{}.{}.{}", row.channel, row.about, row.version)
}

/// Channel, what it is about, and version.
fn named(message_id: &str) -> Option<(Channel, &str, i64)> {
    let (channel, rest) = message_id.strip_prefix(NAME)?.strip_prefix('.')?.split_once('.')?;
    let (about, version) = rest.rsplit_once('.')?;
    let channel = Channel::ALL.into_iter().find(|known| known.name() == channel)?;
    Some((channel, about, version.parse().ok()?))
}

/// A parked delivery that is handled again waits again, as if it were new.
async fn replayed(rows: &mut Rows<'_>, id: &str, to: Listeners, now: At) -> Result<Commit, Failure> {
    let unknown = || Failure::never("unknown_delivery", format!("there is no delivery {}", id.escape_default()));
    let (channel, about, version) = named(id).ok_or_else(unknown)?;
    let row = rows.delivery(channel.name(), about, version).await?.ok_or_else(unknown)?;
    if !to.has(channel) {
        return Err(Failure::never("channel_gone", format!("no receiver is configured for {}", channel.name())));
    }
    if row.state != Told::Parked {
        return Ok(Commit::refused("not_parked"));
    }
    let from = (row.state, row.tries);
    let row = Delivery { state: Told::Waiting, tries: 0, error: None, since_at: now, attempt_at: now, ..row };
    Ok(Commit::applied().change(Change::Attempted { row: Box::new(row), from }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_parked_delivery_leads_back_to_it() {
        let id = "notifier.pagerduty.rhczdvktv0ph5mvze8vr80whk1.12";
        assert_eq!(named(id), Some((Channel::PagerDuty, "rhczdvktv0ph5mvze8vr80whk1", 12)));
        assert_eq!(named("notifier.webhook.rw.x.1.0.0"), Some((Channel::Webhook, "rw.x.1.0", 0)));
        for other in ["", "notifier", "notifier.mail.r.1", "notifier.slack.r", "notifier.slack.r.x"] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
