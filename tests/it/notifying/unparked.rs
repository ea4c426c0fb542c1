//! Deliveries that were parked: listed, replayed and dropped by people.

use receiversim::{Heard, Mood, Place};
use serde_json::{Value, json};

use super::outside::Outside;
use super::{fails, with_two_versions};
use crate::cli_only::tidegate;
use crate::house::House;

/// What waits at `/v1/parked`, once there are so many: id of each, with the id of the news it tells.
async fn parked(house: &House, count: usize) -> Vec<(String, Value)> {
    let is_so = |parked: &Value| parked["items"].as_array().is_some_and(|items| items.len() == count);
    let list = house.until("/v1/parked", is_so).await;
    let mut parked = Vec::new();
    for item in list["items"].as_array().unwrap() {
        let id = item["id"].as_str().unwrap().to_owned();
        let (_, whole) = house.get(&format!("/v1/parked/{id}")).await;
        let event: Value = serde_json::from_str(whole["body"].as_str().unwrap()).unwrap();
        parked.push((id, event["data"].clone()));
    }
    parked
}

/// How often a piece of news was heard, and how often it was taken.
fn told(heard: &[Heard], news: &Value) -> (usize, usize) {
    let about: Vec<_> = heard.iter().filter(|heard| heard.body["data"] == *news).collect();
    (about.len(), about.iter().filter(|heard| heard.status == Some(202)).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_delivery_arrives_once_when_it_is_replayed_and_never_when_it_is_dropped() {
    let outside = Outside::start().await;
    outside.receivers.turn(Place::Webhook, Mood::Answers { status: 403, retry_after: None, times: 3 });
    let (house, _upstreams) = with_two_versions(&outside.webhook()).await;
    let parked = parked(&house, 3).await;
    let (_, listed) = tidegate(&house, &["parked"]).await;
    assert!(parked.iter().all(|(id, _)| listed.contains(id)), "{listed}");
    assert!(listed.contains("receiver_refused: answered 403"), "{listed}");

    let [by_api, by_hand, dropped] = &parked[..] else { panic!("{parked:?}") };
    let (status, done) = house.post(&format!("/v1/parked/{}/replay", by_api.0), &json!({"actor": "ann"})).await;
    assert_eq!((status, &done["outcome"]), (200, &json!("applied")), "{done}");
    let (code, text) = tidegate(&house, &["parked", "replay", &by_hand.0, "--reason", "mended"]).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = tidegate(&house, &["parked", "drop", &dropped.0]).await;
    assert_eq!(code, 0, "{text}");
    assert!(tidegate(&house, &["parked"]).await.1.contains("nothing is parked"));
    // Once replayed, it is not parked any more.
    assert_eq!(house.post(&format!("/v1/parked/{}/replay", by_api.0), &json!({})).await.0, 409);

    // What comes behind it has arrived when this has, so nothing of what was dropped is on its way.
    fails(&house).await;
    let is_end = |heard: &Heard| heard.body["data"]["to"] == "rolled_back";
    super::until(|| outside.receivers.taken(Place::Webhook).iter().any(is_end).then_some(())).await.unwrap();
    house.quiet().await;
    let house = House::start_telling(house.stop(), &outside.webhook());
    house.until("/readyz", |_| true).await;
    house.quiet().await;
    house.stop();
    let heard = outside.receivers.heard(Place::Webhook);
    for (news, expected) in [(by_api, (2, 1)), (by_hand, (2, 1)), (dropped, (1, 0))] {
        assert_eq!(told(&heard, &news.1), expected, "{news:?}");
    }
    outside.assert_good();
}
