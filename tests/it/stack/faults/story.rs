//! One fault: two rollouts before it, and what became of them, of users, and of pages.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use receiversim::{Place, Receivers};
use rollout::RolloutId;
use serde_json::{Value, json};
use tidegate::load::Load;

use super::deeds::Deed;
use crate::house::eventually;
use crate::stack::life::{Stack, users};

/// Everything is well again so long after the fault has ended.
const RECOVERY: Duration = Duration::from_secs(30);
/// Whoever is cut off from the nats-server has noticed by then.
const NOTICED: Duration = Duration::from_secs(25);
/// Of each model.
const RATE: f64 = 20.0;

/// With a lease that a fault can outlast.
pub(super) fn policy() -> Value {
    json!({"name": "watched", "tick": "5s", "warmup": "0s", "inconclusive_budget": "90s", "lease": "15s",
        "steps": [{"split": 25, "dwell": "10s"}, {"split": 100, "dwell": "0s"}],
        "checks": [{"metric": "error_rate", "rules": {"gte": 0.2}, "min_samples": 20, "interval": "5s", "window": "step"}]})
}

/// A fault, and how long it lasts.
#[derive(Debug)]
pub(in crate::stack) struct Fault {
    pub(super) name: String,
    lasts: Duration,
    deed: Deed,
}

/// What became of it.
pub(super) struct Row {
    name: String,
    requests: u64,
    failed_by_us: u64,
    ready_after: Duration,
    ended_after: Duration,
    triggers: usize,
}

impl Row {
    pub(super) const HEAD: &'static str =
        "FAULT                                     REQUESTS  FAILED    READY AFTER  ENDED AFTER  PAGES";
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ready, ended) = (self.ready_after.as_secs_f64(), self.ended_after.as_secs_f64());
        let Self { name, requests, failed_by_us, triggers, .. } = self;
        write!(f, "{name:<40}  {requests:>8}  {failed_by_us:>6}  {ready:>11.1} s  {ended:>9.1} s  {triggers:>5}")
    }
}

impl Fault {
    pub(super) fn new(name: impl Into<String>, lasts_s: u64, deed: Deed) -> Self {
        Self { name: name.into(), lasts: Duration::from_secs(lasts_s), deed }
    }

    pub(super) async fn outlived_by(&self, stack: &Stack, receivers: &Receivers) -> Row {
        let models = ["good", "bad"].map(|kind| self.name.replace([' ', ','], "-") + "-" + kind);
        tokio::join!(
            stack.model(&models[0], &["modelsim-v1", "modelsim-v2"]),
            stack.model(&models[1], &["modelsim-v1", "turning"])
        );
        let asking = || models.each_ref().map(|model| users(model, RATE));
        let (mut asked, mut row) = (asking(), self.row());
        let live = models.each_ref().map(async |model| {
            let id = stack.promote(model, "2", "watched", &format!("{}-{model}", std::process::id())).await;
            stack.rollout(&id, |rollout| rollout["stage"] == "observing").await;
            id
        });
        let live = join_all(live).await;
        if self.deed.shuts() {
            row.add(asked).await;
            asked = models.each_ref().map(|model| users(model, 0.0));
        } else {
            stack.turn("turning", &json!({"error_rate": 0.6})).await;
        }
        stack.tell(&format!("{} begins", self.name));
        self.deed.begin(stack, receivers);
        let since = Instant::now();
        match self.deed {
            Deed::Cut("router-a") => {
                tokio::time::sleep(self.lasts).await;
                only_the_former_version_at_router_a(stack, &models[0]).await;
            }
            Deed::Cut(service) => notices(stack, service).await,
            _ => {}
        }
        tokio::time::sleep(self.lasts.saturating_sub(since.elapsed())).await;
        self.deed.end(stack, receivers);
        let since = Instant::now();
        stack.until_ready().await;
        row.ready_after = since.elapsed();
        stack.tell("all are ready again");
        if self.deed.shuts() {
            for model in &models {
                stack.until_served(model).await;
            }
            asked = asking();
            stack.turn("turning", &json!({"error_rate": 0.6})).await;
        }
        assert!(row.ready_after < RECOVERY, "{}: ready after {:?}", self.name, row.ready_after);
        let ended = [stack.ended(&live[0]).await, stack.ended(&live[1]).await];
        row.ended_after = since.elapsed();
        stack.tell("both rollouts have ended");
        assert_eq!(ended, ["completed", "rolled_back"], "{}", self.name);
        row.add(asked).await;
        assert!(row.failed_by_us <= self.deed.users_may_lose(), "{}: users lost {}", self.name, row.failed_by_us);
        row.triggers = told_once(receivers, &live).await;
        stack.turn("turning", &json!({"error_rate": 0.0})).await;
        row
    }

