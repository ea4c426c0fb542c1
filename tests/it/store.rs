//! The contract of the store: what each statement, constraint and race does, written once and run on every engine.

use std::collections::BTreeMap;

use rollout::{
    Arm, At, Before, Direction, Health, MACHINE, Match, Model, ModelSpec, NoKey, Plan, Policy, Rollout, RolloutId,
    Route, Share, Stage, Tenant, Version, Workload,
};
use serde_json::json;
use store::{Change, Class, Error, Mark, ModelRow, Outgoing, Settled, Store, Transition, VersionRow, Written};

mod opening;
mod postgres;
mod sqlite;

const NOON: At = At(1_800_000_000_000);

/// Applies one change in a transaction of its own.
async fn apply(store: &Store, change: Change) -> Result<Written, Error> {
    let mut tx = store.begin().await?;
    let written = tx.apply(&change).await?;
    tx.commit().await?;
    Ok(written)
}

async fn done(store: &Store, change: Change) {
    assert_eq!(apply(store, change).await.unwrap(), Written::Done);
}

async fn lost(store: &Store, change: Change) {
    assert_eq!(apply(store, change).await.unwrap(), Written::Lost);
}

/// What a caller has to do about the refusal of `change`.
async fn class(store: &Store, change: Change) -> Class {
    apply(store, change).await.unwrap_err().class()
}

fn tenant() -> Tenant {
    Tenant::default_tenant()
}

fn model(name: &str) -> Model {
    Model::new(name).unwrap()
}

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

fn id(name: &str) -> RolloutId {
    RolloutId::of("/test", name)
}

fn plan() -> Plan {
    Policy::from_yaml(Policy::preset("agent-default").unwrap()).unwrap().plan().unwrap()
}

fn matches() -> Match {
    Match {
        path_prefix: None,
        host: Some("a.example".to_owned()),
        session_header: "x-user".to_owned(),
        session_cookie: Some("sid".to_owned()),
        no_key: NoKey::Stable,
    }
}

fn workload() -> Workload {
    let headers = BTreeMap::from([("x-arm".to_owned(), "é \" '".to_owned())]);
    Workload {
        upstream: "http://127.0.0.1:9002".to_owned(),
        headers,
        health: Health::At { path: "/ok".to_owned() },
        matches: matches(),
    }
}

fn arm(of: &str, points: u32) -> Arm {
    let share = Share::of_basis_points(points).unwrap();
    Arm {
        version: version(of),
        basis_points: share,
        upstream: format!("http://{of}.example:80/base"),
        headers: BTreeMap::new(),
    }
}

/// A rollout that waits in `stage`, with every field filled in.
fn rollout(name: &str, of: &str, stage: Stage) -> Rollout {
    Rollout {
        id: id(name),
        tenant: tenant(),
        model: model(of),
        candidate: version("2.0.0+cu12"),
        workload: workload(),
        previous: Some(version("1.9.0")),
        requested_by: "ann@example ☃".to_owned(),
        plan: plan(),
        before: Some(Before { stable: version("1.9.0"), arms: vec![arm("1.9.0", 10_000)] }),
        machine: MACHINE,
        stage,
        step: 1,
        resume: Some(Stage::Observing),
        reason: Some("because".to_owned()),
        attempt: 3,
        version: 1,
        generation: 7,
        held_ms: 11,
        wake_at: (!stage.is_final()).then_some(NOON),
        entered_at: At(NOON.0 - 5),
        applied_at: Some(At(NOON.0 - 4)),
        retreated_at: None,
        created_at: At(NOON.0 - 9),
        updated_at: At(NOON.0 - 3),
    }
}

fn open(row: Rollout) -> Change {
    let entry = Box::new(entry(&row, &row.version.to_string()));
    Change::Open { salt: format!("salt of {}", row.id), row: Box::new(row), entry }
}

/// The row one version later, after `change`.
fn next(row: &Rollout, change: impl FnOnce(&mut Rollout)) -> Rollout {
    let mut next = row.clone();
    next.version += 1;
    change(&mut next);
    next
}

