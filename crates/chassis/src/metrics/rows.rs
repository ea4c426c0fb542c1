//! Gauges that are read from the rows at the moment of asking.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rollout::{Route, Stage};
use store::{Rows, Standing, Store};

use crate::bus::{Backlog, Bus};

type Ratio = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Which {
    tenant: String,
    model: String,
    rollout: String,
    from: String,
    to: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AtStage {
    tenant: String,
    model: String,
    rollout: String,
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AtStep {
    tenant: String,
    model: String,
    rollout: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Split {
    tenant: String,
    model: String,
    arm: &'static str,
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByConsumer {
    consumer: &'static str,
}

/// One gauge after the other, each of one name.
struct Gauges {
    registry: Registry,
}

/// What the role of a service may not read, as its database has said. It is not asked again: a database writes each refusal into
/// its log. A page without that is nothing to warn of: the page of api has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Refused(Arc<Mutex<BTreeSet<&'static str>>>);

impl Refused {
    async fn unless<T>(
        &self,
        what: &'static str,
        read: impl Future<Output = Result<T, store::Error>>,
    ) -> Result<Option<T>, store::Error> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(what) {
            return Ok(None);
        }
        match read.await {
            Err(error) if error.is_forbidden() => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what);
                tracing::info!("the metrics page is without {what}, which the role of this service may not read");
                Ok(None)
            }
            read => read.map(Some),
        }
    }
}

pub(super) async fn page(
    store: &Store,
    bus: &Bus,
    now: rollout::At,
    refused: &Refused,
) -> Result<String, store::Error> {
    let mut reader = store.page().await?;
    let mut rows = reader.rows();
    let mut gauges = Gauges { registry: Registry::with_prefix("tidegate") };
    if let Some(standings) = refused.unless("rollouts", rows.standings()).await? {
        gauges.rollouts(&standings);
        refused.unless("splits", gauges.splits(&mut rows, &standings)).await?;
    }
    gauges.backlog(&bus.backlog(&mut rows).await?, now);
    let parked = Gauge::<i64>::default();
    parked.set(rows.parked_count().await?);
    gauges.registry.register("parked_messages", "Messages that can never work and wait for a person", parked);
    let mut text = String::new();
    // Writing into a String can't fail.
    let _ = encode_registry(&mut text, &gauges.registry);
    Ok(text)
}

impl Gauges {
    fn rollouts(&mut self, standings: &[Standing]) {
        let (which, stages, steps) = (Family::default(), Family::default(), Family::default());
        for standing in standings {
            let (tenant, model) = (standing.tenant.to_string(), standing.model.to_string());
            let rollout = standing.rollout_id.to_string();
            let info: Which = Which {
                tenant: tenant.clone(),
                model: model.clone(),
                rollout: rollout.clone(),
                from: standing.previous.as_ref().map(ToString::to_string).unwrap_or_default(),
                to: standing.candidate.to_string(),
            };
            Family::<Which, Gauge>::get_or_create(&which, &info).set(1);
            for stage in Stage::ALL {
                let at = AtStage {
                    tenant: tenant.clone(),
                    model: model.clone(),
                    rollout: rollout.clone(),
                    stage: stage.name(),
                };
                Family::<AtStage, Gauge>::get_or_create(&stages, &at).set(i64::from(*stage == standing.stage));
            }
            let at = AtStep { tenant, model, rollout };
            Family::<AtStep, Gauge>::get_or_create(&steps, &at).set(i64::from(standing.step) + 1);
        }
        self.registry.register("rollout_info", "Rollouts that are not over", which);
        self.registry.register("rollout_stage", "1 for the stage that a rollout is in", stages);
        self.registry.register("rollout_step", "The step that a rollout is in, from 1", steps);
    }

    async fn splits(&mut self, rows: &mut Rows<'_>, standings: &[Standing]) -> Result<(), store::Error> {
        let ratios = Family::<Split, Ratio>::default();
        let put = |route: &Route, arm, source, ratio| {
            let (tenant, model) = (route.tenant.to_string(), route.model.to_string());
            ratios.get_or_create(&Split { tenant, model, arm, source }).set(ratio);
        };
        let targets = rows.targets().await?;
        for route in rows.routes().await? {
            for arm in &route.arms {
                let ratio = f64::from(arm.basis_points.basis_points()) / f64::from(rollout::WHOLE);
                put(&route, arm_of(&route, arm.version.as_str()), "desired", ratio);
            }
            let id = format!("routers/{}", proto::subject::key(&route.tenant, &route.model));
            let target = targets.iter().find(|target| target.target_id == id);
            let arms = target.and_then(|target| target.observed.as_ref()?.get("arms")?.as_object());
            for (version, points) in arms.into_iter().flatten() {
                let ratio = points.as_f64().unwrap_or_default() / f64::from(rollout::WHOLE);
                put(&route, arm_of(&route, version), "applied", ratio);
            }
            let live =
                standings.iter().find(|standing| (&standing.tenant, &standing.model) == (&route.tenant, &route.model));
            if let Some((candidate, stable)) = live.and_then(|standing| standing.answers).filter(|(a, b)| a + b > 0.0) {
                put(&route, "candidate", "observed", candidate / (candidate + stable));
                put(&route, "stable", "observed", stable / (candidate + stable));
            }
        }
        self.registry.register(
            "split_ratio",
            "The share of an arm: as wished, as read back from every router, as counted in the last tick",
            ratios,
        );
        Ok(())
    }

    fn backlog(&mut self, backlog: &Backlog, now: rollout::At) {
        let lag = Family::<ByConsumer, Gauge>::default();
        for (consumer, messages) in &backlog.lag {
            lag.get_or_create(&ByConsumer { consumer }).set(i64::try_from(*messages).unwrap_or(i64::MAX));
        }
        self.registry.register("consumer_lag_messages", "Messages that a consumer has not settled yet", lag);
        let waiting = Gauge::<i64>::default();
        waiting.set(i64::try_from(backlog.waiting).unwrap_or(i64::MAX));
        self.registry.register("outbox_waiting", "Messages that not every consumer has settled yet", waiting);
        let oldest = Ratio::default();
        let age_ms = backlog.oldest.map_or(0, |at| now.ms_since(at).max(0));
        #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds is far below 2^52")]
        oldest.set(age_ms as f64 / 1000.0);
        self.registry.register("outbox_oldest_seconds", "Age of the oldest of them", oldest);
    }
}

fn arm_of(route: &Route, version: &str) -> &'static str {
    if route.stable.as_str() == version { "stable" } else { "candidate" }
}
