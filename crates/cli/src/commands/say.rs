//! Words that are said to a live rollout: `rollback`, `cancel`, `approve` and the others.

use anyhow::ensure;
use api::{Direct, stop_directly};
use proto::REASON_BYTES_MAX;
use proto::http::{Command, Commanded};
use rollout::{Route, Stage, Verb};

use super::promote::who;
use crate::arguments::{Retreat, Said};
use crate::client::Client;
use crate::exit::Exit;
use crate::progress;
use crate::screen::Screen;
use crate::words::share;

/// Says a verb and tells what it came to.
pub(crate) async fn say(client: &Client, screen: Screen, verb: Verb, said: &Said) -> anyhow::Result<Exit> {
    let seen = client.rollout(said.which.which.as_str()).await?;
    let is_retreat = matches!(verb, Verb::Rollback | Verb::Cancel);
    // Whoever opens a gate or moves on does so for what they saw; a retreat must not lose a race.
    let if_match = (!is_retreat).then_some(seen.version);
    let command = Command { actor: who(), reason: said.reason.clone() };
    let commanded = client.say(&seen.id, verb, &command, if_match).await?;
    screen.line(match &commanded.rollout {
        Some(rollout) if !is_retreat => progress::line(rollout),
        _ => retreat(&commanded),
    })?;
    Ok(Exit::Done)
}

/// Says `rollback` or `cancel`, through the API or on the bus itself.
pub(crate) async fn take_back(client: &Client, screen: Screen, verb: Verb, asked: Retreat) -> anyhow::Result<Exit> {
    let Some(nats) = asked.nats.filter(|_| asked.direct) else { return say(client, screen, verb, &asked.said).await };
    let nats = asked.nkey.at(&nats)?;
    let Said { which, reason } = asked.said;
    let is_long = reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX);
    ensure!(!is_long, "--reason has more than {REASON_BYTES_MAX} bytes");
    let stopped =
        stop_directly(Direct { nats, which: which.which.to_string(), verb, said: Command { actor: who(), reason } })
            .await?;
    let Route { model, stable, .. } = &stopped.route;
    screen.line(if stopped.applied {
        format!("applied: true; every live router has confirmed that {stable} serves everything of {model}")
    } else {
        format!(
            "applied: false; it was said, but not every live router has confirmed yet that {stable} serves everything of {model}"
        )
    })?;
    Ok(Exit::Done)
}

/// What `applied` means, in the words of whoever must decide whether to worry.
fn retreat(commanded: &Commanded) -> String {
    let Some(rollout) = &commanded.rollout else {
        let applied = commanded.applied;
        return format!("applied: {applied}; the database can't be read, so this is recorded when it is back");
    };
    let former = rollout.previous.as_ref().map_or_else(|| "nothing".to_owned(), |version| format!("{version}"));
    if commanded.applied {
        let what = if rollout.stage == Stage::Retreating || rollout.split.applied == 0 {
            format!(
                "every router has confirmed that {} serves everything, and {} nothing new",
                former, rollout.candidate
            )
        } else {
            format!("the routers have confirmed {} for {}", share(rollout.split.applied), rollout.candidate)
        };
        return format!("applied: true; {what} ({})", rollout.stage);
    }
    format!(
        "applied: false; it was accepted and is said again until every router confirms it, but not all have yet ({}); follow it with `tidegate watch {}`",
        rollout.stage, rollout.id
    )
}
