//! Which routes are taken, and what is left of them after a restart.

use std::os::unix::fs::PermissionsExt;

use super::upstream::Echo;
use super::*;

fn back(route: &Route, generation: i64) -> Route {
    let mut back = Route { generation, direction: Direction::Back, ..route.clone() };
    back.arms[0].basis_points = Share::ZERO;
    back.arms[1].basis_points = Share::WHOLE;
    back
}

#[tokio::test]
async fn only_a_higher_generation_or_the_same_content_is_taken() {
    let echo = Echo::start("1").await;
    let kit = Kit::serving("m", &[("1", 10_000, echo.address)]).await;
    let (tenant, model) = (Tenant::default_tenant(), Model::new("m").unwrap());
    let at = |generation| route("m", generation, &[("1", 10_000, echo.address)]);
    kit.adopt(at(5)).await;
    assert_eq!(kit.running.routes.adopt(at(5)).await, Adoption::Unchanged);
    assert_eq!(kit.running.routes.adopt(at(4)).await, Adoption::Stale);
    let other = Route { salt: "other".to_owned(), ..at(5) };
    assert!(matches!(kit.running.routes.adopt(other).await, Adoption::Refused(why) if why.contains("other content")));
    assert_eq!(kit.running.routes.generation(&tenant, &model), Some(5));
    assert_eq!(kit.running.routes.served().len(), 1);
    assert_eq!(kit.running.counts.routes_refused(), 2);
}

#[tokio::test]
async fn a_route_that_cannot_be_served_is_refused_with_its_field() {
    let echo = Echo::start("1").await;
    let kit = Kit::serving("m", &[("1", 10_000, echo.address)]).await;
    let good = || route("n", 2, &[("1", 10_000, echo.address)]);
    let with = |change: &dyn Fn(&mut Route)| {
        let mut route = good();
        change(&mut route);
        route
    };
    let cases: [(Route, &str); 8] = [
        (with(&|route| route.arms[0].basis_points = Share::ZERO), "shares sum to 0"),
        (with(&|route| route.matches.path_prefix = Some("/m".to_owned())), "belongs to default/m"),
        (with(&|route| route.arms[0].upstream = "https://x".to_owned()), "arms.1.upstream"),
        (with(&|route| route.arms[0].upstream = "http://169.254.169.254/".to_owned()), "link-local"),
        (with(&|route| route.arms[0].upstream = format!("http://{}", kit.running.addr)), "this router itself"),
        (
            with(&|route| route.arms[0].upstream = format!("http://localhost:{}", kit.running.addr.port())),
            "this router itself",
        ),
        (
            with(&|route| _ = route.arms[0].headers.insert("Connection".to_owned(), "x".to_owned())),
            "arms.1.headers.Connection",
        ),
        (with(&|route| _ = route.arms[0].headers.insert("x-api-key".to_owned(), "secret:K".to_owned())), "secret"),
    ];
    for (route, wanted) in cases {
        match kit.running.routes.adopt(route).await {
            Adoption::Refused(why) => assert!(why.contains(wanted), "{why} against {wanted}"),
            other => panic!("{other:?} against {wanted}"),
        }
    }
    kit.adopt(good()).await;
}

#[tokio::test]
async fn a_rollout_that_was_turned_back_never_goes_forward_again() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::serving("m", &[("2", 9_999, new.address), ("1", 1, old.address)]).await;
    let forward = |generation| route("m", generation, &[("2", 9_999, new.address), ("1", 1, old.address)]);
    assert_eq!(kit.get_as("/m", "s").await.text().await.unwrap(), "new");
    kit.adopt(back(&forward(1), 2)).await;
    assert_eq!(kit.get_as("/m", "s").await.text().await.unwrap(), "old");
    for generation in [3, 1 << 40] {
        let adoption = kit.running.routes.adopt(forward(generation)).await;
        assert!(matches!(adoption, Adoption::Refused(why) if why.contains("never goes forward")));
    }
    assert_eq!(kit.get_as("/m", "s").await.text().await.unwrap(), "old");
    let restarted = start_in(kit.folder.path(), Limits::default()).await;
    assert!(matches!(restarted.routes.adopt(forward(4)).await, Adoption::Refused(_)), "the lock is on disk");
    kit.adopt(Route { rollout_id: Some(rollout_id("2")), ..forward(4) }).await;
}

#[tokio::test]
async fn a_router_serves_from_its_disk_with_everything_else_dead() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::serving("m", &[("2", 2_000, new.address), ("1", 8_000, old.address)]).await;
    let arm = async |kit: &Kit, n: u32| kit.get_as("/m", &format!("s{n}")).await.text().await.unwrap();
    let mut before = Vec::new();
    for n in 0..50 {
        before.push(arm(&kit, n).await);
    }
    let Kit { running, folder, http } = kit;
    for name in ["routes.json", "routes.log"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(running.stop(Duration::from_secs(1)).await);
    let kit = Kit { running: start_in(folder.path(), Limits::default()).await, folder, http };
    assert_eq!(kit.running.routes.generation(&Tenant::default_tenant(), &Model::new("m").unwrap()), Some(1));
    for (n, before) in (0..).zip(before) {
        assert_eq!(arm(&kit, n).await, before);
    }
}

#[tokio::test]
async fn a_corrupt_file_is_put_aside() {
    for content in ["", "{", "[1]", r#"{"format":99,"saved_at_ms":0,"routes":[]}"#] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routes.json"), content).unwrap();
        let running = start_in(folder.path(), Limits::default()).await;
        assert!(running.routes.served().is_empty());
        assert_eq!(std::fs::read_to_string(folder.path().join("routes.json.corrupt")).unwrap(), content);
        let echo = Echo::start("1").await;
        assert_eq!(running.routes.adopt(route("m", 1, &[("1", 10_000, echo.address)])).await, Adoption::Adopted);
        assert!(folder.path().join("routes.json").exists());
    }
}

#[tokio::test]
async fn a_route_that_cannot_be_saved_is_not_confirmed_but_a_retreat_is_served_all_the_same() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::serving("m", &[("2", 9_999, new.address), ("1", 1, old.address)]).await;
    let forward = |generation| route("m", generation, &[("2", 10_000, new.address), ("1", 0, old.address)]);
    kit.block_disk();
    let (tenant, model) = (Tenant::default_tenant(), Model::new("m").unwrap());
    assert!(
        matches!(kit.running.routes.adopt(forward(2)).await, Adoption::Refused(why) if why.contains("could not be saved"))
    );
    assert_eq!(kit.running.routes.generation(&tenant, &model), Some(1));
    let retreat = back(&forward(1), 3);
    assert!(matches!(kit.running.routes.adopt(retreat.clone()).await, Adoption::Refused(_)));
    assert_eq!(kit.get_as("/m", "s").await.text().await.unwrap(), "old");
    kit.free_disk();
    assert_eq!(kit.running.routes.adopt(retreat).await, Adoption::Unchanged);
    let restarted = start_in(kit.folder.path(), Limits::default()).await;
    assert_eq!(restarted.routes.generation(&tenant, &model), Some(3));
}

#[tokio::test]
async fn many_routes_are_adopted_with_one_write() {
    let echo = Echo::start("1").await;
    let kit = Kit::start().await;
    let routes = (0..1_000).map(|n| route(&format!("m{n}"), 1, &[("1", 10_000, echo.address)])).collect();
    let adoptions = kit.running.routes.adopt_all(routes).await;
    assert!(adoptions.iter().all(|adoption| *adoption == Adoption::Adopted));
    assert_eq!(kit.get("/m999/x").await.status(), 200);
}
