//! `--keep`: everything stays up, with a little traffic, until Ctrl-C ends the demo.

use super::Scene;
use super::play::{Played, plan};
use crate::load::{Load, LoadPlan};

/// Enough that another rollout finds evidence.
const RATE_PER_SECOND: f64 = 50.0;

/// Returns at Ctrl-C, which is how a demo that is kept is meant to end.
pub(super) async fn keep(scene: &Scene, played: &[Played]) -> anyhow::Result<()> {
    let mut loads = Vec::new();
    for played in played {
        let plan = LoadPlan { rate_per_second: RATE_PER_SECOND, ..plan(scene, &played.story)? };
        loads.push(Load::start(plan));
    }
    let say = |line: &str| scene.transcript.line(line);
    say("\neverything stays up until Ctrl-C; each model gets 50 requests a second. Try, in another terminal:")?;
    say(&format!("  export TIDEGATE_URL={}", scene.client.base()))?;
    say("  tidegate models")?;
    for played in played {
        let [v1, v2] = &played.servers;
        say(&format!("  tidegate show {}        # its servers: v1 {}, v2 {}", played.model, v1.url(), v2.url()))?;
        say(&format!("  tidegate history {}", played.rollout.id))?;
        say(&format!(
            "  curl -s -d '{{\"text\": \"a great day\"}}' http://{}/{}{}",
            scene.router, played.model, played.story.path
        ))?;
    }
    if let Some(played) = played.iter().find(|played| played.story.end != rollout::Stage::Completed) {
        say(&format!(
            "  curl -s -X PATCH -d '{{\"latency_median_ms\": 20, \"slow_share\": 0, \"cost_usd_mean\": 0.01}}' {}/dials",
            played.servers[1].url()
        ))?;
        say(&format!("  tidegate promote {} v2 --policy demo --wait", played.model))?;
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
