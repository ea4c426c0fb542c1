//! `tidegate show`: one rollout, from what it wants to what would decide next.

use proto::http::RolloutView;

use crate::arguments::{Output, Which};
use crate::client::Client;
use crate::exit::Exit;
use crate::progress;
use crate::screen::{Screen, Table, WIDTH};
use crate::words::{grouped, instant, now, or_dash, percent, plain, share, wrapped};

mod next;
mod slos;
mod verdict;

pub(crate) async fn run(client: &Client, screen: Screen, which: &Which, output: Output) -> anyhow::Result<Exit> {
    let view = client.rollout(which.which.as_str()).await?;
    if output == Output::Json {
        screen.json(&view)?;
        return Ok(Exit::Done);
    }
    screen.line(screen.paint(progress::tone(view.stage), &fitted(&progress::line(&view), 2)))?;
    screen.line(head(&view))?;
    screen.line(format!("\n{}", steps(&view)))?;
    if let Some(verdict) = &view.verdict {
        screen.line(format!("\n{}", verdict::text(verdict, &view.issues)))?;
    }
    if view.plan.checks.as_ref().is_some_and(|checks| !checks.slos.is_empty()) {
        screen.line(format!("\n{}", slos::text(&client.slos(&view.id).await?)))?;
    }
    if !view.exposure.is_empty() {
        screen.line(format!("\n{}", exposure(&view)))?;
    }
    if let Some(baseline) = view.baseline.as_ref().and_then(|baseline| baseline.as_object()) {
        let signals = baseline.keys().map(|signal| plain(signal)).collect::<Vec<_>>().join(", ");
        screen.line(format!("\n{}", fitted(&format!("baseline (stable's hour before): {signals}"), 2)))?;
    }
    screen.line(format!("\n{}", fitted(&format!("next: {}", next::next(&view, now())), 6)))?;
    Ok(Exit::Done)
}

fn head(view: &RolloutView) -> String {
    let previous = or_dash(view.previous.as_ref());
    let mut lines = vec![
        format!("rollout    {}", view.id),
        format!("model      {}, from {previous} to {}", view.model, view.candidate),
        format!("policy     {}", view.plan.policy),
        format!("begun      {} UTC by {}", instant(view.created_at), plain(&view.requested_by)),
        format!("last move  {} UTC", instant(view.updated_at)),
        format!(
            "split      desired {}, applied {}, observed {}",
            share(view.split.desired),
            share(view.split.applied),
            or_dash(view.split.observed.map(share))
        ),
    ];
    let drifted = |at| format!("drift      the routers have not served that split since {} UTC", instant(at));
    lines.extend(view.split.drifted_since.map(drifted));
    lines.extend(view.reason.as_deref().map(|reason| format!("reason     {}", plain(reason))));
    lines.extend(grouped(&view.plan.notes).iter().map(|note| format!("note       {note}")));
    lines.iter().map(|line| fitted(line, 11)).collect::<Vec<_>>().join("\n")
}

/// Sentences are as wide as tables, and go on under their first word.
fn fitted(text: &str, indent: usize) -> String {
    wrapped(text, usize::from(WIDTH), indent)
}

/// The steps; `>` marks the one it stands in.
fn steps(view: &RolloutView) -> String {
    let mut table = Table::new(["", "STEP", "SPLIT", "DWELL", "GATE", "DECIDED BY"]);
    for (at, step) in view.plan.steps.iter().enumerate() {
        let is_current = at == view.step as usize && !view.stage.is_final();
        let gate = step.gate.as_ref().map_or_else(|| "-".to_owned(), |gate| format!("within {}", gate.expires));
        table.row([
            if is_current { ">".to_owned() } else { String::new() },
            step.name.clone(),
            share(step.split.candidates().basis_points()),
            step.dwell.to_string(),
            gate,
            if step.judged { "its checks" } else { "its dwell" }.to_owned(),
        ]);
    }
    table.text()
}

fn exposure(view: &RolloutView) -> String {
    let all = view.exposure.iter().map(|served| served.requests).sum();
    let mut table = Table::new(["SERVED BY", "REQUESTS", "SHARE", "FAILED", "SESSIONS"]);
    for served in &view.exposure {
        let (requests, errors) = (served.requests, served.errors);
        let sessions = if served.sessions > 0 { format!("~{}", served.sessions) } else { "-".to_owned() };
        table.row([served.version.clone(), requests.to_string(), percent(requests, all), errors.to_string(), sessions]);
    }
    let reached = view.reached.map(|reached| fitted(&format!("\n{} has reached {reached}", view.candidate), 2));
    table.text() + &reached.unwrap_or_default()
}
