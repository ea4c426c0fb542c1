//! Rollbacks by command while every receiver of messages fails, beside the same with receivers that answer, and beside the
//! same again: what two equal processes differ by is the noise of the run.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::figure::{Figure, quantile};
use crate::house::{self, House};

const ROLLBACKS: usize = 150;

/// What the receivers of a process do.
#[derive(Debug, Clone, Copy)]
enum Receivers {
    Answer,
    Fail,
}

pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let upstream = house::upstream().await?;
    let mut houses = Vec::new();
    for receivers in [Receivers::Answer, Receivers::Fail, Receivers::Answer] {
        houses.push(House::start(&environment(folder.path(), receivers).await?)?);
    }
    let mut took = vec![Vec::new(); houses.len()];
    for number in 0..ROLLBACKS {
        // In turn, so that whatever else the machine does hits all alike.
        for (house, took) in houses.iter().zip(&mut took) {
            took.push(rollback_ms(house, &format!("m{number}"), upstream).await?);
        }
    }
    let at = |which: usize, q| quantile(&took[which], q);
    let figure = |what, q| {
        let (alive, dead, again) = (at(0, q), at(1, q), at(2, q));
        let noise = (again / alive - 1.0).abs();
        Figure {
            what,
            ours: format!("{dead:.1} ms, receivers failing"),
            floor: format!("{alive:.1} ms, receivers alive"),
            ratio: format!("{:.2}; two equal processes differ by {:.2}", dead / alive, noise),
            target: "< 1.05",
            is_met: dead / alive < 1.05 + noise,
        }
    };
    Ok(vec![figure("rollback -> applied, p50", 0.5), figure("rollback -> applied, p99", 0.99)])
}

/// Promotes, and takes it back once the split serves: from the request to the answer that it is applied.
async fn rollback_ms(house: &House, model: &str, upstream: SocketAddr) -> anyhow::Result<f64> {
    house.api.model(model, upstream).await?;
    let plan = json!({"name": "plain", "steps": [{"split": 50, "dwell": "1h"}, {"split": 100, "dwell": "0s"}]});
    let id = house.api.promote(model, &plan).await?;
    house.api.stage(&id, "observing").await?;
    let began = Instant::now();
    let answer: Value = house.api.post(&format!("/v1/rollouts/{id}/rollback"), &json!({"reason": "bench"})).await?;
    anyhow::ensure!(answer["applied"] == json!(true), "not applied: {answer}");
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

/// Slack, PagerDuty and a webhook, all of one kind.
async fn environment(folder: &Path, receivers: Receivers) -> anyhow::Result<Vec<(&'static str, String)>> {
    let [slack, pagerduty, webhook] = match receivers {
        Receivers::Answer => [StatusCode::OK, StatusCode::ACCEPTED, StatusCode::OK].map(Some),
        // One hangs, one is broken, one has had enough.
        Receivers::Fail => [None, Some(StatusCode::INTERNAL_SERVER_ERROR), Some(StatusCode::TOO_MANY_REQUESTS)],
    };
    let (slack, pagerduty, webhook) = (serve(slack).await?, serve(pagerduty).await?, serve(webhook).await?);
    let secret = |name: &str, text: String| -> anyhow::Result<String> {
        let path = folder.join(format!("{name}.{slack}"));
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(path.display().to_string())
    };
    Ok(vec![
        ("TIDEGATE_SLACK_WEBHOOK_FILE", secret("slack", format!("http://{slack}/services/bench"))?),
        ("TIDEGATE_PAGERDUTY_KEY_FILE", secret("pagerduty", "0123456789abcdef0123456789abcdef".to_owned())?),
        ("TIDEGATE_PAGERDUTY_URL", format!("http://{pagerduty}")),
        ("TIDEGATE_WEBHOOK_URL", format!("http://{webhook}/hook")),
        ("TIDEGATE_WEBHOOK_SECRET_FILE", secret("webhook", "bench-secret-of-32-characters-or-so".to_owned())?),
        ("TIDEGATE_OUTBOUND_ALLOW", format!("{slack},{pagerduty},{webhook}")),
    ])
}

/// A receiver that answers with `status`, or never.
async fn serve(status: Option<StatusCode>) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = axum::Router::new().fallback(move || async move {
        let Some(status) = status else {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            return (StatusCode::OK, "");
        };
        (status, "ok")
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
