//! The router beside a plain HAProxy on the same upstream, by `bench/router.sh`: what each adds to a request, and how many
//! requests a second of processor time it passes.

use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::figure::{Figure, median};
use crate::house;

/// Of each measurement.
const SECONDS: &str = "5";
/// The kernel's ticks a second of processor time.
const TICKS: f64 = 100.0;

/// What one line of the script says.
struct Line {
    name: String,
    per_cpu_second: f64,
    p50_us: f64,
    p99_us: f64,
}

pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let binary = house::binary("tidegate")?;
    let run = tokio::task::spawn_blocking(move || Command::new("bench/router.sh").arg(binary).arg(SECONDS).output());
    let out = run.await?.context("can't run bench/router.sh; start it from the repository's root")?;
    ensure!(out.status.success(), "bench/router.sh: {}", String::from_utf8_lossy(&out.stderr));
    let lines: Vec<Line> =
        String::from_utf8(out.stdout)?.lines().map(parsed).collect::<Option<_>>().context("odd figures of wrk")?;
    let of = |name: &str, value: fn(&Line) -> f64| {
        median(&lines.iter().filter(|line| line.name == name).map(value).collect::<Vec<_>>())
    };
    let added = |name: &str, value: fn(&Line) -> f64| of(name, value) - of("direct", value);
    let (ours, theirs) = (added("tidegate", |line| line.p50_us), added("haproxy", |line| line.p50_us));
    let (our_rate, their_rate) =
        (of("tidegate", |line| line.per_cpu_second), of("haproxy", |line| line.per_cpu_second));
    Ok(vec![
        Figure {
            what: "router, added latency p50 (p99), one connection",
            ours: format!("{ours:.0} us ({:.0})", added("tidegate", |line| line.p99_us)),
            floor: format!("{theirs:.0} us ({:.0}), HAProxy", added("haproxy", |line| line.p99_us)),
            ratio: format!("{:.2}", ours / theirs),
            target: "<= 2 x",
            is_met: ours <= 2.0 * theirs,
        },
        Figure {
            what: "router, requests a second of processor time, 64 connections",
            ours: format!("{our_rate:.0}"),
            floor: format!("{their_rate:.0}, HAProxy"),
            ratio: format!("{:.2}", our_rate / their_rate),
            target: ">= 1/2",
            is_met: our_rate >= their_rate / 2.0,
        },
    ])
}

fn parsed(line: &str) -> Option<Line> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    let (ticks, requests): (f64, f64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (p50_us, p99_us) = (microseconds(words.next()?)?, microseconds(words.next()?)?);
    Some(Line { name, per_cpu_second: requests * TICKS / ticks.max(1.0), p50_us, p99_us })
}

/// A duration as wrk writes it: `226.00us`, `1.20ms`, `1.00s`.
fn microseconds(text: &str) -> Option<f64> {
    let (number, factor) = [("us", 1.0), ("ms", 1e3), ("s", 1e6)]
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}
