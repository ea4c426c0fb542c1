//! What other systems say on the bus itself, as CloudEvents of a package and by a client that are not ours (`other_system.py`).

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proto::Event;
use rollout::RolloutId;
use serde_json::{Value, json};

use super::{Plant, command, served};

const PROMOTE: &str = "tg.in.default.reranker.version.promote";
const KIND: &str = "dev.tidegate.version.promote.v1";

/// Has the other system do these deeds, and gives what came of each.
fn other_system(plant: &Plant, deeds: &[Value]) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut child = Command::new("python3")
        .arg(root.join("tests/it/distributed/other_system.py"))
        .arg(plant.nats.url())
        .env("PYTHONPATH", root.join("target/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = deeds.iter().map(|deed| format!("{deed}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "it needs what `./x test` puts into target/python");
    let said = String::from_utf8(out.stdout).unwrap();
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn slow() -> Value {
    json!({"name": "slow", "steps": [{"split": 5, "dwell": "10m"}, {"split": 100, "dwell": "0s"}]})
}

/// An event on a road, in a mode.
fn by(deed: &str, mode: &str, place: &str) -> Value {
    let attributes = json!({"id": "run 7 %é", "source": "/ci/build", "type": KIND});
    let data = json!({"model": "reranker", "version": "2", "policy": slow()});
    json!({"do": deed, "mode": mode, "subject": place, "url": place, "attributes": attributes, "data": data})
}

/// What a rollout is, and how it came to its first step, whoever asked for it.
async fn told(plant: &Plant, id: &str) -> Value {
    let path = format!("/v1/rollouts/{id}");
    let rollout = plant.house.until(&path, |rollout| rollout["stage"] == "observing").await;
    let (_, history) = plant.house.get(&format!("{path}/history")).await;
    let moves = history["items"].as_array().unwrap().iter();
    let moves: Vec<_> = moves.map(|entry| [&entry["fact"], &entry["from"], &entry["to"]]).collect();
    let of = |field: &str| rollout[field].clone();
    json!({"candidate": of("candidate"), "previous": of("previous"), "plan": of("plan"), "split": of("split"), "moves": moves})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_another_system_is_one_rollout_on_every_road() {
    let plant = Plant::start().await;
    let _upstreams = served(&plant.house).await;
    let id = RolloutId::of("/ci/build", "run 7 %é").to_string();
    other_system(&plant, &[by("publish", "binary", PROMOTE)]);
    let by_nats = told(&plant, &id).await;
    assert_eq!(by_nats["split"]["applied"], 500, "{by_nats}");

    let events = format!("{}/v1/events", plant.house.api);
    let same = [by("publish", "structured", PROMOTE), by("post", "structured", &events), by("post", "binary", &events)];
    for taken in &other_system(&plant, &same)[1..] {
        assert_eq!((&taken["status"], &taken["body"]["items"][0]["rollout_id"]), (&json!(202), &json!(id)), "{taken}");
    }
    plant.house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    plant.house.ended(&id).await;

    let policy = plant.house.data().join("slow.yaml");
    std::fs::write(&policy, slow().to_string()).unwrap();
    let mut promote = command("tidegate");
    promote.args(["promote", "reranker", "2", "--policy"]).arg(&policy).env("TIDEGATE_URL", &plant.house.api);
    let out = promote.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let (_, rollouts) = plant.house.get("/v1/rollouts").await;
    let rollouts = rollouts["items"].as_array().unwrap();
    assert_eq!(rollouts.len(), 3, "the event's, the CLI's, and the activation of the first version");
    let other = rollouts.iter().find(|rollout| rollout["candidate"] == "2" && rollout["id"] != id).unwrap();
    assert_eq!(told(&plant, other["id"].as_str().unwrap()).await, by_nats);
    reads_ours(&plant);
    plant.stop();
}

/// What services say is what the other system understands, in every attribute.
fn reads_ours(plant: &Plant) {
    let streams = ["TG_CMD", "TG_LOOP", "TG_NEWS"];
    let deeds: Vec<_> = streams.iter().map(|stream| json!({"do": "read", "stream": stream})).collect();
    for (stream, read) in streams.iter().zip(other_system(plant, &deeds)) {
        let read = read.as_array().unwrap().clone();
        assert!(!read.is_empty(), "{stream}");
        for theirs in read {
            let ours = Event::structured(theirs["body"].as_str().unwrap().as_bytes()).unwrap();
            assert_same(&theirs, &ours);
        }
    }
    // And in the other mode, which no service says anything in: what such headers can't hold is escaped.
    let said = Event::structured(include_bytes!("../../../proto/samples/v1/verdict.reached.json")).unwrap();
    let event = Event { id: "a %\"é".to_owned(), tracestate: Some("a=1, b=2".to_owned()), ..said };
    let (headers, body) = event.to_binary();
    let theirs = other_system(plant, &[json!({"do": "decode", "headers": headers, "body": body})]).remove(0);
    assert_same(&theirs, &event);
}

fn assert_same(theirs: &Value, ours: &Event) {
    let attempt = ours.attempt.map(|attempt| attempt.to_string());
    let expected = [
        ("id", Some(&ours.id)),
        ("source", Some(&ours.source)),
        ("type", Some(&ours.kind)),
        ("subject", ours.subject.as_ref()),
        ("tenant", ours.tenant.as_ref()),
        ("rolloutid", ours.rollout_id.as_ref()),
        ("attempt", attempt.as_ref()),
        ("traceparent", ours.traceparent.as_ref()),
        ("tracestate", ours.tracestate.as_ref()),
    ];
    for (name, value) in expected {
        assert_eq!(theirs["attributes"][name].as_str(), value.map(String::as_str), "{name}: {theirs}");
    }
    assert_eq!((&theirs["data"], theirs["at_ms"].as_i64()), (&ours.data, ours.time.map(|at| at.0)), "{theirs}");
}

/// What may not come from outside, each in the words that say so.
fn bad() -> Vec<(&'static str, Value)> {
    let structured = |change: Value| {
        let mut event = json!({"specversion": "1.0", "id": "bad", "source": "/ci/build", "type": KIND,
            "data": {"version": "2", "policy": slow()}});
        for (name, value) in change.as_object().unwrap() {
            event[name] = value.clone();
        }
        json!({"subject": PROMOTE, "headers": {"Content-Type": "application/cloudevents+json"}, "body": event.to_string()})
    };
    let to = |subject: &str, deed: Value| {
        let mut deed = deed;
        deed["subject"] = subject.into();
        deed
    };
    let binary = |id: Option<&str>, body: &str| {
        let mut headers = json!({"ce-specversion": "1.0", "ce-source": "/ci/build", "ce-type": KIND});
        id.into_iter().for_each(|id| headers["ce-id"] = id.into());
        json!({"subject": PROMOTE, "headers": headers, "body": body})
    };
    let mut data = json!({"version": "2", "reason": "x".repeat(2_001)});
    let long = structured(json!({"data": data}));
    data["model"] = "other".into();
    vec![
        ("the attribute `id` is missing", structured(json!({"id": null}))),
        ("the attribute `id` is missing", binary(None, "{}")),
        ("the attribute `specversion` is not 1.0", structured(json!({"specversion": "0.3"}))),
        ("the attribute `source` is not that of another system", structured(json!({"source": "/tidegate/api"}))),
        ("names another tenant than the attribute `tenant`", structured(json!({"tenant": "other"}))),
        (
            "names another tenant than the field `tenant`",
            to(
                "tg.in.other.reranker.version.promote",
                structured(json!({"data": {"tenant": "default", "version": "2"}})),
            ),
        ),
        ("names another model than the field `model`", structured(json!({"data": data}))),
        ("the field `reason` is longer than 2000 bytes", long),
        ("missing field `version`", structured(json!({"data": {}}))),
        (
            "names something else than the attribute `type`",
            to("tg.in.default.reranker.version.raise", structured(json!({}))),
        ),
        (
            "is not taken from other systems",
            to(
                "tg.in.default.reranker.version.retired",
                structured(
                    json!({"type": "dev.tidegate.version.retired.v1", "data": {"version": "2", "status": "retired"}}),
                ),
            ),
        ),
        (
            "the type `dev.tidegate.version.raise.v1` is not known here",
            structured(json!({"type": "dev.tidegate.version.raise.v1"})),
        ),
        ("the message is not good JSON", json!({"subject": PROMOTE, "body": "promote it"})),
        ("`data` is not good JSON", binary(Some("bad"), "promote it")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_system_says_wrong_is_parked_and_stops_nothing() {
    let plant = Plant::start().await;
    let _upstreams = served(&plant.house).await;
    let sent = |mut deed: Value| {
        deed["do"] = "send".into();
        deed
    };
    // Twice: so much from a service of ours would have whoever takes it stop.
    let mut deeds: Vec<_> = bad().into_iter().chain(bad()).map(|(_, deed)| sent(deed)).collect();
    let count = deeds.len();
    let too_large = json!({"subject": PROMOTE, "body": "x".repeat(65 * 1024)});
    deeds.push(sent(too_large));
    // Two tenants may give their messages the same id.
    let good = |source: &str, tenant: &str| {
        let event = json!({"specversion": "1.0", "id": "bad", "source": source, "type": KIND,
            "data": {"version": "2", "policy": slow()}});
        let subject = format!("tg.in.{tenant}.reranker.version.promote");
        sent(json!({"subject": subject, "headers": {"Nats-Msg-Id": "7"}, "body": event.to_string()}))
    };
    deeds.extend([good("/ci/other", "other"), good("/ci/build", "default")]);
    let answers = other_system(&plant, &deeds);
    assert_eq!(answers[count], json!({"refused": 10_054}), "the stream has no room for it, and says so");
    // What was wrong before has not used up its source and its id.
    let id = RolloutId::of("/ci/build", "bad");
    plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let id = RolloutId::of("/ci/other", "bad");
    let refused = plant.house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "rejected").await;
    assert_eq!(refused["reason"], "unknown_model: model `reranker` is not registered; register it first", "{refused}");
    let (_, parked) = plant.house.get("/v1/parked?limit=200").await;
    let parked: Vec<_> = parked["items"].as_array().unwrap().iter().map(|row| row["error"].as_str().unwrap()).collect();
    assert_eq!(parked.len(), count, "{parked:?}");
    for (why, _) in bad() {
        assert!(parked.iter().any(|error| error.contains(why)), "{why}: {parked:?}");
    }
    plant.stop();
}
