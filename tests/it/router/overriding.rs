//! Requests that name their version themselves.

use std::collections::BTreeMap;

use rollout::Direction;
use router::Override;

use super::upstream::Echo;
use super::*;

impl Kit {
    async fn trusting() -> Self {
        Self::of(Limits::default(), "127.0.0.0/8, ::1".parse().unwrap()).await
    }

    async fn named(&self, version: &str, session: &str) -> reqwest::Response {
        let request = self.http.get(self.url("/m")).header("x-session-id", session);
        request.header("x-model-version", version).send().await.unwrap()
    }
}

#[tokio::test]
async fn a_trusted_peer_reaches_any_arm_and_any_registered_version_and_is_counted_apart() {
    let echo = Echo::start("1").await;
    let kit = Kit::trusting().await;
    kit.adopt(route("m", 1, &[("2", 0, echo.address), ("1", 10_000, echo.address)])).await;
    let former = Arm { headers: BTreeMap::from([("x-prompt".to_owned(), "old".to_owned())]), ..arm("0", echo.address) };
    kit.running.choices.replace(BTreeMap::from([("default.m".to_owned(), vec![former])]));
    for (version, session) in [("2", "a"), ("0", "a"), ("1", "b")] {
        let response = kit.named(version, session).await;
        assert_eq!((response.status().as_u16(), header(&response, "x-model-version")), (200, version));
        assert_eq!(header(&response, "x-rollout-arm"), "override");
        assert_eq!(header(&response, "x-rollout-id"), rollout_id("1").as_str());
        let seen = echo.last().headers;
        assert!(!seen.contains_key("x-model-version"), "it is not forwarded");
        assert_eq!(seen.contains_key("x-prompt"), version == "0");
    }
    assert_eq!(kit.running.counts.overrides(Override::Honoured), 3);
    for version in ["1", "2"] {
        let count = kit.count(version);
        assert_eq!((count.requests, count.ended, count.latency.total(), count.codes.len()), (0, 0, 0, 0));
        assert_eq!(count.exposed.unwrap().requests, 0);
    }
    assert!(!kit.running.counts.snapshot().iter().any(|count| count.version.as_str() == "0"));
}

#[tokio::test]
async fn what_is_malformed_unknown_or_not_trusted_is_ignored_and_counted() {
    let echo = Echo::start("1").await;
    let trusting = Kit::trusting().await;
    let others = Kit::of(Limits::default(), "10.0.0.0/8".parse().unwrap()).await;
    for kit in [&trusting, &others] {
        kit.adopt(route("m", 1, &[("2", 0, echo.address), ("1", 10_000, echo.address)])).await;
        for version in ["3", "no version!", "2"] {
            let wanted = if version == "2" && std::ptr::eq(kit, &trusting) { "2" } else { "1" };
            assert_eq!(header(&kit.named(version, "a").await, "x-model-version"), wanted, "{version}");
        }
    }
    let twice = trusting.http.get(trusting.url("/m")).header("x-model-version", "2").header("x-model-version", "2");
    assert_eq!(header(&twice.send().await.unwrap(), "x-model-version"), "1");
    let counts = &trusting.running.counts;
    assert_eq!(
        [Override::Honoured, Override::Untrusted, Override::Malformed, Override::Unknown]
            .map(|of| counts.overrides(of)),
        [1, 0, 2, 1]
    );
    assert_eq!(others.running.counts.overrides(Override::Untrusted), 3);
    let page = counts.prometheus();
    assert!(page.contains("tidegate_route_overrides_total{result=\"malformed\"} 2"), "{page}");
}

#[tokio::test]
async fn a_candidate_that_was_turned_back_answers_nobody_until_a_rollout_serves_it_again() {
    let echo = Echo::start("1").await;
    let kit = Kit::trusting().await;
    kit.running.choices.replace(BTreeMap::from([("default.m".to_owned(), vec![arm("2", echo.address)])]));
    let arms = [("2", 0, echo.address), ("1", 10_000, echo.address)];
    kit.adopt(route("m", 1, &arms)).await;
    assert_eq!(header(&kit.named("2", "a").await, "x-model-version"), "2");
    kit.adopt(Route { direction: Direction::Back, ..route("m", 2, &arms) }).await;
    assert_eq!(header(&kit.named("2", "a").await, "x-model-version"), "1");
    // The rollout is over: its route no longer lists the candidate, and the registry may lag behind.
    kit.adopt(route("m", 3, &[("1", 10_000, echo.address)])).await;
    assert_eq!(header(&kit.named("2", "a").await, "x-model-version"), "1");
    assert_eq!(kit.running.counts.overrides(Override::Withdrawn), 2);
    kit.adopt(Route { rollout_id: Some(rollout_id("2")), ..route("m", 4, &arms) }).await;
    assert_eq!(header(&kit.named("2", "a").await, "x-model-version"), "2");
    // A retreat need not list what it takes the traffic from.
    kit.adopt(Route { direction: Direction::Back, ..route("m", 5, &[("1", 10_000, echo.address)]) }).await;
    assert_eq!(header(&kit.named("2", "a").await, "x-model-version"), "1");
}

#[test]
fn trusted_peers_are_addresses_and_networks_and_a_mistake_is_named() {
    let peers: router::TrustedPeers = "127.0.0.1, 10.1.0.0/16,fd00::/8".parse().unwrap();
    for (peer, is_trusted) in [
        ("127.0.0.1", true),
        ("127.0.0.2", false),
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("fd00::1", true),
        ("10.2.0.1", false),
    ] {
        assert_eq!(peers.has(peer.parse().unwrap()), is_trusted, "{peer}");
    }
    assert!("".parse::<router::TrustedPeers>().unwrap().is_empty());
    for bad in ["localhost", "10.0.0.0/33", "10.0.0.0/8;::1"] {
        assert!(bad.parse::<router::TrustedPeers>().unwrap_err().contains("neither an address nor a network"), "{bad}");
    }
}
