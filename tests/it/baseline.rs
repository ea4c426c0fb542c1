//! R22: what the stable arm did in the hour before is recorded with the rollout, from the samples that routers send without one.

use std::collections::BTreeMap;

use chassis::{Clock, Core, Say, Stamped, Trace};
use judge::{Check, Settings, Signal, SignalName, Signals, Span, StepShape, resolve};
use proto::{AnalysisRun, Message, RequestsCounted, Sampled};
use rollout::{At, Model, RolloutId, Tenant, Version};
use serde_json::json;
use store::Store;

const NOON: At = At(1_800_000_000_000);

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

/// A router's cumulative sample without a live rollout.
fn sample(at: At, errors: f64, requests: f64) -> Message {
    let signals = Signals::from([(SignalName::error(), Signal::Count { k: errors, n: requests })]);
    Message::RequestsCounted(RequestsCounted {
        tenant: Tenant::default(),
        model: Model::new("reranker").unwrap(),
        router: "r1.boot".to_owned(),
        generation: 1,
        started_at: NOON.plus_ms(-1_000),
        sampled_at: at,
        live: false,
        arms: vec![Sampled {
            version: version("1"),
            requests: 0,
            by_request_id: 0,
            signals,
            spreads: BTreeMap::new(),
            exposed: None,
        }],
    })
}

fn analysis(id: &RolloutId, applied_at: At) -> Message {
    let check: Check =
        serde_json::from_value(json!({"metric": "error_rate", "rules": {"max_relative_increase": 2.0}})).unwrap();
    let shape = StepShape { dwell: Span(60_000), share: 0.05 };
    Message::AnalysisRun(AnalysisRun {
        tenant: Tenant::default(),
        model: Model::new("reranker").unwrap(),
        rollout_id: id.clone(),
        attempt: 1,
        step: 0,
        candidate: version("2"),
        stable: Some(version("1")),
        generation: 2,
        split_bp: 500,
        applied_at,
        dwell: shape.dwell,
        held_ms: 0,
        checks: resolve(&[check], &Settings::default(), &[shape]).unwrap(),
    })
}

async fn publish(core: &Core, id: &str, message: Message) {
    let stamped = Stamped { service: "router", at: core.clock.now(), trace: &Trace::from_parent(None) };
    let mut commits = core.bus.commits();
    commits.borrow_and_update();
    core.bus.publish(&stamped, &[Say { id: id.to_owned(), message }]).await.unwrap();
    // Said is one commit; the analyzer's is another.
    loop {
        let settled =
            core.store.reader().await.unwrap().rows().is_settled("analyzer", "/tidegate/router", id).await.unwrap();
        if settled {
            return;
        }
        tokio::time::timeout(crate::house::LIMIT, commits.changed()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_hour_before_a_rollout_is_recorded_as_its_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let core = Core::start(Store::open(folder.path()).await.unwrap(), Clock::manual(NOON)).await.unwrap();
    analyzer::serve(&core);
    for (minute, errors, requests) in [(0, 5.0, 100.0), (1, 6.0, 300.0), (2, 9.0, 700.0)] {
        publish(&core, &format!("ro.{minute}"), sample(NOON.plus_ms(minute * 60_000), errors, requests)).await;
    }
    let id = RolloutId::of("/test", "1");
    publish(&core, "ss.1", analysis(&id, NOON.plus_ms(180_000))).await;

    let judged = core.store.reader().await.unwrap().rows().judge(&id).await.unwrap().unwrap();
    // What a router had counted before its first sample is nobody's minute.
    assert_eq!(
        judged.state.pointer("/judge/baseline/error/count"),
        Some(&json!({"k": 4.0, "n": 600.0})),
        "{}",
        judged.state
    );
    assert!(core.stop().await);
}
