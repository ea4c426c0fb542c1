//! Models, versions and policies as they are registered. What stands in the registry never changes.

use chassis::{Commit, Failure, Incoming};
use proto::{Message, ModelRegister, PolicySave, PromotionRequested, VersionNews, VersionRegister};
use rollout::{At, ModelSpec, Plan, RolloutId, WhenLive, Workload};
use store::{Change, ModelRow, PolicyRow, Rows, VersionRow};

use crate::handler::request;

pub(crate) async fn model(rows: &mut Rows<'_>, asked: &ModelRegister, now: At) -> Result<Commit, Failure> {
    let row = ModelRow {
        tenant: asked.tenant.clone(),
        name: asked.model.clone(),
        model_type: asked.model_type.clone(),
        kind: asked.kind.clone(),
        match_key: asked.matches.key(),
        spec: ModelSpec { matches: asked.matches.clone(), policy: asked.policy.clone(), health: asked.health.clone() },
        generation: 0,
        created_at: now,
    };
    if let Some(there) = rows.model(&row.tenant, &row.name).await? {
        let same = there.spec == row.spec && there.model_type == row.model_type && there.kind == row.kind;
        return Ok(Commit::refused(if same { "exists" } else { "conflict" }));
    }
    if rows.match_owner(&row.match_key).await?.is_some() {
        return Ok(Commit::refused("match_taken"));
    }
    Ok(Commit::applied().change(Change::Model(Box::new(row))))
}

pub(crate) async fn version(
    rows: &mut Rows<'_>,
    incoming: &Incoming,
    asked: &VersionRegister,
    now: At,
) -> Result<Commit, Failure> {
    let Some(model) = rows.model(&asked.tenant, &asked.model).await? else {
        return Ok(Commit::refused("unknown_model"));
    };
    let row = VersionRow {
        tenant: asked.tenant.clone(),
        model_type: model.model_type.clone(),
        name: asked.model.clone(),
        version: asked.version.clone(),
        artifact_uri: asked.artifact_uri.clone(),
        status: "published".to_owned(),
        traffic_pct: 0.0,
        upstream: asked.upstream.clone(),
        headers: asked.headers.clone(),
        metadata: asked.metadata.clone(),
        created_at: now,
        updated_at: now,
    };
    if let Some(there) = rows.version(&row.tenant, &row.name, &row.version).await? {
        let same = there.upstream == row.upstream
            && there.headers == row.headers
            && there.metadata == row.metadata
            && there.artifact_uri == row.artifact_uri;
        return Ok(Commit::refused(if same { "exists" } else { "conflict" }));
    }
    let news = VersionNews {
        tenant: row.tenant.clone(),
        model: row.name.clone(),
        version: row.version.clone(),
        status: row.status.clone(),
        reason: None,
    };
    let is_first = rows.versions(&row.tenant, &row.name, (At(i64::MAX), ""), 1).await?.is_empty();
    let mut commit =
        if is_first { request(incoming, activation(incoming, asked, model.spec)) } else { Commit::applied() };
    let id = format!("rw.{}.1", RolloutId::of(&incoming.source, &incoming.id));
    commit.changes.push(Change::Version(Box::new(row)));
    Ok(commit.say(id, Message::VersionRegistered(news)))
}

/// The first version of a model becomes active when it is healthy.
fn activation(incoming: &Incoming, asked: &VersionRegister, spec: ModelSpec) -> PromotionRequested {
    PromotionRequested {
        tenant: asked.tenant.clone(),
        model: asked.model.clone(),
        rollout_id: RolloutId::of(&incoming.source, &incoming.id),
        candidate: asked.version.clone(),
        workload: Workload {
            upstream: asked.upstream.clone(),
            headers: asked.headers.clone(),
            health: spec.health,
            matches: spec.matches,
        },
        plan: Plan::activate(),
        when_live: WhenLive::Reject,
        requested_by: asked.requested_by.clone(),
        reason: Some("the first version becomes active when it is healthy".to_owned()),
        refusal: None,
    }
}

pub(crate) async fn policy(rows: &mut Rows<'_>, asked: &PolicySave, now: At) -> Result<Commit, Failure> {
    let there = rows.policy(&asked.tenant, &asked.name).await?;
    if there.as_ref().is_some_and(|there| there.spec == asked.spec) {
        return Ok(Commit::refused("exists"));
    }
    Ok(Commit::applied().change(Change::Policy(Box::new(PolicyRow {
        tenant: asked.tenant.clone(),
        name: asked.name.clone(),
        revision: there.map_or(0, |there| there.revision) + 1,
        spec: asked.spec.clone(),
        created_by: asked.created_by.clone(),
        created_at: now,
    }))))
}
