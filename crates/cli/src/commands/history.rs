//! `tidegate history`.

use proto::http::HistoryEntry;
use rollout::Stage;

use crate::arguments::{Output, Which};
use crate::client::Client;
use crate::exit::Exit;
use crate::progress;
use crate::screen::{Screen, Tone};
use crate::words::{clock, instant, plain};

pub(crate) async fn run(client: &Client, screen: Screen, which: &Which, output: Output) -> anyhow::Result<Exit> {
    let rollout = client.rollout(which.which.as_str()).await?;
    let entries = client.history(&rollout.id).await?;
    if output == Output::Json {
        screen.json(&entries)?;
        return Ok(Exit::Done);
    }
    let begun = instant(rollout.created_at);
    screen.line(format!("{} {} {}, begun {begun} UTC", rollout.id, rollout.model, rollout.candidate))?;
    for entry in &entries {
        for line in lines(entry) {
            let is_refusal = entry.entry == "refusal";
            screen.line(if is_refusal { screen.paint(Tone::Quiet, &line) } else { line })?;
        }
    }
    Ok(Exit::Done)
}

/// The move, then why it was made: reasons are sentences, and a table would cut them.
fn lines(entry: &HistoryEntry) -> Vec<String> {
    let is_of_step = entry.to.as_deref().and_then(Stage::named).is_some_and(progress::has_step);
    let step = entry.step.filter(|_| is_of_step).map(|step| format!(" step {}", step + 1)).unwrap_or_default();
    let (from, to) = (entry.from.as_deref().unwrap_or("none"), entry.to.as_deref().unwrap_or("-"));
    let what = match (entry.entry.as_str(), from == to) {
        ("refusal", _) => format!("refused in {from}"),
        (_, true) => format!("{to}{step} (stays)"),
        _ => format!("{from} -> {to}{step}"),
    };
    let mut lines = vec![format!("{}  {what}  [{} by {}]", clock(entry.at), plain(&entry.fact), plain(&entry.actor))];
    let evidence =
        entry.evidence.as_ref().and_then(|evidence| evidence.get("issues")?.as_array()).into_iter().flatten();
    let issues = evidence.filter_map(|issue| issue.as_str());
    let reasons = entry.reason.as_deref().into_iter().chain(issues);
    lines.extend(reasons.map(|reason| format!("              {}", plain(reason))));
    lines
}
