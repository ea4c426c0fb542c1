//! Outcomes that only the caller knows: task success, judged hallucination, cost.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chassis::Core;
use proto::http::Observation;
use proto::{Message, Outcome, OutcomeObserved};
use rollout::{Model, Tenant, Version};

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
    let mut registered = BTreeSet::new();
    for (index, observation) in observations.into_iter().enumerate() {
        checked(index, &observation)?;
        let Observation { model, version, metric, value, .. } = observation;
        // Hundreds of outcomes are of one or two versions.
        if registered.insert((model.clone(), version.clone())) {
            known(&core, &tenant, index, (&model, &version)).await?;
        }
        by_model.entry(model).or_default().push(Outcome { version, metric, value });
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

fn bad(index: usize, field: &str, what: &str) -> Refusal {
    Refusal::unprocessable("bad_observation", format!("[{index}].{field}: {what}")).field(format!("[{index}].{field}"))
}

fn checked(index: usize, observation: &Observation) -> Answer<()> {
    let metric = &observation.metric;
    let begins = metric.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if !begins
        || metric.len() > 63
        || !metric.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        return Err(bad(index, "metric", &format!("`{}` is not a name such as task_success", metric.escape_default())));
    }
    if !observation.value.is_finite() || observation.value.abs() > 1e15 {
        return Err(bad(index, "value", &format!("{} is not a number that can be counted", observation.value)));
    }
    if observation.at.as_ref().is_some_and(|at| proto::instant::parse(at).is_none()) {
        return Err(bad(index, "at", "it is no instant such as 2026-01-31T12:00:00Z"));
    }
    Ok(())
}

async fn known(core: &Core, tenant: &Tenant, index: usize, (model, version): (&Model, &Version)) -> Answer<()> {
    match core.store.page().await?.rows().version(tenant, model, version).await? {
        Some(_) => Ok(()),
        None => Err(bad(index, "version", &format!("version `{version}` of model `{model}` is not registered"))),
    }
}
