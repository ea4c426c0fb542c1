//! Serving the stable arm alone: after a lease without a beat, and after a stop.

use super::upstream::Echo;
use super::*;

/// Nearly everything to version 2, on a lease of a second.
fn leased(generation: i64, new: &Echo, old: &Echo) -> Route {
    let arms = [("2", 9_999, new.address), ("1", 1, old.address)];
    Route { lease_seconds: Some(1), ..route("m", generation, &arms) }
}

async fn answers(kit: &Kit) -> String {
    kit.get_as("/m", "s").await.text().await.unwrap()
}

/// Waits until such an answer comes.
async fn serves(kit: &Kit, path: &str, wanted: &str) {
    let began = Instant::now();
    while kit.get_as(path, "s").await.text().await.unwrap() != wanted {
        assert!(began.elapsed() < Duration::from_secs(30), "{path} is not served by {wanted}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn word(generation: i64, held: Option<Held>) -> Option<Word> {
    Some(Word { generation, held })
}

fn said(kit: &Kit) -> Option<Word> {
    kit.running.routes.word(&Tenant::default_tenant(), &Model::new("m").unwrap())
}

async fn expires(kit: &Kit) {
    let began = Instant::now();
    while kit.running.routes.end_leases().await.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "the lease does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_ended_lease_serves_the_stable_arm_until_a_newer_generation_comes() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::start().await;
    kit.running.routes.beat("1").await;
    kit.adopt(leased(1, &new, &old)).await;
    assert_eq!((answers(&kit).await.as_str(), said(&kit)), ("new", word(1, None)));
    expires(&kit).await;
    assert_eq!((answers(&kit).await.as_str(), said(&kit)), ("old", word(1, Some(Held::Expired))));
    kit.running.routes.beat("2").await;
    assert_eq!(kit.running.routes.adopt(leased(1, &new, &old)).await, Adoption::Unchanged);
    assert_eq!(answers(&kit).await, "old", "a beat does not bring it back");
    let Kit { running, folder, http } = kit;
    assert!(running.stop(Duration::from_secs(1)).await);
    let kit = Kit { running: start_in(folder.path(), Limits::default()).await, folder, http };
    assert_eq!((answers(&kit).await.as_str(), said(&kit)), ("old", word(1, Some(Held::Expired))));
    kit.running.routes.beat("3").await;
    kit.adopt(leased(2, &new, &old)).await;
    assert_eq!((answers(&kit).await.as_str(), said(&kit)), ("new", word(2, None)));
}

#[tokio::test]
async fn a_route_without_a_lease_and_one_that_sends_nothing_to_a_candidate_never_end() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::start().await;
    kit.adopt(Route { lease_seconds: None, ..leased(1, &new, &old) }).await;
    let mut warm = leased(1, &new, &old);
    (warm.model, warm.matches.path_prefix) = (Model::new("n").unwrap(), Some("/n".to_owned()));
    warm.arms[0].basis_points = Share::ZERO;
    warm.arms[1].basis_points = Share::WHOLE;
    kit.adopt(warm).await;
    until(|| (kit.running.routes.beat_age() > Duration::from_millis(1_100)).then_some(())).await;
    assert!(kit.running.routes.end_leases().await.is_empty());
    assert_eq!(answers(&kit).await, "new");
}

#[tokio::test]
async fn a_lease_counts_on_over_a_restart_and_a_beat_from_the_future_is_none() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    for (heard_at_ms, wanted) in [("0", "old"), ("99999999999999", "old"), ("now", "new")] {
        let kit = Kit::start().await;
        kit.running.routes.beat("1").await;
        kit.adopt(Route { lease_seconds: Some(3_600), ..leased(1, &new, &old) }).await;
        let Kit { running, folder, http } = kit;
        assert!(running.stop(Duration::from_secs(1)).await);
        if heard_at_ms != "now" {
            let beat = format!(r#"{{"beat":"1","heard_at_ms":{heard_at_ms}}}"#);
            std::fs::write(folder.path().join("beat.json"), beat).unwrap();
        }
        let kit = Kit { running: start_in(folder.path(), Limits::default()).await, folder, http };
        kit.running.routes.end_leases().await;
        assert_eq!(answers(&kit).await, wanted, "a beat heard at {heard_at_ms}");
    }
}

#[tokio::test]
async fn a_stop_is_served_at_once_and_said_only_when_it_is_on_disk() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::start().await;
    kit.adopt(leased(1, &new, &old)).await;
    kit.block_disk();
    let (tenant, model) = (Tenant::default_tenant(), Model::new("m").unwrap());
    assert!(kit.running.routes.stop(&tenant, &model, &rollout_id("1")).await.is_empty());
    assert_eq!((answers(&kit).await.as_str(), said(&kit)), ("old", None));
    kit.free_disk();
    assert_eq!(kit.running.routes.save_again().await.len(), 1);
    assert_eq!(said(&kit), word(1, Some(Held::Stopped)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_and_an_ended_lease_do_not_wait_for_a_disk_that_hangs() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::start().await;
    kit.adopt(leased(1, &new, &old)).await;
    kit.adopt(Route { lease_seconds: Some(1), ..route("n", 1, &[("2", 10_000, new.address), ("1", 0, old.address)]) })
        .await;
    // Whoever opens a pipe waits for its other end.
    let log = kit.folder.path().join("routes.log");
    std::fs::remove_file(&log).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
    let (of_stop, of_lease) = (kit.running.routes.clone(), kit.running.routes.clone());
    let stopping = tokio::spawn(async move {
        of_stop.stop(&Tenant::default_tenant(), &Model::new("m").unwrap(), &rollout_id("1")).await.len()
    });
    serves(&kit, "/m", "old").await;
    let ending = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        of_lease.end_leases().await.len()
    });
    serves(&kit, "/n", "old").await;
    assert_eq!(said(&kit), None, "neither is on the disk");
    // The pipe takes no write for certain, so that one fails, and both are saved with all the rest.
    let reader = tokio::task::spawn_blocking(move || {
        let reader = std::fs::File::open(&log);
        std::fs::remove_file(&log).and(reader)
    });
    let _reader = reader.await.unwrap().unwrap();
    assert_eq!((stopping.await.unwrap(), ending.await.unwrap()), (0, 1), "whose save failed is not said");
    assert_eq!(said(&kit), word(1, Some(Held::Stopped)), "the next save takes it along");
}

