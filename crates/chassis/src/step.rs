//! The step transaction (RELIABILITY section 1.2): mark, read, decide, write, say, commit; then tell the bus.

use std::time::Duration;

use proto::{Message, Stamp};
use rollout::{At, RolloutId};
use store::{Change, Class, Mark, Outgoing, Settled, Tx};
use tracing::Instrument as _;

use crate::bus::Bus;
use crate::commit::{Commit, Say};
use crate::core::Core;
use crate::handler::{Cause, Failure, Handler};
use crate::metrics::ByService;
use crate::telemetry::{Trace, cause_span, said_span, tell_where};

/// A lost race is decided anew this often before it has to wait like any other failure.
const RACES: usize = 5;
/// An outside call that takes longer is given up and tried again: longer than any limit of a handler's own.
const ACT_LIMIT: Duration = Duration::from_secs(60);

/// When the process stops, an outside call has so long left: the rest of the stop must fit into its 10 s too.
const ACT_LIMIT_AT_STOP: Duration = Duration::from_secs(5);

/// How a cause ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was settled now.
    Settled(Settled),
    /// It was settled before.
    Before,
}

/// Runs one cause through its handler and commits what it decided.
pub(crate) async fn step<H: Handler>(core: &Core, handler: &H, cause: &Cause) -> Result<(Ended, Commit), Failure> {
    if is_settled::<H>(core, cause).await? {
        return Ok((Ended::Before, Commit::applied()));
    }
    let seen = acted(core, handler, cause).await?;
    for _ in 0..RACES {
        match attempt(core, handler, cause, &seen).await {
            Ok(Some(done)) => return Ok(done),
            Ok(None) => {}
            Err(failure) if failure.class() == Class::Race => {}
            Err(failure) => return Err(failure),
        }
        core.metrics.races_lost.get_or_create(&ByService { service: H::NAME }).inc();
    }
    Err(Failure::Later(format!("lost {RACES} races in a row")))
}

async fn acted<H: Handler>(core: &Core, handler: &H, cause: &Cause) -> Result<H::Seen, Failure> {
    let stopped = async {
        core.stop.cancelled().await;
        tokio::time::sleep(ACT_LIMIT_AT_STOP).await;
    };
    tokio::select! {
        seen = handler.act(&core.store, cause, core.clock.now()) => seen,
        () = tokio::time::sleep(ACT_LIMIT) => Err(Failure::Later("the outside world did not answer within 60 s".to_owned())),
        () = stopped => Err(Failure::Later("the process stops".to_owned())),
    }
}

/// A duplicate is found before anything is done outside.
async fn is_settled<H: Handler>(core: &Core, cause: &Cause) -> Result<bool, Failure> {
    let Cause::Message(incoming) = cause else { return Ok(false) };
    Ok(core.store.reader().await?.rows().is_settled(H::NAME, &incoming.source, &incoming.id).await?)
}

/// One transaction; `None` when a conditional write lost.
async fn attempt<H: Handler>(
    core: &Core,
    handler: &H,
    cause: &Cause,
    seen: &H::Seen,
) -> Result<Option<(Ended, Commit)>, Failure> {
    let mut tx = core.store.begin().await?;
    let Some(written) = write(core, &mut tx, handler, cause, seen).await? else { return Ok(None) };
    let Written { commit: Some(commit), said } = written else {
        return Ok(Some((Ended::Before, Commit::applied())));
    };
    tx.commit().await?;
    told(core, H::NAME, &commit, &said);
    Ok(Some((Ended::Settled(commit.settled), commit)))
}

/// Several causes in one transaction, in their order: what the later ones read has what the earlier ones wrote. All of them
/// are committed, or none: whoever asks then takes them one by one.
pub(crate) async fn step_together<H: Handler>(
    core: &Core,
    handler: &H,
    causes: &[Cause],
) -> Result<Vec<Commit>, Failure> {
    let mut seen = Vec::with_capacity(causes.len());
    for cause in causes {
        seen.push(acted(core, handler, cause).await?);
    }
    let mut tx = core.store.begin().await?;
    let mut all = Vec::with_capacity(causes.len());
    for (cause, seen) in causes.iter().zip(&seen) {
        if let Cause::Message(incoming) = cause
            && tx.rows().is_settled(H::NAME, &incoming.source, &incoming.id).await?
        {
            continue;
        }
        let lost = || Failure::Later("one of several causes lost a race".to_owned());
        let span = cause_span(H::NAME, cause);
        let written = write(core, &mut tx, handler, cause, seen).instrument(span).await?;
        let Written { commit, said } = written.ok_or_else(lost)?;
        all.extend(commit.map(|commit| (commit, said)));
    }
    tx.commit().await?;
    for (commit, said) in &all {
        told(core, H::NAME, commit, said);
    }
    Ok(all.into_iter().map(|(commit, _)| commit).collect())
}

