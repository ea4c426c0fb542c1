//! What people and other systems are told, by a real `tidegate up` to receivers that check what they get.

pub(crate) mod outside;
mod trusting;
mod twice;
mod unparked;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use receiversim::{Heard, Mood, Place};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::{House, Upstream, binary};
use outside::{KEY, Outside, named, until};

fn folder() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// A house whose model has version 1 in service and version 2 registered.
async fn with_two_versions(variables: &[(String, String)]) -> (House, [Upstream; 2]) {
    let house = House::start_telling(folder(), variables);
    let upstreams = [Upstream::start("1").await, Upstream::start("2").await];
    house.serves("reranker", "1", &upstreams[0].url).await;
    house.version("reranker", "2", &upstreams[1].url).await;
    (house, upstreams)
}

/// It has half of the traffic, then a gate that nobody opens: it turns back by itself.
async fn fails(house: &House) -> String {
    let policy = json!({"name": "unseen", "steps": [
        {"split": 50, "dwell": "1s"}, {"split": 100, "dwell": "0s", "gate": {"expires": "1s"}},
    ]});
    let id = house.promote("reranker", "2", &json!({"policy": policy, "requested_by": "<ci>"})).await;
    assert_eq!(house.ended(&id).await["stage"], "rolled_back");
    id
}

/// Action and severity of the alerts about a rollout.
fn alerts(heard: &[Heard], id: &str) -> Vec<(String, String)> {
    let about = heard.iter().filter(|heard| heard.body["dedup_key"] == format!("rollout/default/{id}"));
    about
        .map(|heard| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&heard.body["event_action"]), text(&heard.body["payload"]["severity"]))
        })
        .collect()
}