fn moved(row: &Rollout, from_version: i64) -> Change {
    moved_by(row, from_version, entry(row, &row.version.to_string()))
}

fn moved_by(row: &Rollout, from_version: i64, entry: Transition) -> Change {
    Change::Move { row: Box::new(row.clone()), from_version, entry: Box::new(entry) }
}

fn entry(of: &Rollout, fact_id: &str) -> Transition {
    Transition {
        rollout_id: of.id.clone(),
        version: of.version,
        from_stage: "none".to_owned(),
        to_stage: of.stage.name().to_owned(),
        step: of.step,
        fact_kind: "requested".to_owned(),
        fact_source: "/tidegate/api".to_owned(),
        fact_id: fact_id.to_owned(),
        fact: json!({ "kind": "requested", "share": 0.1, "text": "é\u{0}\n" }),
        actor: "ann".to_owned(),
        reason: None,
        evidence: Some(json!({ "p": [1e-300, 0.1] })),
        decided_at: NOON,
    }
}

fn route(of: &str, generation: i64) -> Route {
    Route {
        tenant: tenant(),
        model: model(of),
        generation,
        rollout_id: Some(id("a")),
        direction: Direction::Forward,
        lease_seconds: Some(60),
        hang_after_ms: Some(1_500),
        by_size: vec!["cost_usd".to_owned()],
        silent_after_ms: Some(500),
        on_drift: rollout::OnDrift::Hold,
        sample_ms: Some(5_000),
        stopped: false,
        matches: matches(),
        salt: "s".to_owned(),
        stable: version("1.9.0"),
        arms: vec![arm("2.0.0", 500), arm("1.9.0", 9_500)],
    }
}

fn model_row(name: &str) -> ModelRow {
    let spec = ModelSpec {
        matches: Match::default_for(&tenant(), &model(name)),
        policy: Some(json!({ "steps": [1, 0.25] })),
        health: Health::default(),
    };
    ModelRow {
        tenant: tenant(),
        name: model(name),
        model_type: "RERANKER".to_owned(),
        kind: "model".to_owned(),
        match_key: spec.matches.key(),
        spec,
        generation: 0,
        created_at: NOON,
    }
}

fn version_row(of: &str, text: &str, status: &str) -> VersionRow {
    VersionRow {
        tenant: tenant(),
        model_type: "RERANKER".to_owned(),
        name: model(of),
        version: version(text),
        artifact_uri: Some("s3://bucket/é".to_owned()),
        status: status.to_owned(),
        traffic_pct: 33.3,
        upstream: "http://127.0.0.1:9001".to_owned(),
        headers: BTreeMap::from([("x-a".to_owned(), "b".to_owned())]),
        metadata: json!({ "size": 0.1, "tags": [null, true, "x"] }),
        created_at: NOON,
        updated_at: NOON,
    }
}

fn mark(service: &'static str, message_id: &str, handled_at: At) -> Mark {
    let (source, message_id) = ("/tidegate/api".to_owned(), message_id.to_owned());
    Mark { service, source, message_id, settled: Settled::Applied, reason: None, rollout_id: None, handled_at }
}

fn message(message_id: &str, created_at: At) -> Outgoing {
    Outgoing {
        service: "api",
        message_id: message_id.to_owned(),
        rollout_id: Some(id("a")),
        subject: "tg.cmd.default.m.rollout.stop".to_owned(),
        headers: r#"{"a":"é"}"#.to_owned(),
        body: "{ \"kept\" : \"byte for byte\" }".to_owned(),
        created_at,
    }
}

/// Says messages, each in its own transaction, and gives their positions.
async fn say(store: &Store, messages: &[Outgoing]) -> Vec<Option<i64>> {
    let mut positions = Vec::new();
    for message in messages {
        let mut tx = store.begin().await.unwrap();
        let said = tx.say(std::slice::from_ref(message)).await.unwrap();
        positions.push(said.first().map(|(position, _)| *position));
        tx.commit().await.unwrap();
    }
    positions
}
