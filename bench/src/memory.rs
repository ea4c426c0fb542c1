//! Memory of a process with 1,000 rollouts that wait for a person and 10 that are judged under traffic.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::figure::Figure;
use crate::house::{self, House};

const WAITING: usize = 1_000;
const LIVE: usize = 10;
const REQUESTS: usize = 2_000;

pub(crate) async fn measure() -> anyhow::Result<Figure> {
    let house = Arc::new(House::start(&[])?);
    let bare = resident_mib(house.pid())?;
    let upstream = house::upstream().await?;
    let gated =
        json!({"name": "gated", "steps": [{"split": 5, "dwell": "1h", "gate": true}, {"split": 100, "dwell": "0s"}]});
    for number in 0..WAITING + LIVE {
        let model = format!("m{number}");
        house.api.model(&model, upstream).await?;
        let (policy, stage): (&Value, _) =
            if number < WAITING { (&gated, "gated") } else { (&house::policy(), "observing") };
        let id = house.api.promote(&model, policy).await?;
        house.api.stage(&id, stage).await?;
    }
    traffic(&house).await?;
    let whole = resident_mib(house.pid())?;
    Ok(Figure {
        what: "memory, 1,000 waiting rollouts and 10 live",
        ours: format!("{whole:.0} MiB"),
        floor: format!("{bare:.0} MiB, the process with none"),
        ratio: format!("{:.1}", whole / bare),
        target: "<= 200 MiB",
        is_met: whole <= 200.0,
    })
}

/// Some requests to each live model, by as many sessions.
async fn traffic(house: &House) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    for number in 0..REQUESTS {
        let url = format!("{}/m{}/predict", house.router, WAITING + number % LIVE);
        client.get(url).header("x-session-id", format!("s{number}")).send().await?.error_for_status()?;
    }
    Ok(())
}

fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kib / 1024.0)
}