fn alert(action: &str, severity: &str) -> (String, String) {
    (action.to_owned(), severity.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_rollout_is_one_trigger_and_one_resolve_and_a_success_is_none() {
    let outside = Outside::start().await;
    let (house, _upstreams) = with_two_versions(&outside.all()).await;
    let failed = fails(&house).await;
    let promoted = house.promote("reranker", "2", &json!({"policy": "activate"})).await;
    assert_eq!(house.ended(&promoted).await["stage"], "completed");

    // The first version, the trigger, the resolve, the second version.
    let pages = outside.took(Place::PagerDuty, 4).await;
    assert_eq!(alerts(&pages, &failed), [alert("trigger", "error"), alert("resolve", "info")]);
    let changes: Vec<_> = pages.iter().filter(|page| page.path == "/v2/change/enqueue").collect();
    let about: Vec<_> = changes.iter().map(|page| &page.body["payload"]["custom_details"]["rollout_id"]).collect();
    assert!(about.contains(&&json!(promoted)) && changes.len() == 2, "{changes:?}");
    assert!(pages.iter().all(|page| page.body["routing_key"] == KEY));
    let trigger = pages.iter().find(|page| page.body["event_action"] == "trigger").unwrap();
    assert_eq!(trigger.body["payload"]["custom_details"]["rollback"], format!("tidegate rollback {failed}"));

    // The first version, turning back and its end with the gate between, the second version.
    let messages = outside.took(Place::Slack, 5).await;
    let texts: Vec<_> = messages.iter().map(|message| message.body["text"].as_str().unwrap().to_owned()).collect();
    for expected in
        ["waits for an approval", "taking the traffic back: gate_expired", "was rolled back", "is the active version"]
    {
        assert!(texts.iter().any(|text| text.contains(expected)), "{expected}: {texts:?}");
    }
    let told = outside.took(Place::Webhook, 5).await;
    assert!(
        told.iter()
            .all(|told| told.body["specversion"] == "1.0" && told.headers["x-tidegate-signature"].starts_with("t="))
    );
    assert!(told.iter().any(|told| told.body["type"] == "dev.tidegate.version.activated.v1"));
    outside.assert_good();

    let metrics = house.client.get(format!("{}/metrics", house.api)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("tidegate_notifications_total{channel=\"pagerduty\",result=\"sent\"} 4"), "{metrics}");
    house.stop();
    assert_eq!(outside.receivers.heard(Place::PagerDuty).len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_are_busy_fail_or_hang_delay_nobody_and_lose_nothing() {
    let outside = Outside::start().await;
    outside.receivers.turn(Place::Slack, Mood::Hangs);
    outside.receivers.turn(Place::Webhook, Mood::Answers { status: 500, retry_after: None, times: 2 });
    let (house, _upstreams) = with_two_versions(&outside.all()).await;
    // The change of the first version is out of the way before PagerDuty turns busy.
    outside.took(Place::PagerDuty, 1).await;
    outside.receivers.turn(Place::PagerDuty, Mood::Answers { status: 429, retry_after: Some(3), times: 1 });
    let failed = fails(&house).await;

    let pages = outside.took(Place::PagerDuty, 3).await;
    assert_eq!(alerts(&pages, &failed), [alert("trigger", "error"), alert("resolve", "info")]);
    let heard = outside.receivers.heard(Place::PagerDuty);
    let busy = heard.iter().position(|heard| heard.status == Some(429)).unwrap();
    assert!(heard[busy + 1].at - heard[busy].at >= Duration::from_secs(3), "Retry-After was not honoured");
    assert!(
        heard[busy + 1].body["payload"]["custom_details"]["repeat"].is_null(),
        "an answer came, so it is no repeat"
    );
    outside.took(Place::Webhook, 5).await;

    // It hangs while the process is told to stop, which it does in time; the next start says it again, marked.
    let before = outside.heard(Place::Slack, 1).await.len();
    let folder = house.stop();
    outside.receivers.turn(Place::Slack, Mood::Well);
    let house = House::start_telling(folder, &outside.all());
    let messages = outside.took(Place::Slack, 3).await;
    assert!(messages[0].body["text"].as_str().unwrap().starts_with("(repeat) "), "{:?}", messages[0]);
    assert!(outside.receivers.heard(Place::Slack).len() >= before + 3);
    outside.assert_good();
    house.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_was_sent_before_a_kill_is_repeated_marked_under_the_same_key() {
    let outside = Outside::start().await;
    let variables = outside.pagerduty();
    let (house, _upstreams) = with_two_versions(&variables).await;
    outside.took(Place::PagerDuty, 1).await;
    // It hears the trigger; whether it took it nobody here gets to know.
    outside.receivers.turn(Place::PagerDuty, Mood::Hangs);
    let failed = fails(&house).await;
    outside.heard(Place::PagerDuty, 2).await;
    let folder = house.kill();
    outside.receivers.turn(Place::PagerDuty, Mood::Well);
    let house = House::start_telling(folder, &variables);
    let pages = outside.took(Place::PagerDuty, 3).await;
    assert_eq!(alerts(&pages, &failed), [alert("trigger", "error"), alert("resolve", "info")]);
    let heard = outside.receivers.heard(Place::PagerDuty);
    assert_eq!(heard.iter().filter(|heard| heard.body["event_action"] == "trigger").count(), 2);
    assert!(heard[1].body["payload"]["custom_details"]["repeat"].is_null());
    assert_eq!(heard[2].body["payload"]["custom_details"]["repeat"], true);
    assert_eq!(heard[1].body["dedup_key"], heard[2].body["dedup_key"]);
    outside.assert_good();
    house.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_receiver_refuses_is_parked_and_listed_and_its_page_is_not_resolved() {
    let outside = Outside::start().await;
    let (house, _upstreams) = with_two_versions(&outside.pagerduty()).await;
    outside.took(Place::PagerDuty, 1).await;
    outside.receivers.turn(Place::PagerDuty, Mood::Answers { status: 400, retry_after: None, times: 1 });
    let failed = fails(&house).await;
    let parked =
        house.until("/v1/parked", |parked| parked["items"].as_array().is_some_and(|items| items.len() == 2)).await;
    let reasons: Vec<_> =
        parked["items"].as_array().unwrap().iter().map(|item| item["reason"].as_str().unwrap()).collect();
    assert!(reasons.contains(&"receiver_refused") && reasons.contains(&"trigger_not_accepted"), "{parked}");
    let prefix = format!("notifier.pagerduty.{failed}.");
    assert!(
        parked["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["message_id"].as_str().unwrap().starts_with(&prefix))
    );
    assert!(parked.to_string().contains("answered 400") && !parked.to_string().contains(KEY), "{parked}");
    // Neither the trigger again, nor a resolve of what was never opened.
    assert_eq!(outside.receivers.heard(Place::PagerDuty).len(), 2);
    house.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_receiver_that_is_no_longer_there_is_parked_at_the_start() {
    let outside = Outside::start().await;
    outside.receivers.turn(Place::Slack, Mood::Answers { status: 500, retry_after: None, times: u32::MAX });
    let (house, _upstreams) = with_two_versions(&outside.slack()).await;
    outside.heard(Place::Slack, 1).await;
    let house = House::start_telling(house.kill(), &[]);
    let parked =
        house.until("/v1/parked", |parked| parked["items"].as_array().is_some_and(|items| !items.is_empty())).await;
    assert_eq!(parked["items"][0]["reason"], "channel_gone", "{parked}");
    house.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_keeps_one_message_for_each_rollout() {
    let outside = Outside::start().await;
    let (house, _upstreams) = with_two_versions(&outside.app()).await;
    let failed = fails(&house).await;
    let is_end = |heard: &Heard| heard.text.contains("was rolled back") && heard.text.contains(&failed);
    until(|| outside.receivers.taken(Place::Slack).iter().any(is_end).then_some(())).await.expect("the end is told");
    let about: Vec<_> =
        outside.receivers.taken(Place::Slack).into_iter().filter(|heard| heard.text.contains(&failed)).collect();
    let methods: Vec<_> = about.iter().map(|heard| heard.path.as_str()).collect();
    assert_eq!(methods[0], "/api/chat.postMessage");
    assert!(methods.len() > 3 && methods[1..].iter().all(|method| *method == "/api/chat.update"), "{methods:?}");
    let stamps: std::collections::BTreeSet<_> = about[1..].iter().map(|heard| heard.body["ts"].to_string()).collect();
    assert_eq!(stamps.len(), 1, "{stamps:?}");
    assert!(is_end(about.last().unwrap()), "the last word is the end");
    outside.assert_good();
    house.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_rollback_and_dead_receivers_change_nothing_for_the_traffic() {
    let outside = Outside::start().await;
    // A port where nobody listens, and nobody else can: every connection is refused.
    let gone = tokio::net::TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = gone.local_addr().unwrap().to_string();
    let mut variables = outside.pagerduty();
    variables.retain(|(name, _)| name == "TIDEGATE_PAGERDUTY_KEY_FILE");
    variables.extend(named(&[
        ("TIDEGATE_OUTBOUND_ALLOW", &address),
        ("TIDEGATE_PAGERDUTY_URL", &format!("http://{address}")),
    ]));
    let (house, _upstreams) = with_two_versions(&variables).await;
    let policy = json!({"name": "half", "steps": [{"split": 50, "dwell": "1h"}, {"split": 100, "dwell": "0s"}]});
    let id = house.promote("reranker", "2", &json!({ "policy": policy })).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let (status, answer) = house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "enough"})).await;
    assert_eq!((status, &answer["applied"]), (200, &json!(true)), "{answer}");
    assert_eq!(house.ended(&id).await["stage"], "rolled_back");
    // The change event of the first version finds nobody, and is tried again.
    crate::house::eventually("a try is counted", async || {
        let page = house.client.get(format!("{}/metrics", house.api)).send().await.unwrap().text().await.unwrap();
        page.contains("tidegate_notifications_total{channel=\"pagerduty\",result=\"retried\"}")
    })
    .await;
    house.stop();
}

#[test]
fn a_bad_configuration_is_said_whole_before_anything_starts() {
    let files = tempfile::tempdir().unwrap();
    let open = files.path().join("key");
    std::fs::write(&open, KEY).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let out = Command::new(binary())
        .args(["up", "--listen", "127.0.0.1:0", "--router", "127.0.0.1:0", "--data"])
        .arg(files.path().join("data"))
        .env("TIDEGATE_PAGERDUTY_KEY_FILE", &open)
        .env("TIDEGATE_PAGERDUTY_URL", "http://127.0.0.1:9")
        .env("TIDEGATE_SLACK_CHANNEL", "C01")
        .env("TIDEGATE_WEBHOOK_URL", "https://169.254.169.254/latest")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success());
    for expected in [
        "TIDEGATE_PAGERDUTY_KEY_FILE: ",
        "others can read the file (mode 0644)",
        "TIDEGATE_PAGERDUTY_URL: goes to 127.0.0.1:9 without https",
        "TIDEGATE_SLACK_CHANNEL: is set without TIDEGATE_SLACK_TOKEN_FILE",
        "TIDEGATE_WEBHOOK_SECRET_FILE: is missing",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains(KEY) && !files.path().join("data").exists(), "{said}");
}
