//! What people and other systems say.

use std::collections::BTreeMap;

use proto::{Message, ModelRegister, RolloutCommand, RouteNews, VersionPromote, VersionRegister};
use rollout::{Health, Match, Model, RolloutId, Route, Tenant, Verb, Version, WhenLive};
use serde_json::{Value, json};

pub(crate) fn tenant() -> Tenant {
    Tenant::default_tenant()
}

pub(crate) fn model() -> Model {
    Model::new("reranker").unwrap()
}

pub(crate) fn registered() -> Message {
    Message::ModelRegister(ModelRegister {
        tenant: tenant(),
        model: model(),
        model_type: "RERANKER".to_owned(),
        kind: "model".to_owned(),
        matches: Match::default_for(&tenant(), &model()),
        policy: None,
        health: Health::default(),
    })
}

pub(crate) fn version(version: &str) -> Message {
    Message::VersionRegister(VersionRegister {
        tenant: tenant(),
        model: model(),
        version: Version::new(version).unwrap(),
        upstream: format!("http://10.0.0.{version}:80"),
        headers: BTreeMap::new(),
        artifact_uri: None,
        metadata: Value::Null,
        requested_by: "local".to_owned(),
    })
}

/// Steps without a judge, one of them behind a gate.
pub(crate) fn stepwise() -> Value {
    json!({"name": "stepwise", "bake": "3s", "steps": [
        {"split": 25, "dwell": "2s"}, {"split": 50, "dwell": "2s", "gate": {"expires": "1h"}}, {"split": 100, "dwell": "0s"}]})
}

/// Nobody has to be asked, and it is over at once.
pub(crate) fn quick() -> Value {
    json!({"name": "quick", "steps": [{"split": 25, "dwell": "1s"}, {"split": 100, "dwell": "0s"}]})
}

pub(crate) fn promoted(version: &str, policy: Value, when_live: WhenLive) -> Message {
    Message::VersionPromote(VersionPromote {
        tenant: tenant(),
        model: model(),
        version: Version::new(version).unwrap(),
        target_stage: "canary".to_owned(),
        policy: Some(policy),
        when_live: Some(when_live),
        requested_by: Some("ci".to_owned()),
        reason: None,
    })
}

pub(crate) fn commanded(rollout_id: RolloutId, verb: Verb) -> Message {
    let command = RolloutCommand {
        tenant: tenant(),
        model: model(),
        rollout_id,
        verb,
        owner: "local".to_owned(),
        actor: None,
        reason: None,
        if_version: None,
    };
    match verb {
        Verb::Advance => Message::RolloutAdvance(command),
        Verb::Pause => Message::RolloutPause(command),
        Verb::Resume => Message::RolloutResume(command),
        Verb::Approve => Message::RolloutApprove(command),
        Verb::Reject => Message::RolloutReject(command),
        Verb::Promote => Message::RolloutPromote(command),
        Verb::Rollback | Verb::Cancel => Message::RolloutStop(command),
    }
}

/// What a target may say of the route that it has, without being asked.
pub(crate) fn noticed(route: &Route, is_expired: bool) -> Message {
    let news = RouteNews {
        tenant: tenant(),
        model: model(),
        rollout_id: route.rollout_id.clone(),
        generation: route.generation,
        target: "one".to_owned(),
        found: None,
        stopped: false,
        reason: None,
    };
    if is_expired { Message::RouteExpired(news) } else { Message::RouteDrifted(news) }
}
