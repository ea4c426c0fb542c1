//! One request in; probes are its deadlines; one answer out when the candidate is ready, and one whenever the reason changes.

use chassis::{Cause, Commit, Consumer, Failure, Handler, Incoming, consumers};
use judge::Span;
use proto::{Message, WorkloadAnswer, WorkloadStart};
use reqwest::Client;
use rollout::{At, RolloutId};
use serde::{Deserialize, Serialize};
use store::{Change, Due, Rows, Store, WorkloadRow};

use crate::probe::probe;

/// The wait between probes, growing from the first to the second figure.
const PROBE_AGAIN: (Span, Span) = (Span(500), Span(5_000));

/// The handler.
pub(crate) struct Deployer {
    client: Client,
}

impl Deployer {
    pub(crate) fn new() -> Self {
        // Where model servers live is operator configuration: no proxy variable and no redirect may lead elsewhere.
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        Self { client: client.expect("a client without TLS has nothing that can fail") }
    }
}

/// The request as it came, with the id that its answers are made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Request {
    message_id: String,
    start: WorkloadStart,
}

/// What a probe found; `None` where none was due.
type Found = Option<Result<(), String>>;

impl Handler for Deployer {
    const NAME: &'static str = "deployer";
    const CONSUMERS: &'static [Consumer] = consumers::DEPLOYER;
    // Probes wait for slow servers; others must not wait with them.
    const PARALLEL: usize = 64;
    type Seen = Found;

    async fn act(&self, store: &Store, cause: &Cause, now: At) -> Result<Found, Failure> {
        let Cause::Deadline(due) = cause else { return Ok(None) };
        let row = store.reader().await?.rows().workload(&due.rollout_id).await?;
        let Some(row) = row.filter(|row| row.wake_at.is_some_and(|at| at <= now)) else { return Ok(None) };
        Ok(Some(probe(&self.client, &request(&row)?.start).await))
    }

    async fn handle(&self, mut rows: Rows<'_>, cause: &Cause, found: &Found, now: At) -> Result<Commit, Failure> {
        match cause {
            Cause::Message(incoming) => {
                let Message::WorkloadStart(start) = &incoming.message else {
                    return Err(Failure::never("unknown_type", "deployer does not take this message"));
                };
                let there = rows.workload(&start.rollout_id).await?;
                started(incoming, start, there, now)
            }
            Cause::Deadline(due) => {
                let Some(row) = rows.workload(&due.rollout_id).await?.filter(|row| row.tries == due.version) else {
                    return Ok(Commit::applied());
                };
                let Some(found) = found else {
                    return Ok(Commit::applied().wake(&row.rollout_id, row.tries, row.wake_at));
                };
                probed(row, found, now)
            }
        }
    }

    async fn due(&self, mut rows: Rows<'_>, before: At, limit: i64) -> Result<Vec<Due>, Failure> {
        Ok(rows.due_workloads(before, limit).await?)
    }
}

fn request(row: &WorkloadRow) -> Result<Request, Failure> {
    serde_json::from_value(row.request.clone()).map_err(|cause| Failure::never("bad_request", cause))
}

/// A new request is probed at once; one that is said again is answered with what is known.
fn started(incoming: &Incoming, start: &WorkloadStart, there: Option<WorkloadRow>, now: At) -> Result<Commit, Failure> {
    let id = &start.rollout_id;
    let from = there.as_ref().map(|there| (there.attempt, there.tries));
    if let Some(there) = there.filter(|there| there.attempt >= start.attempt) {
        if there.attempt > start.attempt {
            return Ok(Commit::refused("older_attempt").about(id));
        }
        let commit = Commit::applied().about(id).wake(id, there.tries, there.wake_at);
        return Ok(match there.state.as_str() {
            "ready" => commit.say(format!("de.{}.0", incoming.id), Message::WorkloadReady(answer(start, None))),
            _ => commit,
        });
    }
    let request = Request { message_id: incoming.id.clone(), start: start.clone() };
    let request = serde_json::to_value(&request).map_err(|cause| Failure::never("bad_request", cause))?;
    let row = WorkloadRow {
        rollout_id: id.clone(),
        request,
        attempt: start.attempt,
        state: "probing".to_owned(),
        error: None,
        tries: 0,
        wake_at: Some(now),
    };
    Ok(Commit::applied().about(id).wake(id, 0, row.wake_at).change(Change::Workload { row: Box::new(row), from }))
}

fn probed(mut row: WorkloadRow, found: &Result<(), String>, now: At) -> Result<Commit, Failure> {
    let asked = request(&row)?;
    let id: RolloutId = row.rollout_id.clone();
    // Whoever probed it meanwhile was quicker: what it found counts, and is said once.
    let from = Some((row.attempt, row.tries));
    row.tries += 1;
    let said = format!("de.{}.{}", asked.message_id, row.tries);
    let commit = Commit::applied().about(&id);
    match found {
        Ok(()) => {
            (row.state, row.error, row.wake_at) = ("ready".to_owned(), None, None);
            Ok(commit
                .change(Change::Workload { row: Box::new(row), from })
                .say(said, Message::WorkloadReady(answer(&asked.start, None))))
        }
        Err(reason) => {
            let is_news = row.error.as_ref() != Some(reason);
            row.error = Some(reason.clone());
            let wait = PROBE_AGAIN.0.ms().saturating_mul(row.tries).min(PROBE_AGAIN.1.ms());
            let next = now.plus_ms(wait);
            row.wake_at = (next < asked.start.until).then_some(next);
            let (tries, wake_at) = (row.tries, row.wake_at);
            let commit = commit.wake(&id, tries, wake_at).change(Change::Workload { row: Box::new(row), from });
            Ok(if is_news {
                commit.say(said, Message::WorkloadFailed(answer(&asked.start, Some(reason.clone()))))
            } else {
                commit
            })
        }
    }
}

/// A reason may pass: until its limit the candidate may still become ready.
fn answer(start: &WorkloadStart, reason: Option<String>) -> WorkloadAnswer {
    WorkloadAnswer {
        tenant: start.tenant.clone(),
        model: start.model.clone(),
        rollout_id: start.rollout_id.clone(),
        attempt: start.attempt,
        passing: reason.is_some(),
        reason,
    }
}
