//! The control plane is not there: not yet, not any more, or something else is in its place.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_control_plane_costs_no_request_and_its_rollout_goes_on_afterwards() {
    let house = House::start_without_router();
    let a = Lone::start("a", &house.api);
    until_router(&house, "a", "live").await;
    let _models = served_by(&[&a], &house).await;
    let traffic = crate::traffic::start_at(&a.url, "reranker");
    let id = house.promote("reranker", "2", &json!({ "policy": steps(&[25, 50], "3s") })).await;
    house.until(&format!("/v1/rollouts/{id}"), |rollout| rollout["stage"] == "observing").await;
    let ruin = house.killed();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for session in 0..200 {
        assert_eq!(a.ask(&client, session).await.0, 200);
    }
    let house = ruin.started();
    until_router(&house, "a", "live").await;
    let ended = house.ended(&id).await;
    assert_eq!(ended["stage"], "completed", "{ended}");
    for session in 0..50 {
        assert_eq!(a.ask(&client, session).await, (200, "2".to_owned()));
    }
    assert_eq!(traffic.stop().await, 0, "requests failed while the control plane was down");
    let (_, routers) = house.get("/v1/routers").await;
    assert_eq!(routers["items"].as_array().unwrap().len(), 1, "{routers}");
    a.stop();
    until_router(&house, "a", "left").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_serves_from_its_disk_until_its_control_plane_comes() {
    let house = House::start_without_router();
    let a = Lone::start("a", &house.api);
    until_router(&house, "a", "live").await;
    let _models = served_by(&[&a], &house).await;
    let (control, client) = (house.api.clone(), house.client.clone());
    let ruin = house.killed();
    // The same folder, and a control plane that is not there.
    let a = Lone::start_in(a.killed(), ("a", &control), Stdio::inherit());
    assert_eq!(a.ask(&client, 1).await, (200, "1".to_owned()));
    let house = ruin.started();
    until_router(&house, "a", "live").await;
    let id = house.promote("reranker", "2", &json!({ "policy": steps(&[], "1s") })).await;
    assert_eq!(house.ended(&id).await["stage"], "completed");
    assert_eq!(a.ask(&client, 1).await, (200, "2".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_alone_says_whether_it_is_ready_and_what_it_has_counted() {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let status = async |lone: &Lone, page: &str| {
        client.get(format!("{}{page}", lone.admin)).send().await.unwrap().status().as_u16()
    };
    let nowhere = Lone::start("a", "http://127.0.0.1:1");
    assert_eq!((status(&nowhere, "/livez").await, status(&nowhere, "/readyz").await), (200, 503), "it has no routes");
    nowhere.stop();
    let house = House::start_without_router();
    let a = Lone::start("a", &house.api);
    until_router(&house, "a", "live").await;
    let _models = served_by(&[&a], &house).await;
    assert_eq!(status(&a, "/readyz").await, 200);
    let page = client.get(format!("{}/metrics", a.admin)).send().await.unwrap().text().await.unwrap();
    for line in ["tidegate_route_generation{", "tidegate_generations_refused_total{kind=\"router\"} 0"] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
    let age = page.lines().find_map(|line| line.strip_prefix("tidegate_beat_age_seconds ")).expect("the beat's age");
    assert!(age.parse::<f64>().unwrap() < 15.0, "{age}");
    let folder = tempfile::tempdir().unwrap();
    let taken = a.admin.trim_start_matches("http://");
    let mut second = Command::new(binary());
    second.args(["router", "--listen", "127.0.0.1:0", "--control", &house.api, "--admin", taken, "--data"]);
    let out = second.arg(folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && text.contains("--admin"), "{text}");
    let _house = house.killed();
    assert_eq!(status(&a, "/readyz").await, 200, "it serves from its disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_answers_in_place_of_a_control_plane_is_told_in_one_line() {
    async fn page() -> axum::response::Html<&'static str> {
        axum::response::Html("<h1>It works!</h1>")
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new()
        .route("/internal/routes", axum::routing::get(page))
        .route("/internal/routers/{name}", axum::routing::put(page));
    tokio::spawn(async move { axum::serve(listener, app).await });
    for (control, wanted) in
        [(address.as_str(), "does not answer as a control plane"), ("http://127.0.0.1:1", "can't reach")]
    {
        let (a, log) = Lone::start_logged("a", control);
        let since = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log).unwrap();
            if text.contains(wanted) {
                break;
            }
            assert!(since.elapsed() < LIMIT, "{wanted} is not in {text}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let _folder = Arc::clone(&a.folder);
        a.stop();
        let text = std::fs::read_to_string(&log).unwrap();
        // The goodbye has a line of its own, with the same words or, where nobody answers in time, with others.
        let told = text.lines().filter(|line| line.contains(wanted) && !line.contains("could not say"));
        assert_eq!(told.count(), 1, "{text}");
    }
}

#[test]
fn a_control_url_that_is_none_is_refused_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    for control in ["nonsense", "https://127.0.0.1:7070", "http://127.0.0.1:7070/v1", "http://a:b@c", "ftp://x", ""] {
        let out = command("a", control, folder.path()).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(64), "{control}: {text}");
        assert!(text.contains("http://127.0.0.1:7070") && text.contains("--control"), "{control}: {text}");
    }
}
