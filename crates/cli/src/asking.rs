//! `tidegate load`: requests as a model's users send them, and what became of them.

use std::time::Duration;

use anyhow::ensure;

use crate::arguments::LoadArguments;
use crate::exit::Exit;
use crate::load::{Load, LoadPlan, Report};
use crate::screen::Screen;

/// Somebody who watches wants to know this often how it goes.
const TELL_AGAIN: Duration = Duration::from_secs(10);

pub(crate) async fn run(screen: Screen, asked: LoadArguments) -> anyhow::Result<Exit> {
    ensure!(asked.rate > 0.0 && asked.rate.is_finite(), "--rate: write a number above 0, such as `50`");
    let LoadArguments { target, rate, sessions, during } = asked;
    let load = Load::start(LoadPlan { rate_per_second: rate, sessions, ..LoadPlan::new(target) });
    let over = async {
        match during {
            Some(during) => tokio::time::sleep(during).await,
            None => std::future::pending().await,
        }
    };
    let told = async {
        let mut tell = tokio::time::interval(TELL_AGAIN);
        tell.tick().await;
        loop {
            tell.tick().await;
            screen.line(line(&load.snapshot()))?;
        }
    };
    tokio::select! {
        () = over => {}
        told = chassis::until_signal() => told?,
        told = told => return told,
    }
    let report = load.stop().await;
    screen.line(line(&report))?;
    for (failure, count) in &report.failures {
        screen.line(format!("{count:>8}  {failure}"))?;
    }
    Ok(if report.failed_by_us == 0 { Exit::Done } else { Exit::Failed })
}

/// What came of the requests so far.
fn line(report: &Report) -> String {
    let versions =
        report.versions.iter().map(|(version, of)| format!(", {version}: {} (p95 {:.0} ms)", of.answered, of.p95_ms));
    format!(
        "{} requests{}, failed by us {}, by the model {}",
        report.requests,
        versions.collect::<String>(),
        report.failed_by_us,
        report.failed_by_model
    )
}
