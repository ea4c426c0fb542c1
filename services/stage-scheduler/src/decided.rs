//! Makes a commit of a decision: the row, its log entry, the wished route, and what is said; traffic first, news last.

use std::collections::BTreeSet;

use chassis::Commit;
use judge::{Resolved, SignalName};
use proto::{AnalysisRun, Message, Reached, RolloutMoved, RolloutWaiting, SplitApply, WorkloadStart};
use rollout::{At, Decision, Direction, Fact, Intent, OnDrift, Refusal, Rollout, Route, Share, Stage, WHOLE, What};
use serde::Deserialize as _;
use serde_json::{Value, json};
use store::{Change, RefusalRow, Scene, Settled, Transition};

/// A fact about a row, and what the step read beside it.
pub(crate) struct Asked<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) fact: &'a Fact,
    pub(crate) source: &'a str,
    pub(crate) id: &'a str,
    pub(crate) evidence: Option<Value>,
}

impl Asked<'_> {
    /// The row before.
    const fn row(&self) -> &Rollout {
        &self.scene.rollout
    }
}

/// The commit of a move.
pub(crate) fn committed(asked: &Asked<'_>, decision: Decision, now: At) -> Commit {
    let Decision { next, intents } = decision;
    tell(asked, &next);
    let mut commit = Commit::applied().about(&next.id);
    let first = asked.row().version == 0;
    let (row, entry) = (Box::new(next.clone()), Box::new(logged(asked, &next, first, now)));
    commit.changes.push(if first {
        Change::Open { row, salt: asked.scene.salt.clone(), entry }
    } else {
        Change::Move { row, from_version: asked.row().version, entry }
    });
    commit.changes.extend(wish(asked, &next, &intents, now));
    // One that waited itself held nobody up.
    if next.stage.is_final() && asked.row().stage.is_live() {
        commit.changes.push(Change::WakeQueued { tenant: next.tenant.clone(), model: next.model.clone(), at: now });
    }
    let said = intents
        .iter()
        .filter_map(|intent| message(&next, intent, now))
        .chain([Message::RolloutMoved(moved(asked, &next, now))]);
    for (ordinal, message) in said.enumerate() {
        commit = commit.say(format!("{}.{}.{ordinal}", next.id, next.version), message);
    }
    commit.wake(&next.id, next.version, next.wake_at)
}

/// The commit of a refusal. A deadline that came too early or too late is nobody's message and leaves no trace.
pub(crate) fn refused(asked: &Asked<'_>, refusal: Refusal, now: At) -> Commit {
    let commit = Commit { settled: Settled::Refused, reason: Some(refusal.to_string()), ..Commit::applied() }
        .about(&asked.row().id);
    tracing::info!(rollout.id = %asked.row().id, stage = %asked.row().stage, "refused {} for {}: {}", asked.fact.what.kind(), asked.row().id, refusal.sentence());
    commit.change(Change::Refuse(RefusalRow {
        rollout_id: asked.row().id.clone(),
        fact_source: asked.source.to_owned(),
        fact_id: asked.id.to_owned(),
        fact_kind: asked.fact.what.kind().to_owned(),
        reason: refusal.to_string(),
        actor: asked.fact.actor.clone(),
        at_version: asked.row().version,
        refused_at: now,
    }))
}

/// The story of a rollout, one line a move; a rollback names both versions.
fn tell(asked: &Asked<'_>, next: &Rollout) {
    let (from, to, reason) = (asked.row().stage, next.stage, next.reason.as_deref().unwrap_or("-"));
    let previous = next.previous.as_ref().map_or("none", |version| version.as_str());
    if to == Stage::Retreating && from != Stage::Retreating {
        tracing::error!(rollout.id = %next.id, stage = %to, attempt = next.attempt,
            "rollout {} of {}: {from} -> {to}: taking traffic from {} back to {previous}: {reason}{}", next.id, next.model, next.candidate, reached(asked));
    } else if from != to {
        tracing::info!(rollout.id = %next.id, stage = %to, attempt = next.attempt,
            "rollout {} of {} from {previous} to {}: {from} -> {to} step {} at {}: {reason}", next.id, next.model, next.candidate, next.step + 1, next.desired());
    } else {
        tracing::debug!(rollout.id = %next.id, stage = %to, "rollout {}: {} noted in {to}", next.id, asked.fact.what.kind());
    }
}

