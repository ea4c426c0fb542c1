//! The checker is checked: a design that is broken on purpose must show in what it says.

use std::process::Stdio;
use std::sync::Arc;

use super::{Ending, asked, is_over, prepared};
use crate::checker::violations;
use crate::house::{House, Upstream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_sees_a_message_that_was_handled_twice() {
    let upstreams = [Upstream::start("1").await, Upstream::start("2").await];
    let folder = prepared(Ending::Good, &upstreams).await;
    let broken = [("TIDEGATE_FAILPOINT", "no_dedupe:on")];
    let house = House::start_as(Arc::clone(&folder), Stdio::null(), &broken);
    assert!(asked(&house, Ending::Good, "").await);
    house.until("/v1/rollouts", |rollouts| is_over(rollouts, Ending::Good)).await;
    let id = house.get("/v1/rollouts").await.1["items"][0]["id"].as_str().unwrap().to_owned();
    house.kill();
    let house = House::start_as(Arc::clone(&folder), Stdio::null(), &broken);
    // The same process that has forgotten what it handled refuses it now.
    let page = async || house.client.get(format!("{}/metrics", house.api)).send().await.unwrap().text().await.unwrap();
    crate::house::eventually("a fact is refused", async || {
        page().await.contains("tidegate_refusals_total{reason=\"final\"}")
    })
    .await;
    house.stop();
    let wrong = violations(folder.path()).await;
    assert!(wrong.iter().any(|what| what.contains("it was handled twice")), "{id}: {wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_sees_a_message_that_was_marked_before_its_effect() {
    let mut wrong = Vec::new();
    for nth in 1..=4 {
        // Among the first that are marked are the promote and the rollout that it asks for; a sample of the router may be too,
        // whose loss costs nothing.
        wrong = marked_first(nth).await;
        if wrong.iter().any(|what| what.contains("without its effect: it is lost")) {
            return;
        }
    }
    panic!("{wrong:?}");
}

async fn marked_first(nth: u32) -> Vec<String> {
    let upstreams = [Upstream::start("1").await, Upstream::start("2").await];
    let folder = prepared(Ending::Good, &upstreams).await;
    let armed = format!("mark_first:on,step_after_mark:kill@{nth}");
    let variables = [("TIDEGATE_FAILPOINT", armed.as_str())];
    if let Some(mut house) = House::try_start_as(Arc::clone(&folder), Stdio::null(), &variables) {
        asked(&house, Ending::Good, "").await;
        assert!(house.dies_or("/v1/rollouts", |rollouts| is_over(rollouts, Ending::Good)).await, "nothing was marked");
        house.kill();
    }
    let house = House::start_in(Arc::clone(&folder));
    house.until("/readyz", |_| true).await;
    house.kill();
    violations(folder.path()).await
}
