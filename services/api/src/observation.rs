//! Outcomes that only the caller knows: task success, judged hallucination, cost.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chassis::Core;
use proto::http::Observation;
use proto::{Message, Outcome, OutcomeObserved};
use rollout::{Model, Tenant};

use crate::problem::{Answer, Refusal, body};
use crate::said::{Asked, settled};

/// Outcomes in one request.
const OUTCOMES_MAX: usize = 500;

pub(crate) async fn post(State(core): State<Core>, headers: HeaderMap, bytes: Bytes) -> Answer<StatusCode> {
    let observations: Vec<Observation> = body(&bytes)?;
    if observations.len() > OUTCOMES_MAX {
        return Err(Refusal::unprocessable("too_many", format!("at most {OUTCOMES_MAX} observations in a request")));
    }
    let tenant = Tenant::default();
    let mut by_model: BTreeMap<Model, Vec<Outcome>> = BTreeMap::new();
    for (index, observation) in observations.into_iter().enumerate() {
        let (model, outcome) = checked(&core, &tenant, index, observation).await?;
        by_model.entry(model).or_default().push(outcome);
    }
    let what = format!("POST /v1/observations {}", String::from_utf8_lossy(&bytes));
    let asked = Asked { headers: &headers, tenant: &tenant, what };
    if asked.earlier(&core).await?.is_none() {
        let observed =
            |(model, outcomes)| Message::OutcomeObserved(OutcomeObserved { tenant: tenant.clone(), model, outcomes });
        for id in asked.say_all(&core, by_model.into_iter().map(observed).collect()).await? {
            settled(&core, "analyzer", &id).await?;
        }
    }
    Ok(StatusCode::ACCEPTED)
}

async fn checked(core: &Core, tenant: &Tenant, index: usize, observation: Observation) -> Answer<(Model, Outcome)> {
    let bad = |field: &str, what: String| {
        Refusal::unprocessable("bad_observation", format!("[{index}].{field}: {what}"))
            .field(format!("[{index}].{field}"))
    };
    let metric = &observation.metric;
    let begins = metric.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if !begins
        || metric.len() > 63
        || !metric.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        return Err(bad("metric", format!("`{}` is not a name such as task_success", metric.escape_default())));
    }
    if !observation.value.is_finite() || observation.value.abs() > 1e15 {
        return Err(bad("value", format!("{} is not a number that can be counted", observation.value)));
    }
    if observation.at.as_ref().is_some_and(|at| proto::instant::parse(at).is_none()) {
        return Err(bad("at", "it is no instant such as 2026-01-31T12:00:00Z".to_owned()));
    }
    let known = core.store.page().await?.rows().version(tenant, &observation.model, &observation.version).await?;
    if known.is_none() {
        return Err(bad(
            "version",
            format!("version `{}` of model `{}` is not registered", observation.version, observation.model),
        ));
    }
    let Observation { model, version, metric, value, .. } = observation;
    Ok((model, Outcome { version, metric, value }))
}
