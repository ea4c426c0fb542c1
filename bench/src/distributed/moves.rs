//! Promotes, breaches, a storm and the cost of it all, with every service in a process of its own, two routers, 10,000 registered
//! models and 1,000 live rollouts of 5 checks each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use proto::{Message, VersionPromote};
use rollout::{Model, Tenant, Version};
use serde_json::{Value, json};

use super::floor::publish;
use super::hop::Hop;
use super::load::{asked, published, ready};
use super::plane::{Plane, hear};
use crate::figure::{Figure, quantile, say};
use crate::house::{self, Api};

const REGISTERED: usize = 10_000;
const LIVE: usize = 1_000;
const MEASURED: usize = 100;
const ROUTERS: usize = 2;
/// Requests of ours on their way at once, while the models are made.
const AT_ONCE: usize = 8;
/// How long the processes are watched.
const WATCHED: Duration = Duration::from_secs(60);
const STORM: usize = 50_000;
/// Far above what a split takes.
const LIMIT: Duration = Duration::from_secs(60);
/// What is posted is judged by then: longer than a tick, and than what follows from it.
const JUDGED_BY: Duration = Duration::from_secs(20);
/// Between the breaches, so that they do not all fall into one tick.
const APART: Duration = Duration::from_millis(100);

pub(super) async fn measure(hop: &Hop) -> anyhow::Result<Vec<Figure>> {
    let mut plane = Plane::set_up()?;
    let mut api = String::new();
    for service in [
        "registry-writer",
        "stage-scheduler",
        "analyzer",
        "traffic-updater",
        "deployer",
        "notifier",
        "api",
        "router",
        "router",
    ] {
        let serves = plane.start(service).await?;
        if service == "api" {
            api = serves;
        }
    }
    let (api, upstream, mut jetstream) = (Api::at(api)?, house::upstream().await?, plane.jetstream().await);
    // A storm is to be published whole, however long the server takes over it.
    jetstream.set_timeout(LIMIT);
    let promoted = promoted(&api, &jetstream, upstream).await?;
    let calm = on_trial(&api, upstream, "calm").await?;
    let unloaded = rolled_back(&api, &jetstream, &calm).await?;
    say(&format!("registering {REGISTERED} models, promoting {LIVE}"));
    let live = populate(&api, upstream).await?;
    let usage = used(&plane).await?;
    let breached = breached(&api, &live).await?;
    let caught = on_trial(&api, upstream, "storm").await?;
    say(&format!("a storm of {STORM}"));
    let storm = (0..STORM / 2).flat_map(|number| [asked(number), ready(number)]).collect::<anyhow::Result<Vec<_>>>()?;
    publish(&jetstream, storm.into_iter()).await?;
    let stormed = rolled_back(&api, &jetstream, &caught).await?;
    let chain = 3.0 * 2.0 * hop.floor(0.99);
    Ok(vec![
        within(
            "promote by NATS -> first split applied, two routers",
            &promoted,
            "p99 <= 100 ms",
            100.0,
            hop.floor(0.5),
        ),
        within(
            "breach -> split at 0 read back from two routers, 1,000 live",
            &breached,
            "p99 <= 50 ms and 6 hops of the floor",
            chain.min(50.0),
            hop.floor(0.5),
        ),
        usage,
        fairness(&unloaded, &stormed),
    ])
}

fn within(what: &'static str, ms: &[f64], target: &'static str, most: f64, hop: f64) -> Figure {
    let (p50, p99) = (quantile(ms, 0.5), quantile(ms, 0.99));
    Figure {
        what,
        ours: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        floor: format!("{hop:.2} ms a hop"),
        ratio: format!("{:.1} hops (p50)", p50 / hop),
        target,
        is_met: p99 <= most,
    }
}

fn fairness(unloaded: &[f64], stormed: &[f64]) -> Figure {
    let (unloaded, stormed) = (quantile(unloaded, 0.99), quantile(stormed, 0.99));
    Figure {
        what: "stop -> both routers serve the stable arm, 50,000 messages of others in front, p99",
        ours: format!("{stormed:.1} ms"),
        floor: format!("{unloaded:.1} ms, without them"),
        ratio: format!("{:.2}", stormed / unloaded),
        target: "<= 2 x",
        is_met: stormed <= 2.0 * unloaded,
    }
}

