//! Saying: messages become rows of the outbox, each in the trace of its rollout.

use proto::subject::{Lane, Subject};
use proto::{Event, Message, Stamp};
use rollout::{At, RolloutId};
use store::{Outgoing, Tx};

use crate::bus::Bus;
use crate::commit::Say;
use crate::failpoint;
use crate::telemetry::{Trace, said_span};

/// Who says a message, and when.
#[derive(Debug, Clone, Copy)]
pub struct Stamped<'a> {
    /// The service.
    pub service: &'static str,
    /// When.
    pub at: At,
    /// The trace that it belongs to.
    pub trace: &'a Trace,
}

/// The rows of messages.
pub(crate) fn outgoing(stamped: &Stamped<'_>, says: &[Say]) -> Vec<Outgoing> {
    says.iter().map(|say| row(stamped, say)).collect()
}

/// The row of a message.
pub(crate) fn row(stamped: &Stamped<'_>, say: &Say) -> Outgoing {
    let source = format!("/tidegate/{}", stamped.service);
    let mut stamp = Stamp { id: say.id.clone(), source, at: stamped.at, traceparent: None };
    let mut event = say.message.event(&stamp);
    let named = event.rollout_id.as_deref().and_then(|id| RolloutId::new(id).ok());
    let becomes = matches!(say.message, Message::VersionPromote(_)).then(|| RolloutId::of(&stamp.source, &stamp.id));
    event.traceparent = Some(match named.as_ref().or(becomes.as_ref()) {
        None => stamped.trace.child(),
        Some(rollout) => of_rollout(stamped.service, (&say.id, &say.message), rollout),
    });
    Outgoing {
        service: stamped.service,
        message_id: std::mem::take(&mut stamp.id),
        rollout_id: named,
        subject: say.message.subject().to_string(),
        headers: "{}".to_owned(),
        body: event.to_json(),
        created_at: stamped.at,
    }
}

/// What another system said. It keeps its own source and id, by which it is known on every road.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Who said it.
    pub source: String,
    /// What they call it.
    pub id: String,
    /// What is said.
    pub message: Message,
}

/// Passes on what other systems said, inside a transaction of the caller's, commits it, and tells the bus. What was passed on
/// before is not said again.
///
/// # Errors
/// When the store does not take them.
pub async fn pass_on(bus: &Bus, mut tx: Tx, stamped: &Stamped<'_>, heard: &[Outside]) -> Result<(), store::Error> {
    let rows = heard.iter().map(|outside| passed_on(stamped, outside)).collect();
    let said = bus.say(&mut tx, rows).await?;
    tx.commit().await?;
    let _ = failpoint::reach("say_after_commit").await;
    bus.announce(&said);
    Ok(())
}

fn passed_on(stamped: &Stamped<'_>, Outside { source, id, message }: &Outside) -> Outgoing {
    let stamp = Stamp { id: id.clone(), source: source.clone(), at: stamped.at, traceparent: None };
    let traceparent = Some(of_rollout(stamped.service, (id, message), &RolloutId::of(source, id)));
    let event = Event { traceparent, ..message.event(&stamp) };
    Outgoing {
        service: stamped.service,
        message_id: rollout::forwarded_id(source, id),
        rollout_id: None,
        subject: Subject { lane: Lane::In, ..message.subject() }.to_string(),
        headers: "{}".to_owned(),
        body: event.to_json(),
        created_at: stamped.at,
    }
}

/// What is said about a rollout is in the rollout's trace; outside of a cause of that trace it gets a span of its own.
fn of_rollout(service: &'static str, (id, message): (&str, &Message), rollout: &RolloutId) -> String {
    let trace = Trace::of_rollout(rollout);
    if trace.is_here() {
        return trace.child();
    }
    said_span(service, &trace, id, message, rollout).in_scope(|| trace.child())
}

/// Says messages inside a transaction of the caller's, commits it, and tells the bus: for those who handle no messages.
///
/// # Errors
/// When the store does not take them.
pub async fn say_now(bus: &Bus, mut tx: Tx, stamped: &Stamped<'_>, says: &[Say]) -> Result<(), store::Error> {
    let said = bus.say(&mut tx, outgoing(stamped, says)).await?;
    tx.commit().await?;
    // A request has no failure to sort: it ends with the process or goes on.
    let _ = failpoint::reach("say_after_commit").await;
    bus.announce(&said);
    Ok(())
}
