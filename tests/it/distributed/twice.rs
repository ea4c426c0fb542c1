//! What comes more than once (F12, F39): every message three times and out of order, a request under one key, a captured message that
//! somebody sends again. One effect, one page.

use receiversim::Place;
use serde_json::{Value, json};

use super::plant::Plant;
use super::{judged_by, served};
use crate::checker::stories_of;
use crate::witness::Witness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_every_message_three_times_in_random_order_changes_no_story_and_pages_once() {
    let mut told = Vec::new();
    for switches in ["", "thrice:on"] {
        let (plant, witness) = (Plant::of(2, &[("TIDEGATE_FAILPOINT", switches)]).await, Witness::default());
        let upstreams = served(&plant.house).await;
        upstreams[1].observe("hallucination=1");
        let users = plant.users(&witness);
        let id = plant.promote("2", &judged_by("hallucination_rate")).await;
        assert_eq!(plant.house.ended(&id).await["stage"], "rolled_back");
        let pages = plant.outside.took(Place::PagerDuty, 3).await;
        let about = pages.iter().filter(|page| page.body["dedup_key"] == format!("rollout/default/{id}"));
        let actions: Vec<_> = about.map(|page| page.body["event_action"].as_str().unwrap().to_owned()).collect();
        assert_eq!(actions, ["trigger", "resolve"], "{switches}");
        assert_eq!(users.stop().await, 0, "requests that no router answered well");
        let store = plant.store().await;
        told.push(stories_of(&store).await.pop().map(|(_, story)| story).unwrap());
        store.close().await;
        assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
    }
    assert_eq!(told[0], told[1]);
}

/// Publishes a message of a stream again, as somebody does who has captured it: under an id that the stream does not know.
async fn sent_again(plant: &Plant, stream: &str, subject: &str) -> Value {
    let jetstream = plant.nats.jetstream().await;
    let found = jetstream.get_stream(stream).await.unwrap().get_last_raw_message_by_subject(subject).await.unwrap();
    let mut headers = found.headers.clone();
    headers.insert("Nats-Msg-Id", uuid::Uuid::new_v4().to_string());
    let again = jetstream.publish_with_headers(found.subject.clone(), headers, found.payload.clone()).await.unwrap();
    again.await.unwrap();
    serde_json::from_slice(&found.payload).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f39_a_promote_that_is_repeated_is_one_rollout_with_one_answer() {
    let (plant, witness) = (Plant::of(2, &[]).await, Witness::default());
    let _upstreams = served(&plant.house).await;
    // The same request at both APIs at once, and later again.
    let body = json!({"policy": "activate"});
    let asked = plant.urls("api").into_iter().cycle().take(8).map(|api| {
        let request = plant.house.client.post(format!("{api}/v1/registry/reranker/2/promote"));
        crate::house::answer(request.header("idempotency-key", "once").json(&body))
    });
    let mut answers: Vec<_> = futures_util::future::join_all(asked).await;
    // Whoever asks while the first is being answered is told to come again.
    answers.retain(|(status, _)| *status != 409);
    let request = plant.house.client.post(format!("{}/v1/registry/reranker/2/promote", plant.urls("api")[1]));
    answers.push(crate::house::answer(request.header("idempotency-key", "once").json(&body)).await);
    assert!(
        answers.iter().all(|(status, answer)| *status == 202 && answer["rollout_id"] == answers[0].1["rollout_id"]),
        "{answers:?}"
    );
    let id = answers[0].1["rollout_id"].as_str().unwrap().to_owned();
    assert_eq!(plant.house.ended(&id).await["stage"], "completed");
    for (stream, subject) in [
        ("TG_CMD", "tg.cmd.default.reranker.version.promote"),
        ("TG_CMD", "tg.cmd.default.reranker.promotion.requested"),
        ("TG_LOOP", "tg.normal.default.reranker.split.applied"),
    ] {
        sent_again(&plant, stream, subject).await;
    }
    plant.quiet().await;
    let rollouts = plant.read("/v1/rollouts").await.unwrap();
    let of_it: Vec<_> = rollouts["items"].as_array().unwrap().iter().filter(|row| row["candidate"] == "2").collect();
    assert_eq!(of_it.len(), 1, "{rollouts}");
    assert_eq!((&of_it[0]["id"], &of_it[0]["stage"]), (&json!(id), &json!("completed")));
    assert_eq!(plant.violations(&witness).await, Vec::<String>::new());
}
