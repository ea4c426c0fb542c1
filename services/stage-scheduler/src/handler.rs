//! One fact in, one commit out.

use chassis::{Cause, Commit, Consumer, Failure, Handler, Incoming, MOVED_SINCE, consumers, still_there};
use proto::{EvaluationFinished, Message, PromotionRequested, RouteNews};
use rollout::{At, Before, Fact, INCARNATION, Refusal, Request, Rollout, RolloutId, Route, Seen, Stage, What, decide};
use store::{Change, Due, RefusalRow, Rows, Scene, Store};
use uuid::Uuid;

use crate::decided::{Asked, committed, refused};
use crate::heard::{Heard, evaluation, heard};
use crate::queue;

/// The source of deadlines, which are never on the bus.
const CLOCK: &str = "/tidegate/clock";

/// The handler.
pub(crate) struct StageScheduler;

impl Handler for StageScheduler {
    const NAME: &'static str = "stage-scheduler";
    const CONSUMERS: &'static [Consumer] = consumers::STAGE_SCHEDULER;
    type Seen = ();

    async fn act(&self, _: &Store, _: &Cause, _: At) -> Result<(), Failure> {
        Ok(())
    }

    async fn foresee(&self, mut rows: Rows<'_>, causes: &[Cause]) -> Result<(), Failure> {
        let ids: Vec<_> = causes
            .iter()
            .filter_map(|cause| match cause {
                Cause::Deadline(due) => Some(due.rollout_id.clone()),
                Cause::Message(incoming) => incoming.rollout_id.clone(),
            })
            .collect();
        Ok(rows.foresee(&ids).await?)
    }

    async fn handle(&self, mut rows: Rows<'_>, cause: &Cause, (): &(), now: At) -> Result<Commit, Failure> {
        match cause {
            Cause::Deadline(due) => deadline(&mut rows, due, now).await,
            Cause::Message(incoming) => match &incoming.message {
                Message::PromotionRequested(requested) => request(&mut rows, incoming, requested, now).await,
                Message::RouteDrifted(news) if news.rollout_id.is_none() => settled(&mut rows, news, now).await,
                Message::EvaluationFinished(evaluated) => match meant(&mut rows, evaluated).await? {
                    Some(id) => fact(&mut rows, incoming, evaluation(id, evaluated, &incoming.source), now).await,
                    None => Ok(Commit::refused("unknown_rollout")),
                },
                other => {
                    let heard = heard(other)
                        .ok_or_else(|| Failure::never("unknown_type", "stage-scheduler does not take this message"))?;
                    fact(&mut rows, incoming, heard, now).await
                }
            },
        }
    }

    async fn due(&self, mut rows: Rows<'_>, before: At, limit: i64) -> Result<Vec<Due>, Failure> {
        Ok(rows.due_rollouts(before, limit).await?)
    }
}

/// A new rollout, whatever becomes of it.
async fn request(
    rows: &mut Rows<'_>,
    incoming: &Incoming,
    asked: &PromotionRequested,
    now: At,
) -> Result<Commit, Failure> {
    let Some(place) = rows.place_of(&asked.tenant, &asked.model, &asked.rollout_id).await? else {
        return Ok(Commit::refused("duplicate").about(&asked.rollout_id));
    };
    let row = requested(asked, now);
    let salt = salt(rows, &row).await?;
    let scene = Scene { rollout: row, salt, place };
    let what = What::Requested { when_live: asked.when_live, refusal: asked.refusal.clone() };
    let fact = Fact { what, actor: asked.requested_by.clone(), reason: asked.reason.clone(), seen: seen(&scene) };
    let decision = decide(&scene.rollout, &fact, now).map_err(|refusal| Failure::never("refused", refusal))?;
    let told = Asked { scene: &scene, fact: &fact, source: &incoming.source, id: &incoming.id, evidence: None };
    let next = decision.next.clone();
    let commit = committed(&told, decision, now);
    if next.stage.is_final() {
        return Ok(commit);
    }
    queue::overtake(rows, incoming, (asked, &next), commit, now).await
}

/// The row before its first fact.
fn requested(asked: &PromotionRequested, now: At) -> Rollout {
    let request = Request {
        id: asked.rollout_id.clone(),
        tenant: asked.tenant.clone(),
        model: asked.model.clone(),
        candidate: asked.candidate.clone(),
        workload: asked.workload.clone(),
        requested_by: asked.requested_by.clone(),
        plan: asked.plan.clone(),
    };
    Rollout::requested(request, now)
}

/// New for each rollout, unless a retry is to hit the same sessions.
async fn salt(rows: &mut Rows<'_>, row: &Rollout) -> Result<String, Failure> {
    if row.plan.keep_cohort
        && let Some(last) = rows.rollout_of(&row.tenant, &row.model).await?
        && last.candidate == row.candidate
        && let Some(salt) = rows.salt(&last.id).await?
    {
        return Ok(salt);
    }
    Ok(Uuid::new_v4().simple().to_string())
}

