//! Bad input gets a clear error that names the field, and nothing is stored; a bad upstream is never given traffic.

mod raw;

use std::process::Command;

use serde_json::{Value, json};

use crate::checker::violations;
use crate::house::{House, Upstream, answer, binary};

/// What is refused: method and path, body, status, and words that the answer must contain.
type Case = (&'static str, Value, u16, &'static [&'static str]);

fn cases() -> Vec<Case> {
    [registering(), versions(), promoting(), steps(), the_rest()].concat()
}

fn registering() -> Vec<Case> {
    let path = "/v1/models";
    let with_match = |matches: Value| json!({"name": "m", "type": "X", "match": matches});
    vec![
        (path, json!({"name": "a b", "type": "X"}), 422, &["model", "a b"]),
        (path, json!({"name": "m", "type": "X", "matsch": {}}), 422, &["unknown field", "matsch"]),
        (path, with_match(json!({"path_prefix": "no-slash"})), 422, &["match.path_prefix"]),
        (path, with_match(json!({"path_prefx": "/m"})), 422, &["unknown field", "path_prefx"]),
        (path, json!({"name": "m", "type": "X", "kind": "cat"}), 422, &["kind", "agent"]),
    ]
}

fn versions() -> Vec<Case> {
    let path = "/v1/registry/reranker/versions";
    let new = |version: &str, upstream: &str| json!({"version": version, "upstream": upstream});
    let secret = json!({"version": "3", "upstream": "http://127.0.0.1:9", "headers": {"x-api-key": "s"}});
    vec![
        ("/v1/registry/nobody/versions", new("1", "http://127.0.0.1:1"), 404, &["nobody"]),
        (path, new("3", "ftp://x"), 422, &["upstream", "http"]),
        (path, new("3", "http://169.254.169.254"), 422, &["upstream"]),
        (path, new("1", "http://127.0.0.1:9"), 409, &["never changes"]),
        (path, secret, 422, &["x-api-key"]),
    ]
}

fn promoting() -> Vec<Case> {
    let path = "/v1/registry/reranker/2/promote";
    vec![
        ("/v1/registry/nobody/1/promote", json!({}), 404, &["model `nobody`"]),
        ("/v1/registry/reranker/9/promote", json!({}), 404, &["version `9`"]),
        ("/v1/registry/reranker/1/promote", json!({}), 422, &["active already"]),
        (path, json!({"target_stage": "production"}), 422, &["target_stage"]),
        (path, json!({"policy": "nobodys"}), 422, &["nobodys"]),
        (path, json!({"polcy": "demo"}), 422, &["polcy"]),
        (path, json!({"when_live": "barge in"}), 422, &["barge in", "supersede"]),
        (path, json!({"reason": "x".repeat(3_000)}), 422, &["reason"]),
        (path, asking("requests_total{version=\"{version}\"}"), 422, &["check `errors`", "TIDEGATE_PROMETHEUS_URL"]),
        (path, asking("rate(requests_total{}[1m])"), 422, &["checks[0].query.total", "raw counter"]),
        (path, asking("requests_total{a=\"{verison}\"}"), 422, &["checks[0].query.total", "{verison}"]),
        (path, asking("{version}{a=\"b\"}"), 422, &["checks[0].query.total", "label value"]),
    ]
}

/// A promotion by a policy that asks Prometheus.
fn asking(total: &str) -> Value {
    let query = json!({"bad": "errors_total{version=\"{version}\"}", "total": total});
    let checks = json!([{"metric": "errors", "query": query, "rules": {"gte": 0.1}}]);
    json!({"policy": {"steps": [{"split": 5, "dwell": "10s"}, {"split": 100, "dwell": "0s"}], "checks": checks}})
}

fn steps() -> Vec<Case> {
    let path = "/v1/registry/reranker/2/promote";
    let all = json!({"split": 100, "dwell": "0s"});
    let first = |step: Value| {
        let checks = json!([{"metric": "error_rate", "rules": {"gte": 0.1}}]);
        json!({"policy": {"name": "p", "steps": [step, all], "checks": checks}})
    };
    let down = json!([{"split": 25, "dwell": "1m"}, {"split": 5, "dwell": "1m"}, all]);
    let nan = json!([{"metric": "error_rate", "rules": {"gte": "NaN"}}]);
    let canary = json!([{"split": 5, "dwell": "1m"}, all]);
    vec![
        (path, first(json!({"split": [5, 94], "dwell": "1m"})), 422, &["steps[0].split", "100 %"]),
        (path, first(json!({"split": 5, "dwell": "0s"})), 422, &["steps[0].dwell"]),
        (path, first(json!({"split": 5, "dwell": "soon"})), 422, &["steps[0].dwell", "soon"]),
        (path, first(json!({"split": 5, "dwel": "1m"})), 422, &["dwel", "did you mean"]),
        (path, json!({"policy": {"name": "p", "steps": down}}), 422, &["steps[1]"]),
        (path, json!({"policy": {"name": "p", "steps": canary, "checks": nan}}), 422, &["checks[0]"]),
    ]
}

fn the_rest() -> Vec<Case> {
    let observed =
        |version: &str, metric: &str| json!([{"model": "reranker", "version": version, "metric": metric, "value": 1}]);
    vec![
        ("/v1/observations", observed("1", "Bad Name"), 422, &["[0].metric"]),
        ("/v1/observations", observed("7", "cost"), 422, &["[0].version"]),
        ("/v1/rollouts/rzzzzzzzzzzzzzzzzzzzzzzzzz/rollback", json!({}), 404, &["no rollout"]),
        ("/v1/rollouts/reranker/frob", json!({}), 404, &["frob"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_name_the_field_and_store_nothing() {
    let house = House::start();
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let everything = || async {
        (
            house.get("/v1/models").await,
            house.get("/v1/registry/reranker/versions").await,
            house.get("/v1/rollouts").await,
        )
    };
    let before = everything().await;
    for (path, body, status, words) in cases() {
        let (got, problem) = house.post(path, &body).await;
        let detail = problem.to_string();
        assert_eq!(got, status, "{path} {body}: {detail}");
        assert!(
            problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:tidegate:problem:")),
            "{path}: {detail}"
        );
        for word in words {
            assert!(detail.contains(word), "{path} {body}: `{word}` is missing in {detail}");
        }
    }
    for (body, words) in [("{\"name\":\"m\",\"name\":\"n\"}", "stands twice"), ("{", "JSON"), ("[1e999]", "JSON")] {
        let request = house.client.post(format!("{}/v1/models", house.api)).body(body);
        let (status, problem) = answer(request).await;
        assert!(status == 422 && problem["detail"].as_str().unwrap().contains(words), "{body}: {status} {problem}");
    }
    assert_eq!(everything().await, before, "something was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_sites_can_neither_read_nor_write() {
    let house = House::start();
    let url = format!("{}/v1/models", house.api);
    let rebound = answer(house.client.get(&url).header("host", "evil.example")).await;
    let cross = answer(
        house.client.post(&url).header("origin", "https://evil.example").json(&json!({"name": "m", "type": "X"})),
    )
    .await;
    let fetched =
        answer(house.client.post(&url).header("sec-fetch-site", "cross-site").json(&json!({"name": "m", "type": "X"})))
            .await;
    assert_eq!((rebound.0, cross.0, fetched.0), (403, 403, 403));
    assert_eq!(house.get("/v1/models").await.1["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_is_not_ready_stays_at_zero_and_users_see_no_error() {
    let house = House::start();
    let one = Upstream::start("1").await;
    house.serves("reranker", "1", &one.url).await;
    let unloaded = Upstream::start("2").await;
    unloaded.is_loaded(false);
    let wrong = Upstream::start("4").await;
    let garbage = garbage().await;
    let slow = slow().await;
    let traffic = crate::traffic::start(&house, "reranker");
    let hurried = json!({"name": "hurried", "prepare_limit": "2s", "steps": [{"split": 50, "dwell": "1m"}, {"split": 100, "dwell": "0s"}]});
    let cases = [
        ("2", unloaded.url.as_str(), "model_loaded is false"),
        ("3", wrong.url.as_str(), "version is 4, not 3"),
        ("5", "http://127.0.0.1:1", "refused"),
        ("6", garbage.as_str(), "127.0.0.1"),
        ("7", slow.as_str(), "no answer"),
    ];
    for (version, upstream, reason) in cases {
        house.version("reranker", version, upstream).await;
        let id = house.promote("reranker", version, &json!({ "policy": hurried })).await;
        let ended = house.ended(&id).await;
        let said = ended["reason"].as_str().unwrap();
        assert_eq!(ended["stage"], "rejected");
        assert!(said.starts_with("not_ready: ") && said.contains(reason), "{version}: {said}");
    }
    assert_eq!((unloaded.asked(), wrong.asked()), (0, 0), "a candidate that is not ready got traffic");
    assert_eq!(traffic.stop().await, 0, "users saw errors");
    house.quiet().await;
    assert_eq!(violations(house.stop().path()).await, Vec::<String>::new());
}

/// Answers bytes that are not HTTP.
async fn garbage() -> String {
    served(|mut stream| async move {
        use tokio::io::AsyncWriteExt as _;
        let _ = stream.write_all(b"\0\xffnothing that HTTP knows\r\n\r\n").await;
    })
    .await
}

/// Accepts and never answers.
async fn slow() -> String {
    served(|stream| async move {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        drop(stream);
    })
    .await
}

async fn served<F: Future<Output = ()> + Send + 'static>(
    each: impl Fn(tokio::net::TcpStream) -> F + Send + 'static,
) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    url
}

/// Starts `tidegate up` with these arguments and gives what it says when it does not start.
fn refused_start(words: &[&str]) -> String {
    let out = Command::new(binary()).arg("up").args(words).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    String::from_utf8_lossy(&out.stderr).trim().to_owned()
}

#[test]
fn a_start_that_can_not_be_says_why_in_one_line() {
    let house = House::start();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let api = house.api.trim_start_matches("http://");
    let cases = [
        (
            vec!["--data", house.data().to_str().unwrap(), "--listen", "127.0.0.1:0", "--router", "127.0.0.1:0"],
            "another tidegate is using",
        ),
        (vec!["--data", data, "--listen", api, "--router", "127.0.0.1:0"], api),
        (vec!["--data", data, "--listen", "0.0.0.0:0", "--router", "127.0.0.1:0"], "without a key"),
        (vec!["--data", file.to_str().unwrap(), "--listen", "127.0.0.1:0", "--router", "127.0.0.1:0"], "can't use"),
    ];
    for (words, said) in cases {
        let text = refused_start(&words);
        assert!(text.contains(said) && text.lines().count() == 1, "{words:?}: {text}");
    }
}
