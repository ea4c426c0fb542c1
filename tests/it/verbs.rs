//! Every word at every stage: the table of answers is made from `decide`, and then walked by HTTP.

use std::fmt::Write as _;
use std::sync::Arc;

use futures_util::StreamExt as _;
use rollout::{Policy, Refusal, Rollout, Stage, Verb, What, decide};
use serde_json::{Value, json};

use crate::house::{House, LIMIT};

mod journey;

use journey::Journey;

/// Nothing moves by itself: every wait is longer than the test.
const POLICY: &str = r#"{"name": "patient", "bake": "10h", "prepare_limit": "10h", "steps": [
    {"split": 5, "dwell": "10h", "gate": true}, {"split": 50, "dwell": "10h", "gate": true}, {"split": 100, "dwell": "10h"}]}"#;

fn patient() -> Journey {
    Journey::of(Policy::from_yaml(POLICY).unwrap().plan().unwrap())
}

/// A rollout in each stage, by each way that makes a difference to what can be said.
fn places() -> Vec<(&'static str, Journey)> {
    let with = |journey: Journey, what: What| journey.told(what);
    let said = |journey: Journey, verb: Verb| with(journey, What::Commanded { verb });
    let back = |verb| said(patient().until(Stage::Observing, 1), verb);
    let failed = patient().failed();
    let by_newer = patient().until(Stage::Observing, 1).overtaken();
    let strict = POLICY.replace("\"gate\": true", "\"gate\": {\"approver_not_requester\": true}");
    let own = Journey::of(Policy::from_yaml(&strict).unwrap().plan().unwrap());
    vec![
        ("queued", patient().queued()),
        ("preparing", patient()),
        ("gated before the first step", patient().until(Stage::Gated, 0)),
        ("gated before a later step", patient().until(Stage::Gated, 1)),
        ("gated, whoever asked for it speaks", own.until(Stage::Gated, 1)),
        ("shifting", patient().until(Stage::Shifting, 1)),
        ("observing", patient().until(Stage::Observing, 1)),
        ("paused at a gate", said(patient().until(Stage::Gated, 1), Verb::Pause)),
        ("paused while observing", said(patient().until(Stage::Observing, 1), Verb::Pause)),
        ("promoting", patient().until(Stage::Promoting, 2)),
        ("baking", patient().until(Stage::Baking, 2)),
        ("the first version, preparing", Journey::first()),
        ("the first version, shifting", Journey::first().until(Stage::Shifting, 0)),
        ("retreating", back(Verb::Rollback)),
        ("completed", patient().until(Stage::Completed, 2)),
        ("rolled_back", back(Verb::Rollback).applied()),
        ("rejected", failed),
        ("superseded", by_newer.applied()),
        ("cancelled", back(Verb::Cancel).applied()),
    ]
}

/// What is said to a word: where it leads, that it is so already, or why it can't be.
fn expected(journey: &Journey, verb: Verb) -> Result<Option<Stage>, Refusal> {
    let fact = journey.fact(What::Commanded { verb });
    match decide(&journey.row, &fact, journey.now) {
        Ok(decision) => Ok(Some(decision.next.stage)),
        Err(_) if verb.is_done(journey.row.stage) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

fn table() -> String {
    let mut text = String::new();
    for (title, journey) in places() {
        writeln!(text, "{title}").unwrap();
        for verb in Verb::ALL {
            let answer = match expected(&journey, *verb) {
                Ok(Some(stage)) => format!("200 -> {stage}"),
                Ok(None) => "200 it is so already".to_owned(),
                Err(refusal) => format!("409 {refusal}"),
            };
            writeln!(text, "  {:<9} {answer}", verb.name()).unwrap();
        }
    }
    text
}

#[test]
fn the_table_of_words_and_stages() {
    insta::assert_snapshot!(table());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_word_at_every_stage_is_answered_as_the_table_says() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let cells: Vec<(&str, Journey, Verb)> = places()
        .into_iter()
        .flat_map(|(title, journey)| Verb::ALL.iter().map(move |verb| (title, journey.clone(), *verb)))
        .enumerate()
        .map(|(number, (title, journey, verb))| (title, journey.named(number), verb))
        .collect();
    let store = store::Store::open(folder.path()).await.unwrap();
    for (_, journey, _) in &cells {
        journey.store(&store).await;
    }
    store.close().await;
    drop(store);
    let house = House::start_in(folder);
    let walked = cells.iter().map(|(title, journey, verb)| walk(&house, title, journey, *verb));
    futures_util::stream::iter(walked).buffer_unordered(8).collect::<()>().await;
}

/// Says the word and compares.
async fn walk(house: &House, title: &str, journey: &Journey, verb: Verb) {
    let (row, place) = (&journey.row, format!("{title}: {}", verb.name()));
    let path = format!("/v1/rollouts/{}", row.id);
    let (status, answer) =
        house.post(&format!("{path}/{}", verb.name()), &json!({"actor": journey::ACTOR, "reason": "to see"})).await;
    match expected(journey, verb) {
        Ok(Some(stage)) => {
            assert!(matches!(status, 200 | 202), "{place}: {status} {answer}");
            let entry = heard(house, row).await;
            assert_eq!((&entry["from"], &entry["to"]), (&json!(row.stage), &json!(stage)), "{place}: {entry}");
            assert_eq!((&entry["actor"], &entry["entry"]), (&json!(journey::ACTOR), &json!("transition")), "{place}");
        }
        Ok(None) => {
            // What turns back but is not back yet is on its way.
            assert_eq!(status, if row.stage == Stage::Retreating { 202 } else { 200 }, "{place}: {answer}");
            assert_eq!(house.get(&path).await.1["version"], json!(row.version), "{place}");
        }
        Err(refusal) => {
            assert_eq!((status, &answer["rollout_id"]), (409, &json!(row.id)), "{place}: {answer}");
            let detail = answer["detail"].as_str().unwrap();
            for words in [verb.name(), row.stage.name(), refusal.sentence()] {
                assert!(detail.contains(words), "{place}: `{words}` is missing in {detail}");
            }
            assert_eq!(house.get(&path).await.1["version"], json!(row.version), "{place}: it moved");
        }
    }
}

/// The history's entry of the word.
async fn heard(house: &House, row: &Rollout) -> Value {
    let path = format!("/v1/rollouts/{}/history", row.id);
    let is_it = |entry: &Value| entry["version"].as_i64() > Some(row.version) && entry["fact"] == "commanded";
    let history = tokio::time::timeout(
        LIMIT,
        house.until(&path, |history| history["items"].as_array().unwrap().iter().any(is_it)),
    );
    let history = history.await.unwrap();
    history["items"].as_array().unwrap().iter().find(|entry| is_it(entry)).unwrap().clone()
}
