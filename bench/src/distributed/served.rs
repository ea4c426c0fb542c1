//! From a route that is put into the bucket to the first answer of the version that it names, by a router in a process of its own.

use std::time::{Duration, Instant};

use anyhow::ensure;
use rollout::{Share, Version};

use super::plane::Plane;
use crate::figure::{Figure, quantile};
use crate::{house, lookup};

const ROUTES: i64 = 300;
const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn measure() -> anyhow::Result<Figure> {
    let mut plane = Plane::set_up()?;
    let router = plane.start("router").await?;
    let upstream = house::upstream().await?;
    let bucket = plane.jetstream().await.get_key_value("tg_route").await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for generation in 1..=ROUTES {
        let version = format!("v{generation}");
        let mut route = lookup::route(0)?;
        route.generation = generation;
        route.stable = Version::new(&version)?;
        route.arms.truncate(1);
        for arm in &mut route.arms {
            (arm.version, arm.upstream) = (route.stable.clone(), format!("http://{upstream}"));
            arm.basis_points = Share::WHOLE;
        }
        let began = Instant::now();
        let key = proto::subject::key(&route.tenant, &route.model);
        bucket.put(key, serde_json::to_string(&route)?.into()).await?;
        floor.push(began.elapsed().as_secs_f64() * 1_000.0);
        while client
            .get(format!("{router}/m0/predict"))
            .send()
            .await?
            .headers()
            .get("x-model-version")
            .is_none_or(|of| of != version.as_str())
        {
            ensure!(began.elapsed() < LIMIT, "route {generation} is not served");
        }
        ours.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let (p50, p99) = (quantile(&ours, 0.5), quantile(&ours, 0.99));
    let (floor_p50, floor_p99) = (quantile(&floor, 0.5), quantile(&floor, 0.99));
    Ok(Figure {
        what: "route published -> served by the router",
        ours: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        floor: format!("p50 {floor_p50:.1} ms, p99 {floor_p99:.1} ms, the answer to the put"),
        ratio: format!("{:.1} (p50)", p50 / floor_p50),
        target: "p99 <= 5 ms",
        is_met: p99 <= 5.0,
    })
}
