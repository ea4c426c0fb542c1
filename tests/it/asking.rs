//! What can be asked of the API besides moving traffic: a promote that changes nothing, policies, pages of lists, and its limits.

use serde_json::{Value, json};

use crate::cli_only::tidegate;
use crate::house::{House, Upstream, answer};

async fn ready() -> House {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    house
}

fn row<'a>(dry: &'a Value, what: &str) -> (&'a str, &'a str) {
    let row = dry["resolved"].as_array().unwrap().iter().find(|row| row["what"] == what).unwrap();
    (row["value"].as_str().unwrap(), row["from"].as_str().unwrap())
}

async fn put(house: &House, name: &str, text: String) -> (u16, Value) {
    answer(house.client.put(format!("{}/v1/policies/{name}", house.api)).body(text)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_would_apply_and_from_where_and_changes_nothing() {
    let house = ready().await;
    let path = "/v1/registry/reranker/2/promote?dry_run=true";
    let (status, dry) = house.post(path, &json!({})).await;
    assert_eq!(
        (status, &dry["previous"], &dry["policy"]),
        (200, &json!("1"), &json!("preset `agent-default`")),
        "{dry}"
    );
    assert_eq!((row(&dry, "steps[0].dwell"), row(&dry, "lease")), (("30m", "preset"), ("5m", "default")));

    let text = "steps:\n  - {split: 10, dwell: 20m}\n  - {split: 100}\nbake: 1h\n";
    assert_eq!(put(&house, "careful", text.to_owned()).await.0, 200);
    let (_, dry) = house.post(path, &json!({"policy": "careful", "when_live": "queue"})).await;
    assert_eq!(dry["policy"], "`careful`, revision 1");
    assert_eq!((row(&dry, "bake"), row(&dry, "when_live")), (("1h", "policy"), ("queue", "request")));
    assert_eq!(dry["plan"]["steps"][0]["dwell"], "20m");
    let (code, text) = tidegate(&house, &["promote", "reranker", "2", "--policy", "careful", "--dry-run"]).await;
    assert!(code == 0 && text.contains("nothing was changed") && text.contains("`careful`, revision 1"), "{text}");

    // What promote would refuse.
    for (path, body, status) in [
        ("/v1/registry/reranker/1/promote?dry_run=true", json!({}), 422),
        ("/v1/registry/reranker/9/promote?dry_run=true", json!({}), 404),
        (path, json!({"policy": "nobodys"}), 422),
        ("/v1/registry/reranker/2/promote?dry-run=true", json!({}), 400),
    ] {
        assert_eq!(house.post(path, &body).await.0, status, "{path} {body}");
    }
    let (_, rollouts) = house.get("/v1/rollouts").await;
    assert_eq!(rollouts["items"].as_array().unwrap().len(), 1, "only the activation of the first version");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r74_how_far_a_version_is_from_the_one_that_serves_picks_the_policy_of_those_who_name_none() {
    let house = House::start();
    let servers = [Upstream::start("1.4.0").await, Upstream::start("1.4.1").await, Upstream::start("2.0.0").await];
    house.serves("reranker", "1.4.0", &servers[0].url).await;
    for (version, server, chosen, pace) in [
        ("1.4.1", &servers[1], "preset `fast`, since it is a patch and none was named", ("20m", "preset")),
        (
            "2.0.0",
            &servers[2],
            "preset `conservative`, since it is a major change and none was named",
            ("7days", "preset"),
        ),
    ] {
        house.version("reranker", version, &server.url).await;
        let path = format!("/v1/registry/reranker/{version}/promote?dry_run=true");
        let (_, dry) = house.post(&path, &json!({})).await;
        assert_eq!((&dry["policy"], row(&dry, "steps[0].dwell")), (&json!(chosen), pace), "{dry}");
        assert_eq!(row(&dry, "checks[0].rules[0].max_absolute"), ("0.05", "class"), "the limits of agent-default");
        let (_, dry) = house.post(&path, &json!({"policy": "aggressive"})).await;
        assert_eq!(dry["policy"], "preset `aggressive`");
    }
    let (code, text) = tidegate(&house, &["promote", "reranker", "1.4.1"]).await;
    assert!(code == 0 && text.contains("promoting reranker 1.4.1 by policy fast: rollout "), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_promotion_history_names_every_change_of_status_and_the_rollout_that_made_it() {
    let house = ready().await;
    let plan = json!({"steps": [{"split": 50, "dwell": "0s"}, {"split": 100, "dwell": "0s"}]});
    let id = house.promote("reranker", "2", &json!({ "policy": plan })).await;
    assert_eq!(house.ended(&id).await["stage"], "completed");
    let path = "/v1/registry/reranker/promotions";
    let all = house.until(path, |page| page["items"][0]["to"] == "active").await;
    let said = |page: &Value| -> Vec<String> {
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
        let entries = page["items"].as_array().unwrap().iter();
        entries.map(|entry| ["version", "from", "to"].map(|field| text(entry, field)).join(" ")).collect()
    };
    let expected =
        ["2 canary active", "1 active retired", "2 published canary", "1 canary active", "1 published canary"];
    assert_eq!(said(&all), expected);
    let by: Vec<_> = all["items"].as_array().unwrap().iter().map(|entry| entry["rollout_id"] == json!(id)).collect();
    assert_eq!(by, [true, true, true, false, false], "the first one was activated by a rollout of its own");
    let (_, first) = house.get(&format!("{path}?limit=3")).await;
    let (_, rest) = house.get(&format!("{path}?limit=3&cursor={}", first["cursor"].as_str().unwrap())).await;
    assert_eq!([said(&first), said(&rest)].concat(), said(&all));
    for (path, status) in [
        ("/v1/registry/nobody/promotions", 404),
        ("/v1/registry/reranker/promotions?cursor=last", 422),
        ("/v1/registry/reranker/promotions?limit=0", 422),
    ] {
        assert_eq!(house.get(path).await.0, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_rollout_keeps_the_policy_that_it_started_with() {
    let house = ready().await;
    let text = |dwell: &str| format!("steps:\n  - {{split: 10, dwell: {dwell}}}\n  - {{split: 100}}\n");
    assert_eq!(put(&house, "ours", text("20m")).await.1["revision"], 1);
    let id = house.promote("reranker", "2", &json!({"policy": "ours"})).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    // Comments do not travel, so they may be long.
    let long = format!("# {}\n{}", "why ".repeat(40_000), text("40m"));
    assert_eq!(put(&house, "ours", long).await.1["revision"], 2);
    assert_eq!(put(&house, "ours", text("40m")).await.1["revision"], 2, "the same again is no new revision");
    let (_, rollout) = house.get(&format!("/v1/rollouts/{id}")).await;
    assert_eq!(rollout["plan"]["steps"][0]["dwell"], "20m");

    let (status, problem) =
        put(&house, "bad", "steps:\n  - split: 10\n    dwel: 20m\n  - split: 100\n".to_owned()).await;
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!((status, &problem["field"]), (422, &json!("steps[0].dwel")), "{detail}");
    assert!(detail.contains("line 3") && detail.contains("did you mean `dwell`"), "{detail}");
    assert_eq!(put(&house, "bad", "x".repeat(300_000)).await.0, 413);
    assert_eq!(put(&house, "canary", "steps: [".to_owned()).await.0, 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_comes_in_pages_without_gap_or_repeat() {
    let house = ready().await;
    let policy = json!({"name": "slow", "steps": [{"split": 50, "dwell": "10m"}, {"split": 100, "dwell": "0s"}]});
    let id = house.promote("reranker", "2", &json!({ "policy": policy })).await;
    let path = format!("/v1/rollouts/{id}");
    let seen = house.until(&path, |rollout| rollout["stage"] == "observing").await;
    house.post(&format!("{path}/rollback"), &json!({})).await;
    house.ended(&id).await;
    // Words for a stage that is left are refused and written down.
    for _ in 0..3 {
        let late =
            house.client.post(format!("{}{path}/advance", house.api)).header("if-match", seen["version"].to_string());
        assert_eq!(answer(late.json(&json!({}))).await.0, 412);
    }
    let (_, whole) = house.get(&format!("{path}/history")).await;
    let whole = whole["items"].as_array().unwrap().clone();
    assert_eq!(whole.iter().filter(|entry| entry["entry"] == "refusal").count(), 3);
    assert_eq!(by_pages(&house, &format!("{path}/history")).await, whole);
    assert_eq!(house.get(&format!("{path}/history?cursor=x")).await.0, 422);
}

/// A list, two items at a time.
async fn by_pages(house: &House, path: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    for _ in 0..100 {
        let (status, page) = house.get(&format!("{path}?limit=2{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        assert!(page["items"].as_array().unwrap().len() <= 2, "{page}");
        items.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["cursor"].as_str() else { return items };
        cursor = format!("&cursor={next}");
    }
    panic!("{path} has no end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_and_policies_come_in_pages_too() {
    let house = ready().await;
    for version in ["3", "4", "5"] {
        house.version("reranker", version, "http://127.0.0.1:9").await;
    }
    for name in ["zz", "aa", "dd"] {
        assert_eq!(put(&house, name, "steps:\n  - {split: 100}\n".to_owned()).await.0, 200);
    }
    let named = |items: &[Value], field: &str| -> Vec<String> {
        items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
    };
    let path = "/v1/registry/reranker/versions";
    let versions = by_pages(&house, path).await;
    assert_eq!(named(&versions, "version"), ["5", "4", "3", "2", "1"], "the newest first");
    assert_eq!(json!(versions), house.get(path).await.1["items"]);
    let policies = by_pages(&house, "/v1/policies").await;
    let names = named(&policies, "name");
    assert!(
        names.is_sorted() && ["aa", "dd", "zz", "agent-default"].iter().all(|name| names.contains(&(*name).to_owned()))
    );
    assert_eq!(json!(policies), house.get("/v1/policies").await.1["items"]);
    for bad in [format!("{path}?limit=0"), format!("{path}?cursor=x"), "/v1/policies?limit=201".to_owned()] {
        assert_eq!(house.get(&bad).await.0, 422, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_belongs_to_one_request_and_a_dry_run_is_another() {
    let house = ready().await;
    let ask = |query: &'static str, body: Value| {
        let request = house.client.post(format!("{}/v1/registry/reranker/2/promote{query}", house.api));
        answer(request.header("idempotency-key", "build-7").json(&body))
    };
    let body =
        json!({"policy": {"name": "slow", "steps": [{"split": 5, "dwell": "10m"}, {"split": 100, "dwell": "0s"}]}});
    // What changes nothing remembers nothing.
    assert_eq!(ask("?dry_run=true", body.clone()).await.0, 200);
    let (status, promoted) = ask("", body.clone()).await;
    assert_eq!(status, 202, "{promoted}");
    assert_eq!(ask("", body.clone()).await, (202, promoted), "the same again is the same answer");
    for (query, body) in [("?dry_run=true", body.clone()), ("", json!({"policy": "activate"}))] {
        let (status, problem) = ask(query, body).await;
        assert_eq!((status, &problem["field"]), (422, &json!("Idempotency-Key")), "{query}: {problem}");
        assert_eq!(problem["type"], "urn:tidegate:problem:idempotency-key-reused");
        assert!(problem["detail"].as_str().unwrap().contains("another request"), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_too_large_is_refused_with_its_limit() {
    let house = ready().await;
    let url = format!("{}/v1/models", house.api);
    let large = answer(house.client.post(&url).body("x".repeat(65 * 1024))).await;
    let deep = answer(house.client.post(&url).body("[".repeat(40) + &"]".repeat(40))).await;
    let long = answer(house.client.get(format!("{url}?cursor={}", "x".repeat(5_000)))).await;
    let mut many = house.client.get(&url);
    for number in 0..70 {
        many = many.header(format!("x-{number}"), "1");
    }
    let fat = answer(house.client.get(&url).header("x-fat", "y".repeat(17 * 1024))).await;
    let many = answer(many).await;
    assert_eq!(
        (large.0, deep.0, long.0, many.0, fat.0),
        (413, 422, 414, 431, 431),
        "{large:?} {deep:?} {long:?} {many:?}"
    );
    assert!(large.1["detail"].as_str().unwrap().contains("65536"), "{}", large.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observation_by_the_command_line_names_what_is_wrong_with_it() {
    let house = ready().await;
    let (code, text) = tidegate(&house, &["observe", "reranker", "1", "task_success", "1", "--key", "r-1"]).await;
    assert!(code == 0 && text.contains("observed task_success = 1 for reranker 1"), "{text}");
    let (code, text) = tidegate(&house, &["observe", "reranker", "1", "Task Success", "1"]).await;
    assert!(code == 1 && text.contains("metric"), "{text}");
    let (code, text) = tidegate(&house, &["observe", "reranker", "7", "task_success", "1"]).await;
    assert!(code == 1 && text.contains("version `7`"), "{text}");
    assert_eq!(tidegate(&house, &["observe", "reranker", "1", "task_success", "NaN"]).await.0, 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_by_the_command_line_and_the_way_back_after_the_end() {
    let house = ready().await;
    let policy =
        json!({"name": "gated", "steps": [{"split": 5, "dwell": "10m", "gate": true}, {"split": 100, "dwell": "0s"}]});
    let file = house.data().join("gated.yaml");
    std::fs::write(&file, policy.to_string()).unwrap();
    let promote = ["promote", "reranker", "2", "--policy", file.to_str().unwrap()];
    assert_eq!(tidegate(&house, &promote).await.0, 0);
    let stands = async |stage: &str| {
        house.until("/v1/rollouts/reranker", |rollout| rollout["stage"] == stage).await["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let id = stands("gated").await;
    let (code, text) = tidegate(&house, &["resume", "reranker"]).await;
    assert!(code == 1 && text.contains("in stage gated"), "{text}");
    // A model's name and a rollout's id both name it.
    for (verb, which, stage) in
        [("approve", "reranker", "observing"), ("pause", id.as_str(), "paused"), ("resume", "reranker", "observing")]
    {
        let (code, text) = tidegate(&house, &[verb, which, "--reason", "as agreed"]).await;
        assert_eq!(code, 0, "{verb}: {text}");
        stands(stage).await;
    }
    assert_eq!(tidegate(&house, &["advance", &id]).await.0, 0);
    assert_eq!(tidegate(&house, &["wait", &id]).await.0, 0, "promoted");
    let back = ["promote", "reranker", "1", "--policy", "activate", "--wait"];
    let (code, text) = tidegate(&house, &back).await;
    assert!(code == 0 && text.contains("completed"), "{code} {text}");
    assert_eq!(house.ask("reranker", "s").await, (200, "1".to_owned()));
}
