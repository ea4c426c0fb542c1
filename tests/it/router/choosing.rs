//! Which route and which arm a request gets.

use futures_util::StreamExt;

use super::upstream::Echo;
use super::*;

async fn arms_of(kit: &Kit, sessions: impl Iterator<Item = usize>) -> Vec<(usize, String)> {
    let asked = sessions.map(|n| async move {
        let response = kit.get_as("/m/x", &format!("sess-{n}")).await;
        assert_eq!(response.status(), 200);
        let arm = header(&response, "x-rollout-arm").to_owned();
        response.bytes().await.unwrap();
        (n, arm)
    });
    futures_util::stream::iter(asked).buffer_unordered(16).collect().await
}

#[tokio::test]
async fn the_longest_prefix_of_whole_segments_wins() {
    let (short, long) = (Echo::start("short").await, Echo::start("long").await);
    let kit = Kit::serving("reranker", &[("1", 10_000, short.address)]).await;
    kit.adopt(route("reranker/large", 1, &[("1", 10_000, long.address)])).await;
    for (path, answered, target) in [
        ("/reranker", "short", "/"),
        ("/reranker?a=1", "short", "/?a=1"),
        ("/reranker/x?a=%20b", "short", "/x?a=%20b"),
        ("/reranker/larger", "short", "/larger"),
        ("/reranker/large", "long", "/"),
        ("/reranker/large/v1/rank", "long", "/v1/rank"),
    ] {
        assert_eq!(kit.get(path).await.text().await.unwrap(), answered, "{path}");
        let seen = if answered == "short" { short.last() } else { long.last() };
        assert_eq!(seen.target, target, "{path}");
    }
    for path in ["/rerankers", "/rerank", "/", "/x/reranker"] {
        assert_eq!(kit.get(path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_host_is_matched_in_any_case_and_with_any_port() {
    let echo = Echo::start("by host").await;
    let kit = Kit::start().await;
    let mut by_host = route("m", 1, &[("1", 10_000, echo.address)]);
    by_host.matches = Match { path_prefix: None, host: Some("models.example".to_owned()), ..by_host.matches };
    by_host.arms[0].upstream += "/base/";
    kit.adopt(by_host).await;
    for host in ["models.example", "Models.Example:7080"] {
        let response = kit.http.get(kit.url("/a/b?c")).header("host", host).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "by host");
        assert_eq!(echo.last().target, "/base/a/b?c");
    }
    assert_eq!(kit.get("/a/b").await.status(), 404);
}

#[tokio::test]
async fn no_match_is_a_problem_that_names_us() {
    let response = Kit::start().await.get("/nothing").await;
    assert_eq!((response.status().as_u16(), header(&response, "content-type")), (404, "application/problem+json"));
    let problem: serde_json::Value = response.json().await.unwrap();
    assert_eq!((&problem["type"], &problem["status"]), (&"urn:tidegate:problem:no-route".into(), &404.into()));
}

#[tokio::test]
async fn ten_thousand_sessions_at_five_percent_stick_and_stay_when_the_share_grows() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let arms = |points| [("2", points, new.address), ("1", 10_000 - points, old.address)];
    let kit = Kit::serving("m", &arms(500)).await;
    let first = arms_of(&kit, 0..10_000).await;
    let inside: Vec<usize> = first.iter().filter(|(_, arm)| arm == "candidate").map(|(n, _)| *n).collect();
    assert!((440..=560).contains(&inside.len()), "{} of 10,000", inside.len());
    assert_eq!(new.count(), inside.len());
    for (n, arm) in arms_of(&kit, 0..1_000).await {
        assert_eq!(arm == "candidate", inside.contains(&n), "session {n} moved");
    }
    kit.adopt(route("m", 2, &arms(2_500))).await;
    let later = arms_of(&kit, inside.iter().copied()).await;
    assert!(later.iter().all(|(_, arm)| arm == "candidate"), "nobody leaves when the share grows");
    let grown = arms_of(&kit, 0..1_000).await.into_iter().filter(|(_, arm)| arm == "candidate").count();
    assert!((200..=300).contains(&grown), "{grown} of 1,000");
}

#[tokio::test]
async fn without_a_candidate_ten_thousand_requests_all_go_to_the_active_version() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::serving("m", &[("2", 0, new.address), ("1", 10_000, old.address)]).await;
    let arms = arms_of(&kit, 0..10_000).await;
    assert!(arms.iter().all(|(_, arm)| arm == "stable"));
    assert_eq!((old.count(), new.count()), (10_000, 0));
    assert_eq!((kit.count("1").requests, kit.count("2").requests), (10_000, 0));
}

#[tokio::test]
async fn the_key_is_the_session_header_then_the_cookie_then_the_request_id() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::start().await;
    let mut half = route("m", 1, &[("2", 5_000, new.address), ("1", 5_000, old.address)]);
    half.matches.session_cookie = Some("sid".to_owned());
    half.matches.session_header = "x-user".to_owned();
    let expected = |key: &str| if half.arm_for(key) == 0 { "new" } else { "old" };
    kit.adopt(half.clone()).await;
    for n in 0..50 {
        let (user, cookie, id) = (format!("u{n}"), format!("c{n}"), format!("r{n}"));
        let base = || kit.http.get(kit.url("/m")).header("x-request-id", &id);
        let with_cookie = || base().header("cookie", format!("a=b; sid={cookie}; z=\"1\""));
        let by_user = with_cookie().header("x-user", &user).send().await.unwrap();
        assert_eq!(by_user.text().await.unwrap(), expected(&user));
        assert_eq!(with_cookie().send().await.unwrap().text().await.unwrap(), expected(&cookie));
        assert_eq!(base().send().await.unwrap().text().await.unwrap(), expected(&id));
    }
    let by_id = kit.count("1").keyed_by_request + kit.count("2").keyed_by_request;
    assert_eq!(by_id, 50);
}

#[tokio::test]
async fn requests_without_a_session_can_be_kept_on_the_stable_arm() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::start().await;
    let mut route = route("m", 1, &[("2", 9_999, new.address), ("1", 1, old.address)]);
    route.matches.no_key = NoKey::Stable;
    kit.adopt(route).await;
    for _ in 0..20 {
        assert_eq!(kit.get("/m").await.text().await.unwrap(), "old");
    }
    assert_eq!(kit.get_as("/m", "s").await.text().await.unwrap(), "new");
}
