//! A rollout driven by the command line alone, and the exit codes that scripts rely on.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::house::{House, Upstream, binary};

/// Runs `tidegate` as a person would, against this house.
pub(crate) async fn tidegate(house: &House, words: &[&str]) -> (i32, String) {
    let (url, words) = (house.api.clone(), words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || {
        Command::new(binary()).args(&words).env("TIDEGATE_URL", url).output().unwrap()
    })
    .await
    .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code().unwrap(), text)
}

fn policy(folder: &std::path::Path, checks: &Value) -> String {
    let file = folder.join("quick.yaml");
    let policy = json!({"name": "quick", "tick": "5s", "warmup": "0s", "inconclusive_budget": "10s",
        "steps": [{"name": "half", "split": 50, "dwell": "5s"}, {"name": "all", "split": 100, "dwell": "0s"}], "checks": checks});
    std::fs::write(&file, policy.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_by_the_command_line_alone() {
    let house = House::start();
    let (one, two, three) =
        (Upstream::start("1.3.0").await, Upstream::start("1.4.0").await, Upstream::start("1.5.0").await);
    three.observe("hallucination=1");

    assert!(tidegate(&house, &["models"]).await.1.contains("models add"), "an empty list says what to do next");
    assert_eq!(tidegate(&house, &["models", "add", "reranker", "--type", "RERANKER"]).await.0, 0);
    assert_eq!(tidegate(&house, &["versions", "add", "reranker", "1.3.0", "--upstream", &one.url]).await.0, 0);
    house.until("/v1/models/reranker", |model| model["active"] == "1.3.0" && model["rollout"].is_null()).await;
    assert_eq!(tidegate(&house, &["versions", "add", "reranker", "1.4.0", "--upstream", &two.url]).await.0, 0);
    assert_eq!(tidegate(&house, &["versions", "add", "reranker", "1.5.0", "--upstream", &three.url]).await.0, 0);

    let traffic = crate::traffic::start(&house, "reranker");
    let checks = json!([{"metric": "hallucination_rate", "rules": {"gte": 0.08}, "min_samples": 20, "interval": "5s", "window": "step"},
        {"metric": "error_rate", "rules": {"gte": 0.10}, "min_samples": 20, "interval": "5s", "window": "step"}]);
    two.observe("hallucination=0");
    let file = policy(house.data(), &checks);
    let (code, text) = tidegate(&house, &["promote", "reranker", "1.4.0", "--policy", &file, "--wait"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("completed"), "{text}");

    // Promoted, and now the one that hallucinates: exit code 2 is "ended without promotion".
    let (code, text) = tidegate(&house, &["promote", "reranker", "1.5.0", "--policy", &file, "--wait"]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("hallucination_rate too high"), "{text}");
    let (code, shown) = tidegate(&house, &["show", "reranker"]).await;
    assert_eq!(code, 0);
    assert!(shown.contains("rolled_back") && shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let (_, json) = tidegate(&house, &["show", "reranker", "--output", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["stage"], "rolled_back");
    let (_, history) = tidegate(&house, &["history", "reranker"]).await;
    assert!(history.contains("retreating") && history.contains("verdict_reached"), "{history}");
    assert_eq!(traffic.stop().await, 0, "users saw errors");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_are_those_of_the_contract() {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let slow = json!({"name": "slow", "steps": [{"split": 5, "dwell": "1h"}, {"split": 100, "dwell": "0s"}]});
    let file = house.data().join("slow.yaml");
    std::fs::write(&file, slow.to_string()).unwrap();
    let (code, text) = tidegate(&house, &["promote", "reranker", "2", "--policy", file.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{text}");

    assert_eq!(tidegate(&house, &["wait", "reranker", "--timeout", "1s"]).await.0, 3, "still running");
    assert_eq!(tidegate(&house, &["frobnicate"]).await.0, 64, "wrong usage");
    assert_eq!(tidegate(&house, &["show", "nobody"]).await.0, 1, "unknown");
    let (code, text) = tidegate(&house, &["rollback", "reranker", "--reason", "enough"]).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(tidegate(&house, &["wait", "reranker"]).await.0, 2, "ended without promotion");
    let (code, text) = tidegate(&house, &["promote", "reranker", "9"]).await;
    assert!(code == 1 && text.contains("version `9`"), "{code} {text}");
}

#[tokio::test]
async fn lint_names_the_field_its_line_and_the_nearest_word() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    std::fs::write(&file, "name: bad\nsteps:\n  - split: 5\n    dwel: 30s\n  - split: 100\n    dwell: 0s\n").unwrap();
    let out = Command::new(binary()).arg("lint").arg(&file).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(1));
    assert!(text.contains("bad.yaml:4:5: steps[0].dwel") && text.contains("did you mean `dwell`"), "{text}");
}

#[test]
fn import_and_export_write_to_one_side_and_name_on_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let ran = |words: &[&str]| {
        let out = Command::new(binary()).args(words).stdin(std::process::Stdio::null()).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code(), said(&out.stdout), said(&out.stderr))
    };
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let (code, canary, notes) = ran(&["export", "flagger", "flagger", "--name", "vllm-agent", "--port", "8000"]);
    assert!(code == Some(0) && canary.contains("kind: Canary") && canary.contains("port: 8000"), "{canary}");
    assert!(notes.lines().all(|line| line.starts_with("note: ")) && notes.contains("lease: "), "{notes}");
    let (code, policy, notes) = ran(&["import", "flagger", &file("canary.yaml", &canary)]);
    assert!(code == Some(0) && policy.contains("name: vllm-agent\n"), "{policy}");
    assert!(
        notes.lines().all(|line| line.starts_with("note: ")) && notes.contains("spec.service: (port 8000)"),
        "{notes}"
    );
    let (code, told, _) = ran(&["lint", &file("policy.yaml", &policy)]);
    assert!(code == Some(0) && told.contains("good, 10 steps and 2 checks"), "{told}");

    let (code, made, error) = ran(&["import", "argo", "-"]);
    assert_eq!((code, made.as_str(), error.as_str()), (Some(1), "", "error: there is no `kind: Rollout` in it\n"));
    assert_eq!(ran(&["export", "argo", "flagger", "--name", "Not a name"]).0, Some(64));
}

#[test]
fn a_policy_whose_name_kubernetes_refuses_is_exported_under_another_one_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    for name in ["chat.", &"c".repeat(63)] {
        std::fs::write(&file, format!("name: {name}\nsteps: [{{split: 50, dwell: 30s}}, {{split: 100}}]\n")).unwrap();
        let exported =
            |more: &[&str]| Command::new(binary()).args(["export", "argo"]).arg(&file).args(more).output().unwrap();
        let refused = exported(&[]);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && refused.stdout.is_empty(), "{error}");
        assert!(error.contains(&format!("`{name}`")) && error.contains("give one with `--name`"), "{error}");
        assert_eq!(exported(&["--name", "chat"]).status.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_logs_of_a_stopped_tidegate_are_verified() {
    let house = House::start();
    let one = Upstream::start("1").await;
    house.serves("reranker", "1", &one.url).await;
    let folder = house.stop();
    let verified =
        |path: &std::path::Path| Command::new(binary()).arg("verify").arg("--data").arg(path).output().unwrap();
    let out = verified(folder.path());
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("verified the logs of 1 rollouts, 0 broken"), "{said}");
    let nothing = tempfile::tempdir().unwrap();
    let out = verified(nothing.path());
    assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains("there is no tidegate in"));
    assert_eq!(std::fs::read_dir(nothing.path()).unwrap().count(), 0, "nothing is made where nothing was");
}

#[test]
fn completions_are_scripts_that_their_shell_can_read() {
    let script = |shell: &str| {
        let out = Command::new(binary()).args(["completions", shell]).output().unwrap();
        assert!(out.status.success(), "{shell}");
        String::from_utf8(out.stdout).unwrap()
    };
    let bash = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bash.path(), script("bash")).unwrap();
    let read = Command::new("bash").arg("-n").arg(bash.path()).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    // A word of each kind is offered: `tidegate pro<TAB>` and `tidegate promote --po<TAB>`.
    let offered = |words: &[&str]| {
        let [.., before, begun] = words else { panic!("two words at least") };
        let asked = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _tidegate tidegate {begun} {before}; echo ${{COMPREPLY[@]}}",
            bash.path().display(),
            words.join(" "),
            words.len() - 1
        );
        String::from_utf8(Command::new("bash").arg("-c").arg(asked).output().unwrap().stdout).unwrap()
    };
    assert_eq!(offered(&["tidegate", "pro"]).trim(), "promote");
    assert_eq!(offered(&["tidegate", "promote", "--po"]).trim(), "--policy");
    assert!(script("zsh").starts_with("#compdef tidegate"));
    assert!(script("fish").contains("complete -c tidegate"));
    assert_eq!(Command::new(binary()).args(["completions", "cmd"]).output().unwrap().status.code(), Some(64));
}
