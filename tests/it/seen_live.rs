//! What the judge leads to, seen in real traffic: each action of a check, each metric of `llm-upgrade` in each of its steps, and a
//! rollout of which nothing is known. What happened is told by the command line and kept as snapshots.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli_only::tidegate;
use crate::house::{House, Upstream};
use crate::traffic::{self, Traffic};

/// Of sixteen rollouts at once.
const SIXTEEN_LIMIT: Duration = Duration::from_secs(240);

/// What answers cost, which is 0.02 in the mean.
const COST: &str = "cost_usd=0.01|cost_usd=0.02|cost_usd=0.03";

/// What the history of a rollout says, without its times, its id, what was said twice, and numbers that chance draws.
async fn transcript(house: &House, id: &str) -> String {
    let (code, text) = tidegate(house, &["history", id]).await;
    assert_eq!(code, 0, "{text}");
    let mut entries: Vec<String> = Vec::new();
    for line in text.lines().skip(1) {
        match line.split_once("  ") {
            Some((clock, rest)) if clock.contains(':') => entries.push(rest.trim_end().to_owned()),
            _ => {
                let entry = entries.last_mut().unwrap();
                *entry = format!("{entry}\n    {}", without_odds(line.trim()));
            }
        }
    }
    // How evidence grows until it says something, and what comes late, differs from run to run.
    let is_nothing = |reason: &str| ["    undecided", "    no_bound"].contains(&reason);
    let says_something = |entry: &&String| entry.lines().nth(1).is_some_and(|reason| !is_nothing(reason));
    let is_told = |entry: &String| {
        let stays = entry.contains(" (stays)") && (entry.contains("[deadline_passed by") || !says_something(&entry));
        !stays && !entry.starts_with("refused in")
    };
    entries.retain(is_told);
    entries.dedup();
    entries.join("\n")
}

