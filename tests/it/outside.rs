//! What other systems ask for by CloudEvents: the same event by any road is one rollout, and what is wrong is named.

use serde_json::{Value, json};

use crate::checker::violations;
use crate::house::{House, Upstream, answer, slip_in};

const PROMOTE: &str = "dev.tidegate.version.promote.v1";
const EVALUATED: &str = "dev.tidegate.evaluation.finished.v1";
const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json; charset=utf-8";

async fn ready() -> (House, [Upstream; 2]) {
    let house = House::start();
    let upstreams = [Upstream::start("1").await, Upstream::start("2").await];
    house.serves("reranker", "1", &upstreams[0].url).await;
    house.version("reranker", "2", &upstreams[1].url).await;
    (house, upstreams)
}

fn event(id: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/ci/build", "type": PROMOTE, "data": data})
}

fn promotion() -> Value {
    json!({"model": "reranker", "version": "2",
        "policy": {"name": "slow", "steps": [{"split": 5, "dwell": "10m"}, {"split": 100, "dwell": "0s"}]}})
}

async fn said(house: &House, media: &str, body: &Value) -> (u16, Value) {
    let request = house.client.post(format!("{}/v1/events", house.api)).header("content-type", media);
    answer(request.body(body.to_string())).await
}

async fn in_headers(house: &House, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let request = house.client.post(format!("{}/v1/events", house.api)).json(body);
    answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

const HEADERS: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "run 7"), ("ce-source", "/ci/build"), ("ce-type", PROMOTE)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_one_rollout_however_often_and_on_whatever_road_it_comes() {
    let (house, _upstreams) = ready().await;
    let event = event("run 7", &promotion());
    let (status, first) = said(&house, STRUCTURED, &event).await;
    assert_eq!(status, 202, "{first}");
    let item = &first["items"][0];
    assert_eq!((&item["source"], &item["id"], &item["type"]), (&json!("/ci/build"), &json!("run 7"), &json!(PROMOTE)));
    let id = item["rollout_id"].as_str().unwrap().to_owned();
    assert_eq!(said(&house, STRUCTURED, &event).await, (202, first.clone()), "at once, before its row need be there");
    let path = format!("/v1/rollouts/{id}");
    let rollout = house.until(&path, |rollout| rollout["stage"] == "observing").await;
    assert_eq!((&rollout["candidate"], &rollout["requested_by"]), (&json!("2"), &json!("/ci/build")), "{rollout}");
    // It is live itself, and yet the same again is no conflict.
    let escaped = HEADERS.map(|(name, value)| (name, if value == "run 7" { "run%207" } else { value }));
    assert_eq!(in_headers(&house, &escaped, &promotion()).await, (202, first.clone()));
    assert_eq!(in_headers(&house, &HEADERS, &promotion()).await, (202, first.clone()));
    assert_eq!(said(&house, BATCH, &json!([event, event])).await.1["items"][1], first["items"][0]);
    assert_eq!(said(&house, BATCH, &json!([])).await, (202, json!({"items": []})));
    let (status, other) = said(&house, STRUCTURED, &self::event("run 8", &promotion())).await;
    assert_eq!((status, &other["rollout_id"]), (409, &json!(id)), "{other}");
    house.post(&format!("{path}/rollback"), &json!({})).await;
    house.ended(&id).await;
    house.quiet().await;

    // And by the bus, as another system would say it there.
    let folder = house.stop();
    slip_in(folder.path(), "tg.in.default.reranker.version.promote", &event).await;
    let house = House::start_in(folder);
    assert_eq!(said(&house, STRUCTURED, &event).await, (202, first));
    house.quiet().await;
    let (_, rollouts) = house.get("/v1/rollouts").await;
    assert_eq!(rollouts["items"].as_array().unwrap().len(), 2, "it, and the activation of the first version");
    assert_eq!(violations(house.stop().path()).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evaluation_is_evidence_in_the_history_of_its_rollout_and_moves_nothing() {
    let (house, _upstreams) = ready().await;
    let evaluated = |id: &str, data: Value| json!({"specversion": "1.0", "id": id, "source": "/evals", "type": EVALUATED, "data": data});
    let by_version =
        json!({"model": "reranker", "version": "2", "name": "safety", "outcome": "fail", "evidence": {"failed": 3}});
    let (status, problem) = said(&house, STRUCTURED, &evaluated("1", by_version.clone())).await;
    assert_eq!((status, &problem["field"]), (404, &json!("data.version")), "no rollout yet: {problem}");
    let (_, taken) = said(&house, STRUCTURED, &event("run 7", &promotion())).await;
    let id = taken["items"][0]["rollout_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/rollouts/{id}");
    house.until(&path, |rollout| rollout["stage"] == "observing").await;
    let by_id = json!({"model": "reranker", "rollout_id": id, "name": "cost", "outcome": "pass"});
    for _ in 0..3 {
        let (status, taken) = said(&house, STRUCTURED, &evaluated("1", by_version.clone())).await;
        assert_eq!((status, &taken["items"][0]["rollout_id"]), (202, &json!(id)), "{taken}");
        assert_eq!(said(&house, BATCH, &json!([evaluated("2", by_id.clone())])).await.0, 202);
    }
    // The same in the words of CDEvents.
    let run = json!({"subject": {"id": "run-81", "content": {"outcome": "cancel", "testSuite": {"id": "load"}}},
        "customData": {"model": "reranker", "version": "2"}});
    let mut suite = evaluated("81", run);
    suite["type"] = json!("dev.cdevents.testsuiterun.finished.0.3.0");
    assert_eq!(said(&house, STRUCTURED, &suite).await.1["items"][0]["rollout_id"], json!(id));
    suite["data"]["subject"]["content"]["outcome"] = json!("great");
    let (status, problem) = said(&house, STRUCTURED, &suite).await;
    assert_eq!((status, &problem["field"]), (422, &json!("data")), "{problem}");
    house.quiet().await;
    let (_, history) = house.get(&format!("{path}/history")).await;
    let entries = history["items"].as_array().unwrap().iter().filter(|entry| entry["fact"] == "evaluation_finished");
    let entries: Vec<_> =
        entries.map(|entry| (&entry["evidence"]["name"], &entry["evidence"]["outcome"], &entry["actor"])).collect();
    let expected = [("safety", "fail"), ("cost", "pass"), ("load", "error")];
    let expected = expected.map(|(name, outcome)| (json!(name), json!(outcome)));
    assert_eq!(entries.len(), 3, "{history}");
    for (entry, (name, outcome)) in entries.iter().zip(&expected) {
        assert_eq!((entry.0, entry.1, entry.2), (name, outcome, &json!("/evals")), "{history}");
    }
    assert_eq!(house.get(&path).await.1["stage"], "observing");
    for (change, value, status, field) in [
        ("outcome", json!("maybe"), 422, "data"),
        ("version", json!("1"), 404, "data.version"),
        ("model", json!("other"), 404, "data.version"),
        ("name", json!("x".repeat(300)), 422, "data.name"),
    ] {
        let mut data = by_version.clone();
        data[change] = value;
        let (got, problem) = said(&house, STRUCTURED, &evaluated("3", data)).await;
        assert_eq!((got, problem["field"].as_str().unwrap_or_default()), (status, field), "{change}: {problem}");
    }
    house.post(&format!("{path}/rollback"), &json!({})).await;
    house.ended(&id).await;
    assert_eq!(said(&house, STRUCTURED, &evaluated("1", by_version.clone())).await.0, 202, "it was taken before");
    assert_eq!(said(&house, STRUCTURED, &evaluated("4", by_version)).await.0, 409);
    house.quiet().await;
    assert_eq!(violations(house.stop().path()).await, Vec::<String>::new());
}

/// An event with a change, what is answered, the field that is named, and words of the answer.
fn cases() -> Vec<(Value, u16, &'static str, &'static str)> {
    let with = |pointer: &str, value: Value| {
        let mut event = event("1", &promotion());
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let without = |field: &str| {
        let mut event = event("1", &promotion());
        event.as_object_mut().unwrap().remove(field);
        event
    };
    vec![
        (without("id"), 422, "id", "missing"),
        (without("source"), 422, "source", "missing"),
        (with("/id", json!("")), 422, "id", "missing"),
        (with("/id", json!("x".repeat(600))), 422, "id", "512"),
        (with("/specversion", json!("0.3")), 422, "specversion", "1.0"),
        (with("/type", json!("dev.tidegate.version.dance.v1")), 422, "type", "dev.tidegate.version.dance.v1"),
        (with("/type", json!("dev.tidegate.rollout.stop.v1")), 422, "type", "not taken here"),
        (with("/source", json!("/tidegate/api")), 422, "source", "Tidegate's own"),
        (without("data"), 422, "data", "object"),
        (with("/data", json!("promote")), 422, "data", "object"),
        (with("/data", json!({"model": "reranker"})), 422, "data.version", "version"),
        (with("/data/version", json!("a b")), 422, "data", "a b"),
        (with("/data/version", json!("9")), 404, "data.version", "version `9`"),
        (with("/data/model", json!("nobody")), 404, "data.model", "model `nobody`"),
        (with("/data/policy", json!("nobodys")), 422, "data.policy", "nobodys"),
        (
            with("/data/policy", json!({"steps": [{"split": 5, "dwel": "1m"}]})),
            422,
            "data.steps[0].dwel",
            "did you mean",
        ),
        (json!(["no event"]), 422, "", "an object"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_can_not_be_taken_names_its_field_and_nothing_of_its_batch_is_taken() {
    let (house, _upstreams) = ready().await;
    for (event, status, field, words) in cases() {
        let (got, problem) = said(&house, STRUCTURED, &event).await;
        let named = problem["field"].as_str().unwrap_or_default();
        assert_eq!((got, named), (status, field), "{event}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{event}: {problem}");
        if field.is_empty() {
            continue;
        }
        let (got, problem) = said(&house, BATCH, &json!([self::event("good", &promotion()), event])).await;
        assert_eq!((got, problem["field"].as_str().unwrap()), (status, &*format!("[1].{field}")), "{problem}");
    }
    for (media, body, words) in [
        ("text/plain", event("1", &promotion()), "is no CloudEvent"),
        ("application/json", event("1", &promotion()), "is no CloudEvent"),
        ("application/cloudevents+avro", event("1", &promotion()), "is no CloudEvent"),
        (BATCH, event("1", &promotion()), "a list of events"),
    ] {
        let (status, problem) = said(&house, media, &body).await;
        assert!(status == 422 && problem["detail"].as_str().unwrap().contains(words), "{media}: {problem}");
    }
    let twice = [&HEADERS[..], &[("ce-id", "8")]].concat();
    for (headers, field) in [(twice, "ce-id"), (HEADERS[..3].to_vec(), "type")] {
        let (status, problem) = in_headers(&house, &headers, &promotion()).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)), "{problem}");
    }
    house.quiet().await;
    let (_, rollouts) = house.get("/v1/rollouts").await;
    assert_eq!(rollouts["items"].as_array().unwrap().len(), 1, "only the activation of the first version");
}
