//! Who a router is: one name for one live router, one folder for one process.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_router_of_a_name_ends_with_a_sentence_and_the_first_goes_on() {
    let house = House::start_without_router();
    let a = Lone::start("a", &house.api);
    until_router(&house, "a", "live").await;
    let folder = tempfile::tempdir().unwrap();
    let mut second =
        command("a", &house.api, folder.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let since = Instant::now();
    let status = loop {
        if let Some(status) = second.try_wait().unwrap() {
            break status;
        }
        assert!(since.elapsed() < LIMIT, "it still runs");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let mut text = String::new();
    second.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("another live router is called a"), "{text}");
    let _models = served_by(&[&a], &house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_was_killed_is_itself_again_at_once_and_its_folder_is_its_own() {
    let house = House::start_without_router();
    let a = Lone::start("a", &house.api);
    until_router(&house, "a", "live").await;
    let _models = served_by(&[&a], &house).await;
    let out = command("b", &house.api, a.folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && text.contains("another router is using it"), "{text}");
    let a = Lone::start_in(a.killed(), ("a", &house.api), Stdio::inherit());
    let id = house.promote("reranker", "2", &json!({ "policy": steps(&[], "1s") })).await;
    assert_eq!(house.ended(&id).await["stage"], "completed");
    assert_eq!(a.ask(&house.client, 1).await, (200, "2".to_owned()));
}