/// Whom the candidate has reached, where the evidence says it.
fn reached(asked: &Asked<'_>) -> String {
    let reached = asked.evidence.as_ref().and_then(|evidence| Reached::deserialize(evidence.get("reached")?).ok());
    reached.map(|reached| format!("; it has reached {reached}")).unwrap_or_default()
}

fn logged(asked: &Asked<'_>, next: &Rollout, first: bool, now: At) -> Transition {
    Transition {
        rollout_id: next.id.clone(),
        version: next.version,
        from_stage: if first { "none" } else { asked.row().stage.name() }.to_owned(),
        to_stage: next.stage.name().to_owned(),
        step: next.step,
        fact_kind: asked.fact.what.kind().to_owned(),
        fact_source: asked.source.to_owned(),
        fact_id: asked.id.to_owned(),
        fact: serde_json::to_value(asked.fact).unwrap_or(Value::Null),
        actor: asked.fact.actor.clone(),
        reason: next.reason.clone(),
        evidence: asked.evidence.clone(),
        decided_at: now.max(asked.row().updated_at),
    }
}

/// The route that the decision wishes for: a new split, or, once the rollout is over, what is left without it.
fn wish(asked: &Asked<'_>, next: &Rollout, intents: &[Intent], now: At) -> Option<Change> {
    let seen = asked.fact.seen.generation;
    let split = intents.iter().find_map(|intent| match intent {
        Intent::ApplySplit { generation, direction, split } if *generation != asked.row().generation => {
            Some((*generation, *direction, split))
        }
        _ => None,
    });
    let salt = || asked.scene.salt.clone();
    let route = if let Some((generation, direction, split)) = split {
        let (arms, stable) = next.wish(direction, split);
        // A retreat puts right whatever it finds, and asks nobody.
        let on_drift = if direction == Direction::Back { OnDrift::Restore } else { next.plan.on_drift };
        let of = bare(next, generation);
        Route { rollout_id: Some(next.id.clone()), direction, on_drift, salt: salt(), stable, arms, ..of }
    } else if next.stage.is_final() && next.had_split() {
        let left = asked.scene.place.route.clone()?;
        let keep = if next.stage == Stage::Completed { &next.candidate } else { &left.stable };
        let mut arms: Vec<_> = left.arms.iter().filter(|arm| arm.version == *keep).cloned().collect();
        arms.first_mut()?.basis_points = Share::WHOLE;
        Route {
            stable: keep.clone(),
            arms,
            salt: left.salt.clone(),
            lease_seconds: None,
            by_size: Vec::new(),
            sample_ms: None,
            on_drift: OnDrift::Restore,
            ..bare(next, seen + 1)
        }
    } else {
        return None;
    };
    Some(Change::Wish { route: Box::new(route), from_generation: asked.scene.place.route_generation(), at: now })
}

/// A route of the rollout's model without arms.
fn bare(next: &Rollout, generation: i64) -> Route {
    let checks = next.plan.checks.as_ref();
    let lease = next.lease().and_then(|lease| u32::try_from(lease.0 / 1000).ok());
    // A router sends its counts each third of a tick, so that one late sample does not leave a tick empty.
    let sample_ms =
        checks.and_then(|checks| u32::try_from(checks.tick.0 / 3).ok()).unwrap_or(5_000).clamp(1_000, 5_000);
    Route {
        tenant: next.tenant.clone(),
        model: next.model.clone(),
        generation,
        rollout_id: None,
        direction: Direction::Forward,
        lease_seconds: lease,
        hang_after_ms: checks.and_then(|checks| milliseconds(checks.largest_latency_limit_ms())),
        silent_after_ms: checks.and_then(|checks| milliseconds(checks.largest_ttft_limit_ms())),
        by_size: checks.map(by_size).unwrap_or_default(),
        sample_ms: Some(sample_ms),
        on_drift: next.plan.on_drift,
        stopped: false,
        matches: next.workload.matches.clone(),
        salt: String::new(),
        stable: next.candidate.clone(),
        arms: Vec::new(),
    }
}