    /// Ends it, whatever became of its story.
    pub(super) async fn ended(&self, stack: &Stack, receivers: &Receivers) {
        self.deed.end(stack, receivers);
        stack.until_ready().await;
        stack.turn("turning", &json!({"error_rate": 0.0})).await;
    }

    fn row(&self) -> Row {
        let none = Duration::ZERO;
        let name = self.name.clone();
        Row { name, requests: 0, failed_by_us: 0, ready_after: none, ended_after: none, triggers: 0 }
    }
}

impl Row {
    #[expect(clippy::print_stdout, reason = "what failed is what a run has to say")]
    async fn add(&mut self, asked: [Load; 2]) {
        for load in asked {
            let report = load.stop().await;
            if report.failed_by_us > 0 {
                println!("{}: {:?}", self.name, report.failures);
            }
            self.requests += report.requests;
            self.failed_by_us += report.failed_by_us;
        }
    }
}

/// F18: without a reset it says that it hears nothing.
async fn notices(stack: &Stack, service: &str) {
    let since = Instant::now();
    while stack.form.within(service, "", &["tidegate", "ready"]).status.success() {
        assert!(since.elapsed() < NOTICED, "{service} still says that it is ready");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A router that hears nothing for a lease serves what is safe, by its own clock.
async fn only_the_former_version_at_router_a(stack: &Stack, model: &str) {
    let url = format!("http://{}:7080/{model}/predict", stack.form.address("router-a", "traffic"));
    for session in 0..40 {
        let request = stack.client.post(&url).header("x-session-id", format!("lease-{session}"));
        let answer = request.json(&json!({"text": "hello"})).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-model-version"]), (200, &"1".parse().unwrap()));
    }
}

/// The bad one is one incident, opened and closed; a message that may have been taken is repeated under its key, and marked. The good
/// one is none. Gives how many pages there were.
async fn told_once(receivers: &Receivers, live: &[RolloutId]) -> usize {
    let about = |id: &RolloutId, action: &str| -> Vec<Value> {
        let taken = receivers.taken(Place::PagerDuty).into_iter().map(|heard| heard.body);
        let key = format!("rollout/default/{id}");
        taken.filter(|body| body["dedup_key"] == key && body["event_action"] == action).collect()
    };
    eventually("the incident is opened and closed", async || {
        ["trigger", "resolve"].iter().all(|action| !about(&live[1], action).is_empty())
    })
    .await;
    let (opened, closed) = (about(&live[1], "trigger"), about(&live[1], "resolve"));
    // A retreat that is not applied after two seconds is said as such, within the same incident.
    for class in ["rollout_turned_back", "retreat_not_applied", "rollout_over"] {
        let pages = opened.iter().chain(&closed).map(|page| &page["payload"]);
        let firsts = pages.filter(|page| page["class"] == class && page["custom_details"]["repeat"] != true);
        assert!(firsts.count() <= 1, "{class}: {opened:#?} {closed:#?}");
    }
    assert_eq!(about(&live[0], "trigger"), Vec::<Value>::new(), "a page for the good one");
    opened.len()
}
