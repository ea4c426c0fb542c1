//! The step transaction (RELIABILITY section 1.2): mark, read, decide, write, say, commit; then tell the bus.

use std::time::Duration;

use rollout::At;
use store::{Change, Class, Mark, Outgoing, Placed, Settled, Tx};
use tracing::Instrument as _;

use crate::commit::Commit;
use crate::core::Core;
use crate::failpoint;
use crate::handler::{Cause, Failure, Handler, Incoming};
use crate::metrics::ByService;
use crate::replay::Unparking;
use crate::say::{Stamped, outgoing};
use crate::telemetry::{Trace, cause_span, tell_where};

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

/// How a cause came into hand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Taken<'a> {
    /// For the first time.
    Fresh,
    /// Perhaps not for the first time: it is suspected of the death of a process, until it is settled.
    Suspected,
    /// Out of the parked ones: it was settled before, and is not any more in the same transaction. It is suspected too.
    Unparked(&'a Unparking),
}

/// Runs one cause through its handler and commits what it decided.
pub(crate) async fn step<H: Handler>(
    core: &Core,
    handler: &H,
    cause: &Cause,
    taken: Taken<'_>,
) -> Result<(Ended, Commit), Failure> {
    if !matches!(taken, Taken::Unparked(_)) && is_settled::<H>(core, cause).await? {
        return Ok((Ended::Before, Commit::applied()));
    }
    if matches!(cause, Cause::Message(_)) {
        failpoint::reach("consumer_before_handling").await?;
    }
    let seen = acted(core, handler, cause).await?;
    for _ in 0..RACES {
        match attempt(core, handler, (cause, taken), &seen).await {
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
    if failpoint::is_broken("no_dedupe") {
        return Ok(false);
    }
    Ok(core.store.reader().await?.rows().is_settled(H::NAME, &incoming.source, &incoming.id).await?)
}

/// One transaction; `None` when a conditional write lost.
async fn attempt<H: Handler>(
    core: &Core,
    handler: &H,
    (cause, taken): (&Cause, Taken<'_>),
    seen: &H::Seen,
) -> Result<Option<(Ended, Commit)>, Failure> {
    failpoint::reach("step_before_begin").await?;
    if failpoint::is_broken("mark_first") {
        mark_alone::<H>(core, cause, core.clock.now()).await?;
    }
    let mut tx = core.store.begin().await?;
    if let Taken::Unparked(Unparking { parked, asked }) = taken
        && !tx.unpark(parked, &asked.actor, core.clock.now()).await?
    {
        return Ok(Some((Ended::Before, Commit::applied())));
    }
    let Some(written) = write(core, &mut tx, handler, cause, seen).await? else { return Ok(None) };
    let mut written = [written];
    let Some(said) = settle(core, &mut tx, &mut written).await? else {
        return Ok(Some((Ended::Before, Commit::applied())));
    };
    let [Written { commit, .. }] = written;
    if let Taken::Unparked(unparking) = taken {
        let done = unparking.done(commit.settled.name(), commit.reason.clone(), core.clock.now());
        tx.unparked(&unparking.parked, &done).await?;
    }
    if let Cause::Message(incoming) = cause
        && !matches!(taken, Taken::Fresh)
    {
        tx.trust(H::NAME, &incoming.source, &incoming.id).await?;
    }
    failpoint::reach("step_before_commit").await?;
    tx.commit().await?;
    failpoint::reach("step_after_commit").await?;
    core.bus.announce(&said);
    core.metrics.committed(H::NAME, &commit);
    Ok(Some((Ended::Settled(commit.settled), commit)))
}

/// Several causes in one transaction, in their order: what the later ones read has what the earlier ones wrote. All of them
/// are committed, or none: whoever asks then takes them one by one. None of them was in hand at a death, so none is suspected.
pub(crate) async fn step_together<H: Handler>(
    core: &Core,
    handler: &H,
    causes: &[Cause],
) -> Result<Vec<Commit>, Failure> {
    let mut seen = Vec::with_capacity(causes.len());
    for cause in causes {
        if matches!(cause, Cause::Message(_)) {
            failpoint::reach("consumer_before_handling").await?;
        }
        seen.push(acted(core, handler, cause).await?);
    }
    failpoint::reach("step_before_begin").await?;
    let mut tx = core.store.begin().await?;
    handler.foresee(tx.rows(), causes).await?;
    let mut all = Vec::with_capacity(causes.len());
    for (cause, seen) in causes.iter().zip(&seen) {
        let span = cause_span(H::NAME, cause);
        let written = write(core, &mut tx, handler, cause, seen).instrument(span).await?;
        all.push(written.ok_or_else(|| Failure::Later("one of several causes lost a race".to_owned()))?);
    }
    let before = || Failure::Later("one of several causes was settled before".to_owned());
    let said = settle(core, &mut tx, &mut all).await?.ok_or_else(before)?;
    failpoint::reach("step_before_commit").await?;
    tx.commit().await?;
    failpoint::reach("step_after_commit").await?;
    core.bus.announce(&said);
    let commits: Vec<_> = all.into_iter().map(|written| written.commit).collect();
    commits.iter().for_each(|commit| core.metrics.committed(H::NAME, commit));
    Ok(commits)
}

/// What a cause came to inside a transaction: its changes are written, its mark and its messages are not yet.
struct Written {
    commit: Commit,
    mark: Option<Mark>,
    outgoing: Vec<Outgoing>,
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
    failpoint::reach("step_after_decide").await?;
    for change in &commit.changes {
        if let Change::Open { row, .. } | Change::Move { row, .. } = change {
            tell_where(row);
        }
        if tx.apply(change).await? == store::Written::Lost {
            return Ok(None);
        }
    }
    let mark = match cause {
        Cause::Message(incoming) => Some(mark::<H>(incoming, &commit, now)),
        Cause::Deadline(_) => None,
    };
    let outgoing = outgoing(&Stamped { service: H::NAME, at: now, trace: &Trace::of(cause) }, &commit.says);
    Ok(Some(Written { commit, mark, outgoing }))
}

/// Marks the causes as settled and says what follows from them; `None` when one of them was settled before.
async fn settle(core: &Core, tx: &mut Tx, all: &mut [Written]) -> Result<Option<Vec<Placed>>, Failure> {
    let marks: Vec<_> = all.iter_mut().filter_map(|written| written.mark.take()).collect();
    if !marks.is_empty() {
        let fresh = tx.mark(&marks).await?;
        if fresh < marks.len() && !failpoint::is_broken("mark_first") && !failpoint::is_broken("no_dedupe") {
            return Ok(None);
        }
        if fresh > 0 {
            failpoint::reach("step_after_mark").await?;
        }
    }
    let outgoing = all.iter_mut().flat_map(|written| std::mem::take(&mut written.outgoing)).collect();
    Ok(Some(core.bus.say(tx, outgoing).await?))
}

fn mark<H: Handler>(incoming: &Incoming, commit: &Commit, now: At) -> Mark {
    Mark {
        service: H::NAME,
        source: incoming.source.clone(),
        message_id: incoming.id.clone(),
        settled: commit.settled,
        reason: commit.reason.clone(),
        rollout_id: commit.rollout_id.clone(),
        handled_at: now,
    }
}

/// What the design forbids: a mark without its effect. Only a broken design comes here.
async fn mark_alone<H: Handler>(core: &Core, cause: &Cause, now: At) -> Result<(), Failure> {
    let Cause::Message(incoming) = cause else { return Ok(()) };
    let mut tx = core.store.begin().await?;
    let commit = Commit { rollout_id: incoming.rollout_id.clone(), ..Commit::applied() };
    tx.mark(&[mark::<H>(incoming, &commit, now)]).await?;
    tx.commit().await?;
    failpoint::reach("step_after_mark").await
}