#[tokio::test]
async fn a_stopped_rollout_never_goes_forward_again_not_even_after_a_restart() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::start().await;
    kit.adopt(leased(1, &new, &old)).await;
    let (tenant, model) = (Tenant::default_tenant(), Model::new("m").unwrap());
    assert_eq!(kit.running.routes.stop(&tenant, &model, &rollout_id("1")).await.len(), 1);
    assert_eq!(kit.running.routes.stop(&tenant, &model, &rollout_id("1")).await.len(), 1, "it can be said twice");
    let Kit { running, folder, http } = kit;
    assert!(running.stop(Duration::from_secs(1)).await);
    let kit = Kit { running: start_in(folder.path(), Limits::default()).await, folder, http };
    assert_eq!(answers(&kit).await, "old");
    for stopped in [false, true] {
        let forward = Route { stopped, ..leased(2, &new, &old) };
        let adoption = kit.running.routes.adopt(forward).await;
        assert!(matches!(adoption, Adoption::Refused(why) if why.contains("never goes forward")));
    }
    kit.adopt(Route { rollout_id: Some(rollout_id("2")), ..leased(2, &new, &old) }).await;
    assert_eq!(answers(&kit).await, "new", "another rollout is not held");
}

#[tokio::test]
async fn a_stop_that_is_heard_before_the_first_route_is_told_when_that_is_refused() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::start().await;
    kit.adopt(Route { rollout_id: None, ..leased(1, &old, &old) }).await;
    let (tenant, model) = (Tenant::default_tenant(), Model::new("m").unwrap());
    assert!(kit.running.routes.stop(&tenant, &model, &rollout_id("1")).await.is_empty());
    assert_eq!(said(&kit), word(1, None), "nobody waits for it");
    assert!(matches!(kit.running.routes.adopt(leased(2, &new, &old)).await, Adoption::Refused(_)));
    assert_eq!((answers(&kit).await.as_str(), said(&kit)), ("old", word(1, Some(Held::Stopped))));
    kit.adopt(Route { rollout_id: Some(rollout_id("2")), ..leased(3, &new, &old) }).await;
    assert_eq!((answers(&kit).await.as_str(), said(&kit)), ("new", word(3, None)));
}

#[tokio::test]
async fn that_a_route_was_stopped_is_added_and_never_taken_away() {
    let (old, new) = (Echo::start("old").await, Echo::start("new").await);
    let kit = Kit::start().await;
    kit.adopt(leased(1, &new, &old)).await;
    kit.adopt(Route { stopped: true, ..leased(1, &new, &old) }).await;
    assert_eq!((answers(&kit).await.as_str(), said(&kit)), ("old", word(1, Some(Held::Stopped))));
    assert_eq!(kit.running.routes.adopt(leased(1, &new, &old)).await, Adoption::Unchanged);
    assert_eq!(answers(&kit).await, "old");
}
