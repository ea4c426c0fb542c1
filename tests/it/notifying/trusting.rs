//! Receivers behind TLS: what this machine trusts is told, what it does not is told nothing.

use std::path::Path;

use receiversim::Place;
use rollout::At;
use serde_json::{Value, json};
use store::{Change, Delivery, Store};

use super::outside::{Outside, named};
use super::{folder, until};
use crate::house::{House, Upstream};
use crate::tls::Authority;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const LATER: At = At(1 << 50);

/// The variables of a webhook at a place behind TLS, and of a machine that trusts an authority.
fn webhook_at(outside: &Outside, place: &str, trusted: &str) -> Vec<(String, String)> {
    named(&[
        ("TIDEGATE_OUTBOUND_ALLOW", place),
        ("TIDEGATE_WEBHOOK_URL", &format!("https://{place}/hook")),
        ("TIDEGATE_WEBHOOK_SECRET_FILE", &outside.file("secret", "hush")),
        ("SSL_CERT_FILE", trusted),
    ])
}

/// Makes the deliveries that would be tried next as old as if they had been tried for a day; gives what was wrong with them.
async fn aged(folder: &Path) -> Vec<Delivery> {
    let store = Store::open(folder).await.unwrap();
    let mut rows: Vec<Delivery> = Vec::new();
    loop {
        let next = store.reader().await.unwrap().rows().next_delivery("webhook").await.unwrap().unwrap();
        if next.attempt_at == LATER {
            break;
        }
        write(&store, &next, LATER).await;
        rows.push(next);
    }
    for row in &rows {
        write(&store, row, At(0)).await;
    }
    store.close().await;
    rows
}

async fn write(store: &Store, row: &Delivery, attempt_at: At) {
    let older = Delivery { since_at: At(row.since_at.0 - DAY_MS), attempt_at, ..row.clone() };
    let mut tx = store.begin().await.unwrap();
    tx.apply(&Change::Attempted { row: Box::new(older), from: (row.state, row.tries) }).await.unwrap();
    tx.commit().await.unwrap();
}

async fn is_retried(house: &House) -> bool {
    let page = house.client.get(format!("{}/metrics", house.api)).send().await.unwrap().text().await.unwrap();
    page.contains("tidegate_notifications_total{channel=\"webhook\",result=\"retried\"}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_nobody_here_trusts_is_told_nothing_and_one_that_is_trusted_everything() {
    let (outside, upstream) = (Outside::start().await, Upstream::start("1").await);
    let (ours, theirs) = (Authority::new(), Authority::new());
    let trusted = ours.file(outside.files());
    let place = theirs.in_front_of(&outside.receivers.address).await;
    let house = House::start_telling(folder(), &webhook_at(&outside, &place, &trusted));
    house.serves("reranker", "1", &upstream.url).await;
    crate::house::eventually("a try is counted", async || is_retried(&house).await).await;
    // For a day it is tried again: a certificate can be renewed.
    let folder = house.stop();
    let rows = aged(folder.path()).await;
    let error = format!("TLS with {place} failed: invalid peer certificate: UnknownIssuer");
    assert!(rows.iter().any(|row| row.error.as_ref() == Some(&error) && !row.is_unsure), "{rows:?}");
    assert_eq!(outside.receivers.heard(Place::Webhook).len(), 0);

    let house = House::start_telling(folder, &webhook_at(&outside, &place, &trusted));
    let is_there = |parked: &Value| parked["items"].as_array().is_some_and(|items| items.len() == rows.len());
    let parked = house.until("/v1/parked", is_there).await;
    for item in parked["items"].as_array().unwrap() {
        assert_eq!(item["reason"], "gave_up");
        assert_eq!(item["error"].as_str().unwrap(), format!("not told within 24 h: {error}"));
    }
    let folder = house.stop();

    let place = ours.in_front_of(&outside.receivers.address).await;
    let house = House::start_telling(folder, &webhook_at(&outside, &place, &trusted));
    let id = parked["items"][0]["id"].as_str().unwrap();
    let (_, whole) = house.get(&format!("/v1/parked/{id}")).await;
    let news: Value = serde_json::from_str(whole["body"].as_str().unwrap()).unwrap();
    let (status, done) = house.post(&format!("/v1/parked/{id}/replay"), &json!({})).await;
    assert_eq!((status, &done["outcome"]), (200, &json!("applied")), "{done}");
    let is_it = || outside.receivers.taken(Place::Webhook).iter().any(|told| told.body["data"] == news["data"]);
    until(|| is_it().then_some(())).await.expect("what was parked arrives");
    outside.assert_good();
    house.stop();
}
