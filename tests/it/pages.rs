//! Pages for people: bound by their headers, true without a script, and never markup of somebody else.

use std::net::SocketAddr;

use chassis::{Clock, Core};
use serde_json::{Value, json};
use store::Store;

use crate::house::{House, Upstream};

/// Status, text and headers of a page.
async fn page(api: &str, path: &str) -> (u16, String, reqwest::header::HeaderMap) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("{api}{path}")).send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, answer.text().await.unwrap(), headers)
}

/// Holds what must be true of every page: nothing inline, and the headers that forbid it.
fn is_bound(text: &str, headers: &reqwest::header::HeaderMap) {
    let expected = [
        ("content-security-policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ];
    for (name, value) in expected {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(text.split("<script").skip(1).all(|script| script.starts_with(" src=\"/assets/")), "an inline script");
    assert!(!text.contains(" style=") && !text.contains("<style") && !text.contains(" onclick"), "inline style");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_show_every_rollout_and_what_people_wrote_as_text() {
    let house = House::start();
    let (status, empty, headers) = page(&house.api, "/").await;
    is_bound(&empty, &headers);
    assert!(status == 200 && empty.contains("tidegate promote reranker"), "an empty page says how to begin: {empty}");

    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let evil = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>";
    let steps = json!({"steps": [{"name": evil, "split": 5, "dwell": "10m"}, {"split": 100, "dwell": "0s"}]});
    let id = house.promote("reranker", "2", &json!({"policy": steps, "requested_by": evil, "reason": evil})).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    for path in ["/".to_owned(), format!("/rollouts/{id}"), "/rollouts/reranker".to_owned()] {
        let (status, text, headers) = page(&house.api, &path).await;
        is_bound(&text, &headers);
        assert!(status == 200 && text.contains("observing") && text.contains("5 %"), "{path}: {text}");
        assert!(text.contains("&lt;script&gt;") && !text.contains("<img"), "{path}: {text}");
    }
    let said = json!({"actor": evil, "reason": evil});
    house.post(&format!("/v1/rollouts/{id}/rollback"), &said).await;
    house.ended(&id).await;
    let (_, text, headers) = page(&house.api, &format!("/rollouts/{id}")).await;
    is_bound(&text, &headers);
    assert!(text.contains("rolled back") && text.contains("&lt;script&gt;") && !text.contains("<img"), "{text}");
    assert!(text.contains("Every number that applies") && text.contains("split applied"), "{text}");

    let (status, text, headers) = page(&house.api, "/rollouts/nobody").await;
    is_bound(&text, &headers);
    assert!(status == 404 && text.contains("there is no rollout `nobody`"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_the_api_lists_every_call_and_assets_are_served() {
    let house = House::start();
    let (status, text, headers) = page(&house.api, "/api").await;
    is_bound(&text, &headers);
    assert_eq!(status, 200);
    let (_, document) = house.get("/openapi.json").await;
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("<code>{path}</code>")), "{path} is missing");
    }
    for (path, kind) in [("/assets/tidegate.js", "text/javascript"), ("/assets/tidegate.css", "text/css")] {
        let (status, text, headers) = page(&house.api, path).await;
        is_bound("", &headers);
        assert!(status == 200 && !text.is_empty() && headers["content-type"].to_str().unwrap().starts_with(kind));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_database_a_page_says_so_and_looks_again() {
    let folder = tempfile::tempdir().unwrap();
    let core = Core::start(Store::open(folder.path()).await.unwrap(), Clock::system()).await.unwrap();
    let address = api::listen(&core, SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    core.store.close().await;
    for path in ["/", "/rollouts/reranker"] {
        let (status, text, headers) = page(&format!("http://{address}"), path).await;
        is_bound(&text, &headers);
        assert!(status == 503 && text.contains("the database does not answer"), "{path}: {status} {text}");
        assert!(text.contains("Traffic goes on") && text.contains("/assets/tidegate.js"), "{path}: {text}");
    }
    let (status, problem, _) = page(&format!("http://{address}"), "/v1/rollouts").await;
    assert_eq!((status, serde_json::from_str::<Value>(&problem).unwrap()["status"].clone()), (503, json!(503)));
    core.stop().await;
}
