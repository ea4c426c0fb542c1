//! `tidegate rollouts`.

use proto::http::RolloutView;

use crate::arguments::Output;
use crate::client::Client;
use crate::exit::Exit;
use crate::progress;
use crate::screen::{Screen, Table};
use crate::words::{lasting, now, share};

const NONE_YET: &str = "no rollouts yet; begin one with `tidegate promote MODEL VERSION`";

pub(crate) async fn run(client: &Client, screen: Screen, limit: u16, output: Output) -> anyhow::Result<Exit> {
    let rollouts = client.rollouts(usize::from(limit)).await?;
    match output {
        Output::Json => screen.json(&rollouts)?,
        Output::Table if rollouts.is_empty() => screen.line(NONE_YET)?,
        Output::Table => screen.line(table(&rollouts))?,
    }
    Ok(Exit::Done)
}

fn table(rollouts: &[RolloutView]) -> String {
    let mut table = Table::new(["ROLLOUT", "MODEL", "VERSION", "STAGE", "SPLIT", "AGE"]);
    for rollout in rollouts {
        let (step, steps) = (rollout.step + 1, rollout.plan.steps.len());
        let stage = rollout.stage;
        table.row([
            rollout.id.to_string(),
            rollout.model.to_string(),
            rollout.candidate.to_string(),
            if progress::has_step(stage) { format!("{stage} {step}/{steps}") } else { stage.to_string() },
            share(rollout.split.desired),
            lasting(now().ms_since(rollout.created_at)),
        ]);
    }
    table.keep(&[0, 3, 4, 5]).text()
}