/// The observations that the checks need by size.
fn by_size(checks: &Resolved) -> Vec<String> {
    let names: BTreeSet<&str> = checks.uncapped().filter_map(SignalName::observed).collect();
    names.into_iter().map(str::to_owned).collect()
}

fn milliseconds(limit: Option<u64>) -> Option<u32> {
    u32::try_from(limit?).ok()
}

fn message(next: &Rollout, intent: &Intent, now: At) -> Option<Message> {
    let (tenant, model, rollout_id) = (next.tenant.clone(), next.model.clone(), next.id.clone());
    Some(match intent {
        Intent::StartWorkload { attempt } => Message::WorkloadStart(WorkloadStart {
            tenant,
            model,
            rollout_id,
            attempt: *attempt,
            version: next.candidate.clone(),
            workload: next.workload.clone(),
            smoke: next.plan.smoke.clone(),
            until: next.entered_at.plus(next.plan.prepare_limit),
        }),
        Intent::ApplySplit { generation, direction, .. } => Message::SplitApply(SplitApply {
            tenant,
            model,
            rollout_id,
            generation: *generation,
            direction: *direction,
        }),
        Intent::RunAnalysis { attempt } => Message::AnalysisRun(analysis(next, *attempt, now)?),
        Intent::Remind => Message::RolloutWaiting(RolloutWaiting {
            tenant,
            model,
            rollout_id,
            version: next.version,
            stage: next.stage,
            since: next.entered_at,
            until: next.wake_at,
            reason: next.reason.clone(),
        }),
    })
}

fn analysis(next: &Rollout, attempt: i64, now: At) -> Option<AnalysisRun> {
    // Behind the last step of the plan the judge finds the bake.
    let behind = u32::try_from(next.plan.steps.len()).ok()?;
    let (step, dwell) =
        if next.stage == Stage::Baking { (behind, next.plan.bake) } else { (next.step, next.current_step()?.dwell) };
    Some(AnalysisRun {
        tenant: next.tenant.clone(),
        model: next.model.clone(),
        rollout_id: next.id.clone(),
        attempt,
        step,
        candidate: next.candidate.clone(),
        stable: next.previous.clone(),
        generation: next.generation,
        split_bp: next.desired().basis_points(),
        applied_at: next.applied_at.unwrap_or(now),
        dwell,
        held_ms: next.held_ms,
        checks: next.plan.checks.clone()?,
    })
}

fn moved(asked: &Asked<'_>, next: &Rollout, now: At) -> RolloutMoved {
    let applied = matches!(asked.fact.what, What::SplitApplied { .. });
    RolloutMoved {
        tenant: next.tenant.clone(),
        model: next.model.clone(),
        rollout_id: next.id.clone(),
        version: next.version,
        generation: next.generation,
        from: (asked.row().version > 0).then_some(asked.row().stage),
        to: next.stage,
        step: next.step,
        candidate: next.candidate.clone(),
        previous: next.previous.clone(),
        split_bp: next.desired().basis_points().min(WHOLE),
        split_applied: applied,
        reason: next.reason.clone(),
        actor: asked.fact.actor.clone(),
        evidence: asked
            .evidence
            .as_ref()
            .map(|evidence| json!({ "issues": evidence.get("issues"), "result": evidence.get("result"), "reached": evidence.get("reached") })),
        at: now,
    }
}