/// What a cause came to inside a transaction: no commit when it was settled before.
struct Written {
    commit: Option<Commit>,
    said: Vec<(i64, String)>,
}

/// Handles one cause inside a transaction; `None` when a conditional write lost.
async fn write<H: Handler>(
    core: &Core,
    tx: &mut Tx,
    handler: &H,
    cause: &Cause,
    seen: &H::Seen,
) -> Result<Option<Written>, Failure> {
    let now = core.clock.now();
    let commit = handler.handle(tx.rows(), cause, seen, now).await?;
    for change in &commit.changes {
        if let Change::Open { row, .. } | Change::Move { row, .. } = change {
            tell_where(row);
        }
        if tx.apply(change).await? == store::Written::Lost {
            return Ok(None);
        }
    }
    if let Cause::Message(incoming) = cause {
        let mark = Mark {
            service: H::NAME,
            source: incoming.source.clone(),
            message_id: incoming.id.clone(),
            settled: commit.settled,
            reason: commit.reason.clone(),
            rollout_id: commit.rollout_id.clone(),
            handled_at: now,
        };
        if !tx.mark(&mark).await? {
            return Ok(Some(Written { commit: None, said: Vec::new() }));
        }
        tx.trust(H::NAME, &incoming.source, &incoming.id).await?;
    }
    let said = say_all(tx, &Stamped { service: H::NAME, at: now, trace: &Trace::of(cause) }, &commit.says).await?;
    Ok(Some(Written { commit: Some(commit), said }))
}

fn told(core: &Core, service: &'static str, commit: &Commit, said: &[(i64, String)]) {
    core.bus.announce(said);
    core.metrics.committed(service, commit);
}

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

async fn say_all(tx: &mut Tx, stamped: &Stamped<'_>, says: &[Say]) -> Result<Vec<(i64, String)>, store::Error> {
    let mut said = Vec::with_capacity(says.len());
    for say in says {
        let outgoing = outgoing(stamped, say);
        if let Some(position) = tx.say(&outgoing).await? {
            said.push((position, outgoing.subject));
        }
    }
    Ok(said)
}

fn outgoing(stamped: &Stamped<'_>, say: &Say) -> Outgoing {
    let source = format!("/tidegate/{}", stamped.service);
    let mut stamp = Stamp { id: say.id.clone(), source, at: stamped.at, traceparent: None };
    let mut event = say.message.event(&stamp);
    let named = event.rollout_id.as_deref().and_then(|id| RolloutId::new(id).ok());
    let becomes = matches!(say.message, Message::VersionPromote(_)).then(|| RolloutId::of(&stamp.source, &stamp.id));
    event.traceparent = Some(match named.as_ref().or(becomes.as_ref()) {
        None => stamped.trace.child(),
        Some(rollout) => of_rollout(stamped.service, say, rollout),
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

/// What is said about a rollout is in the rollout's trace; outside of a cause of that trace it gets a span of its own.
fn of_rollout(service: &'static str, say: &Say, rollout: &RolloutId) -> String {
    let trace = Trace::of_rollout(rollout);
    if trace.is_here() {
        return trace.child();
    }
    said_span(service, &trace, &say.id, &say.message, rollout).in_scope(|| trace.child())
}

/// Says messages inside a transaction of the caller's, commits it, and tells the bus: for those who handle no messages.
///
/// # Errors
/// When the store does not take them.
pub async fn say_now(bus: &Bus, mut tx: Tx, stamped: &Stamped<'_>, says: &[Say]) -> Result<(), store::Error> {
    let said = say_all(&mut tx, stamped, says).await?;
    tx.commit().await?;
    bus.announce(&said);
    Ok(())
}
