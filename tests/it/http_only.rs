//! Rollouts driven by HTTP alone, on upstreams that are plain HTTP servers: everything is seen from outside.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::checker::violations;
use crate::house::{House, Upstream, answer};

/// Steps that wait for a word, so that the test can look at each split as long as it likes.
fn stepwise() -> Value {
    json!({"name": "stepwise", "steps": [
        {"name": "5 %", "split": 5, "dwell": "10m"},
        {"name": "25 %", "split": 25, "dwell": "10m"},
        {"name": "50 %", "split": 50, "dwell": "10m"},
        {"name": "100 %", "split": 100, "dwell": "0s"},
    ]})
}

/// Asks once for each session; gives the version that each got.
async fn everybody(house: &House, sessions: usize) -> BTreeMap<usize, String> {
    let asked = (0..sessions).map(|session| async move {
        let (status, version) = house.ask("reranker", &format!("sess-{session}")).await;
        assert_eq!(status, 200);
        (session, version)
    });
    futures_util::stream::iter(asked).buffer_unordered(32).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_by_http_alone_moves_real_sessions_and_never_back() {
    let house = House::start();
    let (one, two) = (Upstream::start("1.3.0").await, Upstream::start("1.4.0").await);
    house.serves("reranker", "1.3.0", &one.url).await;

    // Without a canary the active version gets everything (R36).
    let before = everybody(&house, 1_000).await;
    assert!(before.values().all(|version| version == "1.3.0"));
    assert_eq!((one.asked(), two.asked()), (1_000, 0));

    house.version("reranker", "1.4.0", &two.url).await;
    let id = house.promote("reranker", "1.4.0", &json!({"policy": stepwise(), "reason": "a better one"})).await;
    let mut inside: Vec<usize> = Vec::new();
    // Within 4.6 standard deviations.
    for (step, points, low, high) in [(0, 500, 400, 600), (1, 2500, 2300, 2700), (2, 5000, 4770, 5230)] {
        let path = format!("/v1/rollouts/{id}");
        let shown = house.until(&path, |rollout| rollout["stage"] == "observing" && rollout["step"] == step).await;
        assert_eq!(shown["split"]["applied"], points);
        let got = everybody(&house, 10_000).await;
        let candidates: Vec<usize> =
            got.iter().filter(|(_, version)| *version == "1.4.0").map(|(session, _)| *session).collect();
        assert!((low..=high).contains(&candidates.len()), "{} sessions at {points} basis points", candidates.len());
        let left = inside.iter().filter(|session| !candidates.contains(session)).count();
        assert_eq!(left, 0, "sessions left the candidate while its share grew");
        inside = candidates;
        let (status, said) =
            house.post(&format!("{path}/advance"), &json!({"actor": "ana", "reason": "looks good"})).await;
        assert_eq!(status, 200, "{said}");
    }
    let ended = house.ended(&id).await;
    assert_eq!(ended["stage"], "completed");
    assert!(everybody(&house, 1_000).await.values().all(|version| version == "1.4.0"));
    let (_, model) = house.get("/v1/models/reranker").await;
    assert_eq!(model["active"], "1.4.0");
    let (_, history) = house.get(&format!("/v1/rollouts/{id}/history")).await;
    let by_ana = history["items"].as_array().unwrap().iter().filter(|entry| entry["actor"] == "ana").count();
    assert_eq!(by_ana, 3, "each word is in the history with its actor");

    house.quiet().await;
    assert_eq!(violations(house.stop().path()).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rollback_that_was_applied_no_candidate_response_begins() {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let half = json!({"name": "half", "steps": [{"split": 50, "dwell": "10m"}, {"split": 100, "dwell": "0s"}]});
    let id = house.promote("reranker", "2", &json!({ "policy": half })).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    assert!(everybody(&house, 200).await.values().any(|version| version == "2"));

    let (status, said) = house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "by hand"})).await;
    let answered = two.asked();
    assert_eq!(
        (status, &said["applied"], &said["rollout"]["stage"]),
        (200, &json!(true), &json!("rolled_back")),
        "{said}"
    );
    assert!(everybody(&house, 1_000).await.values().all(|version| version == "1"));
    assert_eq!(two.asked(), answered, "the candidate was asked after the rollback was applied (R41)");

    // Said again it is done already; a final rollout takes no other word.
    assert_eq!(house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await.0, 200);
    let (status, refused) = house.post(&format!("/v1/rollouts/{id}/advance"), &json!({})).await;
    assert_eq!((status, refused["detail"].as_str().unwrap().contains("the rollout is over")), (409, true));

    // The other way back after completion: a new rollout to the former version, at once when it is healthy (R41).
    let id = house.promote("reranker", "2", &json!({"policy": "activate"})).await;
    assert_eq!(house.ended(&id).await["stage"], "completed");
    assert!(everybody(&house, 100).await.values().all(|version| version == "2"));
    let id = house.promote("reranker", "1", &json!({"policy": "activate"})).await;
    assert_eq!(house.ended(&id).await["stage"], "completed");
    assert!(everybody(&house, 100).await.values().all(|version| version == "1"));
    house.quiet().await;
    assert_eq!(violations(house.stop().path()).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breach_takes_the_traffic_back_and_says_every_issue() {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    two.observe("cost_usd=0.25, hallucination=1");
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let policy = json!({"name": "quick", "tick": "5s", "warmup": "0s", "inconclusive_budget": "60s",
    "steps": [{"split": 50, "dwell": "30s"}, {"split": 100, "dwell": "0s"}],
    "checks": [
        {"metric": "hallucination_rate", "rules": {"gte": 0.08}, "min_samples": 20, "interval": "5s", "window": "step"},
        {"metric": "avg_cost_usd", "rules": {"gte": 0.10}, "min_samples": 20, "interval": "5s", "window": "step"},
    ]});
    let id = house.promote("reranker", "2", &json!({ "policy": policy })).await;
    let since = Instant::now();
    let path = format!("/v1/rollouts/{id}");
    let rollout = loop {
        everybody(&house, 100).await;
        let (_, rollout) = house.get(&path).await;
        if rollout["stage"] == "rolled_back" {
            break rollout;
        }
        assert!(since.elapsed() < Duration::from_secs(40), "not rolled back: {rollout}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(
        rollout["issues"],
        json!(["hallucination_rate too high: 1.000 >= 0.08", "avg_cost_usd too high: 0.250 >= 0.1"])
    );
    assert!(rollout["reason"].as_str().unwrap().starts_with("breach: hallucination_rate too high"), "{rollout}");
    // The registry follows a moment later.
    let status = |versions: &Value, version: &str| {
        versions["items"].as_array().unwrap().iter().find(|row| row["version"] == version).unwrap()["status"].clone()
    };
    let followed =
        |versions: &Value| (status(versions, "1"), status(versions, "2")) == (json!("active"), json!("turned_back"));
    house.until("/v1/registry/reranker/versions", followed).await;
    house.quiet().await;
    assert_eq!(violations(house.stop().path()).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_promote_twice_is_one_rollout() {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let promote = || {
        let request = house.client.post(format!("{}/v1/registry/reranker/2/promote", house.api));
        answer(request.header("idempotency-key", "build-77").json(&json!({ "policy": stepwise() })))
    };
    let (first, second) = (promote().await, promote().await);
    assert_eq!(first.0, 202, "{}", first.1);
    assert_eq!(first, second);
    let id = first.1["rollout_id"].as_str().unwrap();
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let (status, refused) = house.post("/v1/registry/reranker/2/promote", &json!({ "policy": stepwise() })).await;
    assert_eq!((status, &refused["rollout_id"]), (409, &json!(id)));
    let (_, rollouts) = house.get("/v1/rollouts").await;
    let applied: Vec<_> =
        rollouts["items"].as_array().unwrap().iter().map(|row| row["split"]["applied"].clone()).collect();
    assert_eq!(applied, [json!(500), json!(10_000)], "one rollout, and the activation before it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_is_logged_as_an_error_with_both_versions() {
    let (house, log) = House::start_logged();
    let (one, two) = (Upstream::start("1.3.1").await, Upstream::start("1.3.2").await);
    house.serves("reranker", "1.3.1", &one.url).await;
    house.version("reranker", "1.3.2", &two.url).await;
    let half = json!({"name": "half", "steps": [{"split": 50, "dwell": "10m"}, {"split": 100, "dwell": "0s"}]});
    let id = house.promote("reranker", "1.3.2", &json!({ "policy": half })).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "by hand"})).await;
    let _folder = house.stop();
    let text = std::fs::read_to_string(log).unwrap();
    let line = text.lines().find(|line| line.contains("ERROR")).unwrap_or_else(|| panic!("no error in {text}"));
    assert!(
        line.contains("taking traffic from 1.3.2 back to 1.3.1: rollback: by hand") && line.contains(&id),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_names_an_older_version_is_refused_and_leaves_a_trace() {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let id = house.promote("reranker", "2", &json!({ "policy": stepwise() })).await;
    let path = format!("/v1/rollouts/{id}");
    let seen = house.until(&path, |rollout| rollout["stage"] == "observing").await;
    let advance = |version: &Value| {
        let request = house.client.post(format!("{}{path}/advance", house.api));
        answer(request.header("if-match", version.to_string()).json(&json!({})))
    };
    for nonsense in [json!("soon"), json!(""), json!(1.5), json!([1, 2])] {
        let (status, problem) = advance(&nonsense).await;
        assert_eq!((status, &problem["field"]), (400, &json!("If-Match")), "{nonsense}: {problem}");
    }
    assert_eq!(advance(&json!(i64::MIN)).await.0, 412);
    assert_eq!(advance(&seen["version"]).await.0, 200);
    house.until(&path, |rollout| rollout["stage"] == "observing" && rollout["step"] == 1).await;
    let (status, refused) = advance(&seen["version"]).await;
    let detail = refused["detail"].as_str().unwrap();
    assert!(status == 412 && detail.contains("moved since") && detail.contains("step 2"), "{status} {refused}");
    // A word that takes traffic back must not lose a race: it is fenced by nothing, not even by nonsense.
    let request = house.client.post(format!("{}{path}/rollback", house.api)).header("if-match", "soon");
    assert_eq!(answer(request.json(&json!({}))).await.0, 200);
    let (_, history) = house.get(&format!("{path}/history")).await;
    let refusals = history["items"].as_array().unwrap().iter().filter(|entry| entry["reason"] == "moved_since").count();
    assert_eq!(refusals, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_of_two_models_under_one_key_are_stored_once_and_whole() {
    let house = House::start();
    let one = Upstream::start("1").await;
    house.serves("reranker", "1", &one.url).await;
    house.serves("ranker", "1", &one.url).await;
    let outcome = |model: &str| json!({"model": model, "version": "1", "metric": "task_success", "value": 1});
    let post = || {
        let request = house.client.post(format!("{}/v1/observations", house.api)).header("idempotency-key", "batch-1");
        answer(request.json(&json!([outcome("reranker"), outcome("ranker")])))
    };
    assert_eq!((post().await.0, post().await.0), (202, 202));
    let folder = house.stop();
    let store = store::Store::open(folder.path()).await.unwrap();
    for model in ["reranker", "ranker"] {
        let (tenant, model) = (rollout::Tenant::default(), rollout::Model::new(model).unwrap());
        let rows = store.reader().await.unwrap().rows().observations(&tenant, &model).await.unwrap();
        let posted: Vec<_> = rows.into_iter().filter(|row| row.source == "api").collect();
        assert_eq!(posted.len(), 1, "{model}: {posted:?}");
        assert_eq!(posted[0].series["signals"]["o:task_success"]["mean"]["n"], 1.0, "{model}");
        assert_eq!(posted[0].series["spreads"]["task_success"], json!({"0": [1.0, 1.0, 1.0]}));
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_first_version_of_a_model_becomes_active_by_itself() {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    assert_eq!(house.post("/v1/models", &json!({"name": "reranker", "type": "RERANKER"})).await.0, 201);
    // At once, before the first one serves.
    house.version("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    house.until("/v1/models/reranker", |model| model["active"] == "1" && model["rollout"].is_null()).await;
    let (_, rollouts) = house.get("/v1/rollouts").await;
    assert_eq!(rollouts["items"].as_array().unwrap().len(), 1, "{rollouts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_need_a_version_that_takes_the_rest() {
    let house = House::start();
    let one = Upstream::start("1").await;
    assert_eq!(house.post("/v1/models", &json!({"name": "reranker", "type": "RERANKER"})).await.0, 201);
    house.version("reranker", "1", "http://127.0.0.1:1").await;
    house.version("reranker", "2", &one.url).await;
    // The first version never comes up; its rollout ends, and nothing serves.
    house.until("/v1/rollouts/reranker", |rollout| rollout["stage"] == "preparing").await;
    let (status, said) = house.post("/v1/rollouts/reranker/cancel", &json!({})).await;
    assert_eq!(status, 200, "{said}");
    house.version("reranker", "1.0", &Upstream::start("1.0").await.url).await;
    let id = house.promote("reranker", "1.0", &json!({ "policy": stepwise() })).await;
    let ended = house.ended(&id).await;
    assert_eq!((&ended["stage"], &ended["plan"]["policy"]), (&json!("completed"), &json!("activate")), "{ended}");
    assert!(ended["plan"]["notes"][0].as_str().unwrap().contains("no version serves yet"), "{ended}");
}
