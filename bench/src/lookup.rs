//! Finding the route of a request and its arm, as the router does for each: 10,000 models, one session after another.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use rollout::{Arm, Direction, Match, Model, Route, Share, Tenant, Version};
use router::{Counts, Served, Table};

use crate::figure::{Figure, median};

const MODELS: usize = 10_000;
const TIMES: u32 = 2_000_000;
const ROUNDS: usize = 3;

pub(crate) fn measure() -> anyhow::Result<Figure> {
    let counts = Counts::new();
    let own = SocketAddr::from(([127, 0, 0, 1], 1));
    let served = (0..MODELS).map(|number| {
        let served = Served::new(Arc::new(route(number)?), &counts, own).map_err(anyhow::Error::msg)?;
        Ok(Arc::new(served))
    });
    let table = Table::of(served.collect::<anyhow::Result<Vec<_>>>()?);
    let paths: Vec<_> = (0..1_000).map(|number| format!("/m{}/predict", number * 10)).collect();
    let keys: Vec<_> = (0..1_000).map(|number| format!("session-{number:08}")).collect();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(each(|at| table.find("localhost", &paths[at]).map_or(0, |served| served.arm_for(&keys[at]))));
        floor.push(each(|at| ::judge::murmur3(keys[at].as_bytes()) as usize));
    }
    let (ours, floor) = (median(&ours), median(&floor));
    Ok(Figure {
        what: "route lookup + bucketing, 10,000 models",
        ours: format!("{ours:.0} ns"),
        floor: format!("{floor:.0} ns, the hash of the key alone"),
        ratio: format!("{:.1}", ours / floor),
        target: "<= 200 ns",
        is_met: ours <= 200.0,
    })
}

/// Nanoseconds a call.
fn each(call: impl Fn(usize) -> usize) -> f64 {
    let began = Instant::now();
    for time in 0..TIMES {
        black_box(call(black_box(time as usize % 1_000)));
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
}

pub(crate) fn route(number: usize) -> anyhow::Result<Route> {
    let (tenant, model) = (Tenant::default_tenant(), Model::new(format!("m{number}"))?);
    let arm = |version: &str, share: u32| -> anyhow::Result<Arm> {
        Ok(Arm {
            version: Version::new(version)?,
            basis_points: Share::of_basis_points(share).context("a share")?,
            upstream: "http://127.0.0.1:9".to_owned(),
            headers: std::collections::BTreeMap::new(),
        })
    };
    Ok(Route {
        generation: 1,
        rollout_id: None,
        direction: Direction::Forward,
        lease_seconds: None,
        hang_after_ms: None,
        by_size: Vec::new(),
        silent_after_ms: None,
        on_drift: rollout::OnDrift::Restore,
        sample_ms: None,
        stopped: false,
        matches: Match::default_for(&tenant, &model),
        salt: "0123456789abcdef0123456789abcdef".to_owned(),
        stable: Version::new("1")?,
        arms: vec![arm("2", 500)?, arm("1", 9_500)?],
        tenant,
        model,
    })
}
