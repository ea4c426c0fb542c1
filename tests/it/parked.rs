//! A message that can never work, from the outside: listed, shown, replayed and dropped by HTTP and by the command line.

use serde_json::{Value, json};

use crate::cli_only::tidegate;
use crate::house::{House, Upstream, answer, slip_in};

/// A house in which registry-writer has parked a message of a type that nobody knows.
async fn with_a_parked_message() -> (House, String) {
    let house = House::start();
    let one = Upstream::start("1").await;
    house.serves("reranker", "1", &one.url).await;
    let folder = house.stop();
    let event = json!({
        "specversion": "1.0", "id": "dance-1", "source": "/ci", "type": "dev.tidegate.version.dance.v1",
        "data": {"version": "1", "tune": "a very long tune that nobody could play, ".repeat(4)},
    });
    slip_in(folder.path(), "tg.in.default.reranker.version.dance", &event).await;
    let house = House::start_in(folder);
    let parked =
        house.until("/v1/parked", |parked| parked["items"].as_array().is_some_and(|items| items.len() == 1)).await;
    let id = parked["items"][0]["id"].as_str().unwrap().to_owned();
    (house, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_message_is_shown_whole_replayed_and_dropped_by_http() {
    let (house, id) = with_a_parked_message().await;
    let (_, whole) = house.get(&format!("/v1/parked/{id}")).await;
    let body: Value = serde_json::from_str(whole["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&whole["reason"], &body["id"], &whole["tries"]),
        (&json!("unknown_type"), &json!("dance-1"), &json!(1))
    );

    let path = |word: &str| format!("/v1/parked/{id}/{word}");
    let (status, done) = house.post(&path("replay"), &json!({"actor": "ann", "reason": "try"})).await;
    assert_eq!((status, &done["outcome"], &done["actor"]), (200, &json!("parked"), &json!("ann")), "{done}");
    assert!(done["why"].as_str().unwrap().contains("dance"), "{done}");
    for (bad, code) in [("juggle", 404), ("replay", 422)] {
        let (status, problem) = house.post(&path(bad), &json!({"resaon": "x"})).await;
        assert_eq!(status, code, "{bad}: {problem}");
    }
    let drop = || {
        let request = house.client.post(format!("{}{}", house.api, path("drop"))).header("idempotency-key", "drop-1");
        answer(request.json(&json!({"actor": "ann"})))
    };
    let (first, second) = (drop().await, drop().await);
    assert_eq!((first.0, &first.1["outcome"]), (200, &json!("dropped")), "{}", first.1);
    assert_eq!(first, second, "under one key it is dropped once");
    assert_eq!(house.get("/v1/parked").await.1["items"], json!([]));
    assert_eq!(house.get(&format!("/v1/parked/{id}")).await.0, 404);
    assert_eq!(house.post(&path("replay"), &json!({})).await.0, 404);
    assert_eq!(house.get("/v1/parked?limit=0").await.0, 422);
    assert_eq!(house.get("/v1/parked?cursor=nonsense").await.0, 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parked_messages_by_the_command_line() {
    let (house, id) = with_a_parked_message().await;
    let (code, listed) = tidegate(&house, &["parked"]).await;
    assert!(code == 0 && listed.contains(&id) && listed.contains("  unknown_type: "), "{listed}");
    assert!(listed.lines().all(|line| line.chars().count() <= 80), "{listed}");
    let (_, shown) = tidegate(&house, &["parked", "show", &id]).await;
    assert!(shown.contains("tg.in.default.reranker.version.dance") && shown.contains("\"tune\""), "{shown}");
    let (code, text) = tidegate(&house, &["parked", "replay", &id, "--reason", "again"]).await;
    assert!(code == 1 && text.contains("parked again"), "{code} {text}");
    assert_eq!(tidegate(&house, &["parked", "drop", "nobody.1"]).await.0, 1);
    let (code, text) = tidegate(&house, &["parked", "drop", &id]).await;
    assert!(code == 0 && text.contains("dropped"), "{code} {text}");
    assert!(tidegate(&house, &["parked"]).await.1.contains("nothing is parked"));
}