/// Odds are another number in each run.
fn without_odds(line: &str) -> String {
    let words = line.split(' ').map(|word| if word.ends_with(":1") { "#:1" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

fn policy(checks: &Value, more: &[(&str, Value)]) -> Value {
    let mut policy = json!({"name": "seen", "tick": "5s", "warmup": "0s", "inconclusive_budget": "10s", "checks": checks,
        "steps": [{"name": "half", "split": 50, "dwell": "5s"}, {"name": "all", "split": 100, "dwell": "0s"}]});
    for (field, value) in more {
        policy[*field] = value.clone();
    }
    policy
}

/// A model whose two versions observe these, its users, and its first rollout.
async fn rolled_out(house: &House, (one, two): (&str, &str), policy: &Value) -> (String, Traffic) {
    let servers = (Upstream::start("1").await, Upstream::start("2").await);
    servers.0.observe(one);
    servers.1.observe(two);
    house.serves("chat", "1", &servers.0.url).await;
    house.version("chat", "2", &servers.1.url).await;
    let traffic = traffic::start(house, "chat");
    (house.promote("chat", "2", &json!({"policy": policy})).await, traffic)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_makes_things_up_goes_back() {
    let house = House::start();
    let policy = policy(
        &json!([{"metric": "hallucination_rate", "rules": {"gte": 0.08}}]),
        &[("slos", json!([{"metric": "hallucination_rate", "max": 0.05}, {"metric": "error_rate", "max": 0.01}]))],
    );
    let (id, traffic) = rolled_out(&house, ("hallucination=0", "hallucination=1"), &policy).await;
    assert_eq!(house.ended(&id).await["stage"], "rolled_back");
    insta::assert_snapshot!(transcript(&house, &id).await);
    // What users may expect is told for both versions, whatever became of it.
    let (_, slos) = house.get(&format!("/v1/rollouts/{id}/slos")).await;
    let standing: Vec<String> = slos["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slo| format!("{} {} {}", slo["objective"]["metric"], slo["version"], slo["standing"]["status"]))
        .collect();
    let of = |metric: &str, version: &str, status: &str| format!("\"{metric}\" \"{version}\" \"{status}\"");
    assert_eq!(
        standing,
        [
            of("hallucination_rate", "2", "exhausted"),
            of("hallucination_rate", "1", "healthy"),
            of("error_rate", "2", "healthy"),
            of("error_rate", "1", "healthy")
        ],
        "{slos}"
    );
    let (_, shown) = tidegate(&house, &["show", &id]).await;
    assert!(shown.contains("objectives, which never take a version back") && shown.contains("exhausted"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_costs_too_much_goes_back() {
    let house = House::start();
    let policy = policy(&json!([{"metric": "avg_cost_usd", "rules": {"gte": "0.10"}}]), &[]);
    let (id, traffic) = rolled_out(&house, (COST, "cost_usd=0.24|cost_usd=0.25|cost_usd=0.26"), &policy).await;
    assert_eq!(house.ended(&id).await["stage"], "rolled_back");
    insta::assert_snapshot!(transcript(&house, &id).await);
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_whose_answers_are_longer_by_posted_counts_goes_back() {
    let house = House::start();
    // Nobody says how many tokens an answer can have: the dearest are cut, wherever they are counted.
    let checks = json!([{"metric": "tokens", "rules": {"max_relative_increase": 1.5}}]);
    let policy = policy(&checks, &[("inconclusive_budget", json!("60s"))]);
    let outcome =
        |version: &str, tokens: u32| json!({"model": "chat", "version": version, "metric": "tokens", "value": tokens});
    let posted = |at: u32, is_capped: bool| {
        let of = |item: u32| [outcome("1", 300 + item * 7 % 90), outcome("2", 900 + (item + at) * 11 % 300)];
        // Uncut, a few absurd ones would make stable the longer one.
        let absurd = is_capped.then(|| outcome("1", 1_000_000));
        (0..20).flat_map(of).chain(absurd).collect::<Vec<Value>>()
    };
    let (id, traffic) = rolled_out(&house, (COST, COST), &policy).await;
    let ended = house.ended(&id);
    let posting = async {
        for at in 0.. {
            let (_, rollout) = house.get(&format!("/v1/rollouts/{id}")).await;
            // What came before the step was read back is no value of it, so the first tick may have none.
            let is_capped = rollout["verdict"]["checks"][0]["n_stable"].as_f64() >= Some(20.0);
            assert_eq!(house.post("/v1/observations", &json!(posted(at, is_capped))).await.0, 202);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let ended = tokio::select! { ended = ended => ended, () = posting => unreachable!() };
    assert_eq!(ended["stage"], "rolled_back", "{ended}");
    assert!(ended["issues"][0].as_str().unwrap().starts_with("tokens increased "), "{ended}");
    assert_eq!(ended["verdict"]["checks"][0]["method"], "sequential");
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breach_that_asks_a_person_waits_at_a_gate_until_somebody_says_no() {
    let house = House::start();
    let policy = policy(&json!([{"metric": "hallucination_rate", "rules": {"gte": 0.08}, "action": "gate"}]), &[]);
    let (id, traffic) = rolled_out(&house, ("hallucination=0", "hallucination=1"), &policy).await;
    let gated = house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "gated").await;
    assert_eq!(gated["split"]["applied"], 5000, "nobody went back yet: {gated}");
    assert_eq!(tidegate(&house, &["reject", &id, "--reason", "it makes things up"]).await.0, 0);
    assert_eq!(house.ended(&id).await["stage"], "rolled_back");
    insta::assert_snapshot!(transcript(&house, &id).await);
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_worse_within_its_limit_waits_for_a_person_who_takes_it() {
    let house = House::start();
    // 1.5 times the cost, where a fifth more is nothing and five times as much must go.
    let steps = json!([{"name": "half", "split": 50, "dwell": "20s"}, {"name": "all", "split": 100, "dwell": "0s"}]);
    let policy = policy(
        &json!([{"metric": "avg_cost_usd", "rules": {"max_relative_increase": 5.0}, "sensitivity": 0.05, "hi": 1}]),
        &[("on_degraded", json!("hold")), ("on_inconclusive", json!("hold")), ("steps", steps)],
    );
    let (id, traffic) = rolled_out(&house, (COST, "cost_usd=0.015|cost_usd=0.03|cost_usd=0.045"), &policy).await;
    let path = format!("/v1/rollouts/{id}");
    let held = house.until(&path, |rollout| rollout["verdict"]["action"] == "hold").await;
    let check = &held["verdict"]["checks"][0];
    assert_eq!((&held["stage"], &check["result"]), (&json!("observing"), &json!("degraded")), "{held}");
    assert_eq!((&check["reason"], &held["split"]["applied"]), (&json!("worse_within_limit"), &json!(5000)), "{held}");
    let (code, said) = tidegate(&house, &["advance", &id, "--reason", "the answers are worth it"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(house.ended(&id).await["stage"], "completed");
    insta::assert_snapshot!(transcript(&house, &id).await);
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_of_which_nothing_is_known_waits_out_its_budget_and_goes_back() {
    let house = House::start();
    // Nobody ever says whether an answer was made up.
    let policy = policy(&json!([{"metric": "hallucination_rate", "rules": {"gte": 0.08}}]), &[]);
    let (id, traffic) = rolled_out(&house, (COST, COST), &policy).await;
    let path = format!("/v1/rollouts/{id}");
    let waiting = house.until(&path, |rollout| rollout["verdict"]["action"] == "extend").await;
    assert_eq!(waiting["verdict"]["result"], "no_data", "{waiting}");
    assert_eq!(house.ended(&id).await["stage"], "rolled_back");
    insta::assert_snapshot!(transcript(&house, &id).await);
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}

/// Metrics of `llm-upgrade`, and how a server becomes bad at each.
type Turn = fn(&Upstream);
const METRICS: [(&str, Turn); 4] = [
    ("error_rate", Upstream::fail),
    ("hallucination_rate", |server| server.observe("hallucination=1, cost_usd=0.02")),
    ("p95_latency_ms", |server| server.take(1500)),
    ("avg_cost_usd", |server| server.observe("hallucination=0, cost_usd=0.25")),
];
/// Where a rollout is when its version turns bad; the last one is everything, while it bakes.
const STEPS: [&str; 4] = ["5% canary", "25% ramp", "50% ramp", "baking"];

/// The limits of `llm-upgrade` at a pace that a test can wait for, with answers that are slow at a fifth of its time.
fn upgrade() -> Value {
    let step = |name: &str, split: u32| json!({"name": name, "split": split, "dwell": "10s"});
    // Sixteen at once on a busy machine may need long until what is still good is known to be.
    json!({"class": "llm-upgrade", "name": "upgrade", "bake": "60s", "inconclusive_budget": "3m",
        "steps": [step(STEPS[0], 5), step(STEPS[1], 25), step(STEPS[2], 50), {"name": "100% full rollout", "split": 100, "dwell": "0s"}],
        "checks": [{"metric": "p95_latency_ms", "rules": {"gte": 1000}}]})
}

/// One rollout that turns bad in one step: what it ended as, and why.
async fn turned(house: &House, model: String, step: &str, turn: Turn) -> String {
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    for server in [&one, &two] {
        server.observe("hallucination=0, cost_usd=0.02");
    }
    house.serves(&model, "1", &one.url).await;
    house.version(&model, "2", &two.url).await;
    let traffic = traffic::start_slowly(house, &model);
    let id = house.promote(&model, "2", &json!({"policy": upgrade()})).await;
    let is_there = |rollout: &Value| match step {
        "baking" => rollout["stage"] == "baking",
        _ => {
            let current = rollout.pointer(&format!("/plan/steps/{}/name", rollout["step"]));
            rollout["stage"] == "observing" && current == Some(&json!(step))
        }
    };
    let is_over = |rollout: &Value| rollout["stage"] == "rolled_back" || rollout["stage"] == "completed";
    // Sixteen at once on a busy machine take their time.
    let since = Instant::now();
    let until = async |holds: &dyn Fn(&Value) -> bool| loop {
        let rollout = house.get(&format!("/v1/rollouts/{id}")).await.1;
        if holds(&rollout) {
            return rollout;
        }
        assert!(since.elapsed() < SIXTEEN_LIMIT, "{model} waits for {step} or its end: {rollout}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let there = until(&|rollout| is_there(rollout) || is_over(rollout)).await;
    assert!(is_there(&there), "{model} was over before {step}: {there}");
    turn(&two);
    let ended = until(&is_over).await;
    traffic.stop().await;
    format!("{model}: {} ({})", ended["stage"], ended["reason"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_metric_of_llm_upgrade_takes_a_version_back_in_each_step() {
    let house = House::start();
    let mut turns = Vec::new();
    for (metric, turn) in METRICS {
        for (at, step) in STEPS.iter().enumerate() {
            let model = format!("{}-{at}", metric.replace('_', "-"));
            turns.push(turned(&house, model, step, turn));
        }
    }
    let ends = futures_util::future::join_all(turns).await;
    for (at, end) in ends.iter().enumerate() {
        let metric = METRICS[at / STEPS.len()].0;
        assert!(end.contains(&format!("\"rolled_back\" (\"breach: {metric} too high: ")), "{end}");
    }
}