async fn fact(rows: &mut Rows<'_>, incoming: &Incoming, heard: Heard, now: At) -> Result<Commit, Failure> {
    let Some(scene) = rows.scene(&heard.rollout_id).await? else {
        return Ok(Commit::refused("unknown_rollout").about(&heard.rollout_id));
    };
    if let Some(version) = heard.if_version
        && !still_there(rows, &scene.rollout, version).await?
    {
        return Ok(moved_since(&scene.rollout, incoming, &heard, now));
    }
    let fact = Fact { what: heard.what, actor: heard.actor, reason: heard.reason, seen: seen(&scene) };
    let told = Told { fact, source: &incoming.source, id: &incoming.id, evidence: heard.evidence };
    moved(rows, &scene, told, now).await
}

/// A route that no rollout moves any more was changed by somebody: it is wished for once more, above what was found.
async fn settled(rows: &mut Rows<'_>, news: &RouteNews, now: At) -> Result<Commit, Failure> {
    let Some(route) = rows.route(&news.tenant, &news.model).await? else {
        return Ok(Commit::refused("unknown_wish"));
    };
    let from_generation = route.generation;
    if from_generation != news.generation {
        return Ok(Commit::refused(Refusal::OlderGeneration.to_string()));
    }
    let Some(found) = news.found.filter(|found| *found >= from_generation) else { return Ok(Commit::applied()) };
    let above = rows.beat().await?.incarnation.saturating_mul(INCARNATION).max(found);
    let route = Box::new(Route { generation: above.saturating_add(1), ..route });
    Ok(Commit::applied().change(Change::Wish { route, from_generation, at: now }))
}

/// The rollout that an evaluation is about: the one that it names, or that of its version: the live one, else the last.
async fn meant(rows: &mut Rows<'_>, evaluated: &EvaluationFinished) -> Result<Option<RolloutId>, Failure> {
    let row = match &evaluated.rollout_id {
        Some(id) => rows.rollout(id).await?,
        None => rows.rollout_of(&evaluated.tenant, &evaluated.model).await?,
    };
    Ok(row.filter(|row| evaluated.is_about(&row.tenant, &row.model, &row.candidate)).map(|row| row.id))
}

/// The word was meant for another stage or step.
fn moved_since(row: &Rollout, incoming: &Incoming, heard: &Heard, now: At) -> Commit {
    Commit::refused(MOVED_SINCE).about(&row.id).change(Change::Refuse(RefusalRow {
        rollout_id: row.id.clone(),
        fact_source: incoming.source.clone(),
        fact_id: incoming.id.clone(),
        fact_kind: heard.what.kind().to_owned(),
        reason: MOVED_SINCE.to_owned(),
        actor: heard.actor.clone(),
        at_version: row.version,
        refused_at: now,
    }))
}

/// A deadline that another one was quicker than is dropped: it is nobody's message.
async fn deadline(rows: &mut Rows<'_>, due: &Due, now: At) -> Result<Commit, Failure> {
    let Some(scene) = rows.scene(&due.rollout_id).await? else { return Ok(Commit::applied()) };
    let row = &scene.rollout;
    if row.version != due.version || row.wake_at.is_none_or(|wake_at| wake_at > now) {
        return Ok(Commit::applied().wake(&row.id, row.version, row.wake_at));
    }
    let what = What::DeadlinePassed { version: row.version };
    let fact = Fact { what, actor: "stage-scheduler".to_owned(), reason: None, seen: seen(&scene) };
    let id = format!("{}.{}", row.id, row.version);
    moved(rows, &scene, Told { fact, source: CLOCK, id: &id, evidence: None }, now).await
}

/// A fact with the message that told it.
pub(crate) struct Told<'a> {
    pub(crate) fact: Fact,
    pub(crate) source: &'a str,
    pub(crate) id: &'a str,
    pub(crate) evidence: Option<serde_json::Value>,
}

pub(crate) async fn moved(rows: &mut Rows<'_>, scene: &Scene, told: Told<'_>, now: At) -> Result<Commit, Failure> {
    let Told { fact, source, id, evidence } = told;
    let asked = Asked { scene, fact: &fact, source, id, evidence };
    let row = &scene.rollout;
    match decide(row, &fact, now) {
        Ok(decision) => {
            let ends = decision.next.stage.is_final();
            let commit = committed(&asked, decision, now);
            if ends && row.stage.is_live() { queue::woken(rows, row, commit, now).await } else { Ok(commit) }
        }
        Err(refusal) => Ok(refused(&asked, refusal, now)),
    }
}

/// What the decision sees beside the row.
pub(crate) fn seen(scene: &Scene) -> Seen {
    let Scene { rollout, place, .. } = scene;
    // Only who leaves the queue needs the others and copies the split before; later facts need not carry them into the log.
    let queued = rollout.stage == Stage::Queued;
    Seen {
        generation: place.generation(),
        route: place.route.as_ref().filter(|_| queued).map(|route| Before {
            stable: route.stable.clone(),
            arms: route.arms.iter().filter(|arm| arm.basis_points != rollout::Share::ZERO).cloned().collect(),
        }),
        live: place.live.clone().filter(|_| queued),
    }
}