/// Promotes by events of another system, one after another, in milliseconds from the publication until both routers have said that
/// they serve the first split.
async fn promoted(api: &Api, jetstream: &jetstream::Context, upstream: SocketAddr) -> anyhow::Result<Vec<f64>> {
    let mut all = Vec::new();
    for number in 0..MEASURED {
        let model = format!("promoted{number}");
        api.model(&model, upstream).await?;
        let mut words = hear(jetstream, "KV_tg_router", &format!("$KV.tg_router.*.default.{model}")).await?;
        let promote = Message::VersionPromote(VersionPromote {
            tenant: Tenant::default_tenant(),
            model: Model::new(&model)?,
            version: Version::new("2")?,
            target_stage: "canary".to_owned(),
            policy: Some(house::policy()),
            when_live: None,
            requested_by: Some("bench".to_owned()),
            reason: None,
        });
        let (_, body) = published("/elsewhere", format!("bench.{number}"), &promote);
        let began = Instant::now();
        jetstream.publish(format!("tg.in.default.{model}.version.promote"), body.into()).await?.await?;
        said_by_all(&mut words, |word| word["generation"].as_i64() > Some(1)).await.context(model)?;
        all.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(all)
}

/// Rollouts that observe their first step; gives the models and their rollouts.
async fn on_trial(api: &Api, upstream: SocketAddr, name: &str) -> anyhow::Result<Vec<(String, String)>> {
    let plan = json!({"name": "plain", "steps": [{"split": 50, "dwell": "1h"}, {"split": 100, "dwell": "0s"}]});
    let mut all = Vec::new();
    for number in 0..MEASURED {
        let model = format!("{name}{number}");
        api.model(&model, upstream).await?;
        let id = api.promote(&model, &plan).await?;
        api.stage(&id, "observing").await?;
        all.push((model, id));
    }
    Ok(all)
}

/// Stops rollouts, one after another, in milliseconds from the request until both routers have said that they serve the stable arm.
async fn rolled_back(
    api: &Api,
    jetstream: &jetstream::Context,
    rollouts: &[(String, String)],
) -> anyhow::Result<Vec<f64>> {
    let mut all = Vec::new();
    for (model, id) in rollouts {
        let mut words = hear(jetstream, "KV_tg_router", &format!("$KV.tg_router.*.default.{model}")).await?;
        let (path, asked) = (format!("/v1/rollouts/{id}/rollback"), json!({"reason": "bench"}));
        let began = Instant::now();
        let (answer, said) = tokio::join!(
            api.post(&path, &asked),
            said_by_all(&mut words, |word| word["held"] == json!("stopped") || word["generation"].as_i64() > Some(2))
        );
        answer?;
        all.push((said.with_context(|| model.clone())? - began).as_secs_f64() * 1_000.0);
    }
    Ok(all)
}

/// When every router has said such a word.
async fn said_by_all(words: &mut pull::Stream, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<Instant> {
    let mut said = BTreeMap::new();
    while said.len() < ROUTERS {
        let word = tokio::time::timeout(LIMIT, words.next())
            .await
            .context("the routers say nothing")?
            .context("no words")??;
        let value: Value = serde_json::from_slice(&word.payload)?;
        if is_it(&value) {
            said.insert(word.subject.to_string(), ());
        }
    }
    Ok(Instant::now())
}

/// Registers the models and has the first of them on trial; gives these and their rollouts.
async fn populate(api: &Api, upstream: SocketAddr) -> anyhow::Result<Vec<(String, String)>> {
    let policy = five_checks();
    let models = stream::iter(0..REGISTERED).map(|number| {
        let policy = &policy;
        async move {
            let model = format!("m{number}");
            if number >= LIVE {
                api.post("/v1/models", &json!({"name": model, "type": "BENCH"})).await?;
                return anyhow::Ok(None);
            }
            api.model(&model, upstream).await?;
            let id = api.promote(&model, policy).await?;
            api.stage(&id, "observing").await?;
            Ok(Some((model, id)))
        }
    });
    let made: Vec<_> = models.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(made.into_iter().flatten().collect())
}

fn five_checks() -> Value {
    let mut policy = house::policy();
    let check = |metric: &str| json!({"metric": metric, "rules": {"gte": 0.5}, "min_samples": 20, "interval": "15s", "window": "step", "method": "threshold"});
    policy["checks"] =
        json!(["hallucination_rate", "error_rate", "toxicity_rate", "timeout_rate", "refusal_rate"].map(check));
    policy["tick"] = json!("15s");
    policy
}

/// What all processes use with everything there.
async fn used(plane: &Plane) -> anyhow::Result<Figure> {
    let (before, _) = plane.usage()?;
    tokio::time::sleep(WATCHED).await;
    let (after, mib) = plane.usage()?;
    let cores = (after - before) / WATCHED.as_secs_f64();
    Ok(Figure {
        what: "all services, 10,000 models and 1,000 live rollouts x 5 checks, tick 15 s",
        ours: format!("{mib:.0} MiB, {cores:.2} cores"),
        floor: "-".to_owned(),
        ratio: "-".to_owned(),
        target: "<= 1 GiB, <= 1 core",
        is_met: mib <= 1_024.0 && cores <= 1.0,
    })
}

/// Breaches of some live rollouts, in milliseconds from the decision to the commit of the read-back.
async fn breached(api: &Api, live: &[(String, String)]) -> anyhow::Result<Vec<f64>> {
    ensure!(live.len() == LIVE, "{} rollouts are live", live.len());
    let some = &live[..MEASURED];
    for (model, _) in some {
        let outcome = json!({"model": model, "version": "2", "metric": "hallucination", "value": 1});
        api.post("/v1/observations", &json!(vec![outcome; 30])).await?;
        tokio::time::sleep(APART).await;
    }
    // Whoever looks for them now takes the time of what is measured.
    tokio::time::sleep(JUDGED_BY).await;
    let mut all = Vec::new();
    for (_, id) in some {
        api.stage(id, "rolled_back").await?;
        all.push(api.between_ms(id, "retreating", "rolled_back").await?);
    }
    Ok(all)
}
