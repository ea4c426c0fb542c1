//! A backup of the database and its return, by the words of `docs/OPERATIONS.md`, while users go on asking.

use std::time::{Duration, Instant};

use serde_json::json;

use super::containers::Form;
use super::judged;
use super::life::{Stack, users};
use crate::house::eventually;

/// So long a stream takes a message for one that it has.
const FORGETS: Duration = Duration::from_secs(120);
/// Those who write; the routers go on.
const WRITERS: [&str; 7] =
    ["api", "registry-writer", "stage-scheduler", "analyzer", "traffic-updater", "deployer", "notifier"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes four minutes: `./x soak`"]
async fn a_database_of_an_earlier_hour_is_followed_by_all_and_users_notice_nothing() {
    let (stack, _) = Stack::up(Form::default(), &[]).await;
    stack.policy(&judged::quick()).await;
    stack.policy(&judged::slow()).await;
    stack.model("good", &["modelsim-v1", "modelsim-v2"]).await;
    stack.model("live", &["modelsim-v1", "modelsim-v2"]).await;
    let asked = [users("good", 25.0), users("live", 25.0)];
    let live = stack.promote("live", "2", "slow", "live").await;
    stack.rollout(&live, |rollout| rollout["stage"] == "observing").await;
    let known = stack.promote("good", "2", "quick", "known").await;
    assert_eq!(stack.ended(&known).await, "completed");
    stack.until("/v1/models/good", |model| model["active"] == "2").await;
    let backup = dump();

    let forgotten = stack.promote("good", "1", "quick", "forgotten").await;
    assert_eq!(stack.ended(&forgotten).await, "completed");
    stack.until("/v1/models/good", |model| model["active"] == "1").await;
    stack.model("late", &["modelsim-v1"]).await;

    stack.form.said(&[&["stop"], &WRITERS[..]].concat());
    let since = Instant::now();
    restore(&backup);
    let said = stack.form.said(&["run", "--rm", "-T", "init", "tidegate", "restore"]);
    for words in ["incarnation 1: ", "default/good: generation ", "default/late: generation ", forgotten.as_str()] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    tokio::time::sleep(FORGETS.saturating_sub(since.elapsed())).await;
    stack.form.said(&["up", "-d"]);
    stack.until_ready().await;

    stack.until("/v1/models/good", |model| model["active"] == "2").await;
    eventually("users have the version of the backup again", async || asked_once(&stack, "good").await == "2").await;
    stack.rolls_back(&live).await;
    for load in asked {
        let report = load.stop().await;
        assert_eq!(report.failed_by_us, 0, "{:?}", report.failures);
        println!("{} requests through backup and return, none failed by us", report.requests);
    }
}

/// The version that answers.
async fn asked_once(stack: &Stack, model: &str) -> String {
    let request = stack.client.post(format!("http://127.0.0.1:7080/{model}/predict"));
    let answer = request.json(&json!({"text": "hello"})).send().await.unwrap();
    answer.headers()["x-model-version"].to_str().unwrap().to_owned()
}

/// As `pg_dump` writes it.
fn dump() -> Vec<u8> {
    let words =
        ["exec", "-T", "postgres", "pg_dump", "--username", "tidegate_migrate", "--format", "custom", "tidegate"];
    let out = Form::default().compose(&words);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn restore(backup: &[u8]) {
    let user = ["exec", "-T", "postgres", "pg_restore", "--username", "tidegate_migrate", "--dbname", "tidegate"];
    Form::default().told(&[&user[..], &["--clean", "--if-exists", "--exit-on-error"]].concat(), backup);
}
