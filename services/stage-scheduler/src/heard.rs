//! Reads a fact from a message.

use proto::{EvaluationFinished, Message, RolloutCommand, RouteNews};
use rollout::{RolloutId, What};
use serde_json::{Value, json};

/// A fact about a rollout, before the rows around it were read.
pub(crate) struct Heard {
    pub(crate) rollout_id: RolloutId,
    pub(crate) what: What,
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    pub(crate) evidence: Option<Value>,
    pub(crate) if_version: Option<i64>,
}

/// The fact that `message` tells, if it is one for this service.
pub(crate) fn heard(message: &Message) -> Option<Heard> {
    let of = |rollout_id: &RolloutId, what, actor: &str, evidence| Heard {
        rollout_id: rollout_id.clone(),
        what,
        actor: actor.to_owned(),
        reason: None,
        evidence,
        if_version: None,
    };
    Some(match message {
        Message::RolloutAdvance(command)
        | Message::RolloutPause(command)
        | Message::RolloutResume(command)
        | Message::RolloutApprove(command)
        | Message::RolloutReject(command)
        | Message::RolloutPromote(command)
        | Message::RolloutStop(command) => said(command),
        Message::WorkloadReady(answer) => {
            of(&answer.rollout_id, What::WorkloadReady { attempt: answer.attempt }, "deployer", None)
        }
        Message::WorkloadFailed(answer) => {
            let reason = answer.reason.clone().unwrap_or_else(|| "unknown".to_owned());
            of(
                &answer.rollout_id,
                What::WorkloadFailed { attempt: answer.attempt, reason, passing: answer.passing },
                "deployer",
                None,
            )
        }
        Message::SplitApplied(answer) => {
            let evidence = json!({ "routers": answer.routers });
            of(
                &answer.rollout_id,
                What::SplitApplied { generation: answer.generation },
                "traffic-updater",
                Some(evidence),
            )
        }
        Message::SplitFailed(answer) => {
            let reason = answer.reason.clone().unwrap_or_else(|| "unknown".to_owned());
            of(&answer.rollout_id, What::SplitFailed { generation: answer.generation, reason }, "traffic-updater", None)
        }
        Message::RouteExpired(news) => noticed(news, What::LeaseExpired { generation: news.generation })?,
        Message::RouteDrifted(news) if news.stopped => noticed(news, What::StopSeen { generation: news.generation })?,
        Message::RouteDrifted(news) => {
            noticed(news, What::RouteDrifted { generation: news.generation, found: news.found })?
        }
        Message::VerdictReached(reached) => {
            let verdict = &reached.verdict;
            let issue = judge::deciding(verdict, &reached.issues).map(str::to_owned);
            let reason = issue.or_else(|| verdict.reason.as_ref().map(word));
            let what = What::VerdictReached {
                attempt: reached.attempt,
                action: verdict.action,
                result: word(&verdict.result),
                reason,
            };
            of(&reached.rollout_id, what, "analyzer", serde_json::to_value(reached).ok())
        }
        _ => return None,
    })
}

/// What another system found out, with the whole of it as evidence.
pub(crate) fn evaluation(rollout_id: RolloutId, evaluated: &EvaluationFinished, source: &str) -> Heard {
    let what = What::EvaluationFinished { name: evaluated.name.clone(), outcome: evaluated.outcome.name().to_owned() };
    Heard {
        rollout_id,
        what,
        actor: source.to_owned(),
        reason: None,
        evidence: serde_json::to_value(evaluated).ok(),
        if_version: None,
    }
}

/// What a target was seen to serve without being asked.
fn noticed(news: &RouteNews, what: What) -> Option<Heard> {
    Some(Heard {
        rollout_id: news.rollout_id.clone()?,
        what,
        actor: "traffic-updater".to_owned(),
        reason: news.reason.clone(),
        evidence: serde_json::to_value(news).ok(),
        if_version: None,
    })
}

/// What a person says; the actor is a claim beside the key's owner, which is all that is known without keys.
fn said(command: &RolloutCommand) -> Heard {
    Heard {
        rollout_id: command.rollout_id.clone(),
        what: What::Commanded { verb: command.verb },
        actor: command.actor.clone().unwrap_or_else(|| command.owner.clone()),
        reason: command.reason.clone(),
        evidence: None,
        if_version: command.if_version.filter(|_| !command.verb.turns_back()),
    }
}

/// The stored word of a value that serialises as one.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
