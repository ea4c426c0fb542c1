//! `tidegate parked`.

use proto::http::{Command, ParkedView, ParkedWhole, Unparked};

use super::promote::who;
use crate::arguments::{Output, ParkedVerb};
use crate::client::Client;
use crate::exit::Exit;
use crate::screen::{Screen, WIDTH};
use crate::words::{instant, or_dash, plain, wrapped};

pub(crate) async fn run(
    client: &Client,
    screen: Screen,
    output: Output,
    verb: Option<ParkedVerb>,
) -> anyhow::Result<Exit> {
    match verb {
        Some(ParkedVerb::Show { id, shown }) => return show(client, screen, &id, shown.output).await,
        Some(ParkedVerb::Replay { id, reason }) => return unpark(client, screen, ("replay", &id), reason).await,
        Some(ParkedVerb::Drop { id, reason }) => return unpark(client, screen, ("drop", &id), reason).await,
        None => {}
    }
    let parked = client.parked().await?;
    match output {
        Output::Json => screen.json(&parked)?,
        Output::Table if parked.is_empty() => screen.line("nothing is parked: every message was handled")?,
        Output::Table => {
            screen.line(listing(&parked))?;
            screen.line("\nnext: `tidegate parked show ID`, then `parked replay ID` or `parked drop ID`")?;
        }
    }
    Ok(Exit::Done)
}

/// An id is to be copied and a reason is to be read, so neither is cut: what is wrong stands below its message.
fn listing(parked: &[ParkedView]) -> String {
    let width = parked.iter().map(|message| message.id.chars().count()).max().unwrap_or(0).max(2);
    let mut lines = vec![format!("{:<width$}  PARKED (UTC)", "ID")];
    for message in parked {
        lines.push(format!("{:<width$}  {}", plain(&message.id), instant(message.parked_at)));
        lines.push(fitted(&format!("  {}: {}", message.reason, plain(&message.error))));
    }
    lines.join("\n")
}

fn fitted(text: &str) -> String {
    let indent = text.chars().take_while(|letter| *letter == ' ').count();
    wrapped(text, usize::from(WIDTH), indent)
}

async fn show(client: &Client, screen: Screen, id: &str, output: Output) -> anyhow::Result<Exit> {
    let whole = client.parked_one(id).await?;
    if output == Output::Json {
        screen.json(&whole)?;
        return Ok(Exit::Done);
    }
    screen.line(text(&whole))?;
    Ok(Exit::Done)
}

fn text(whole: &ParkedWhole) -> String {
    let parked = &whole.parked;
    let mut lines = vec![
        format!("message    {}", plain(&parked.message_id)),
        format!("from       {} on {}", plain(&parked.source), plain(&parked.subject)),
        format!("parked     {} UTC by {}, tries {}", instant(parked.parked_at), parked.service, whole.tries),
        format!("said       {} UTC", instant(whole.first_seen_at)),
        wrapped(&format!("because    {}: {}", parked.reason, plain(&parked.error)), usize::from(WIDTH), 11),
    ];
    lines.extend(whole.replayed_at.map(|at| format!("replayed   {} UTC", instant(at))));
    lines.extend(whole.headers.iter().map(|(name, value)| format!("header     {}: {}", plain(name), plain(value))));
    for past in &whole.past {
        lines.push(fitted(&format!("  {} by {}: {}", past.action, plain(&past.actor), outcome(past))));
    }
    let pretty = serde_json::from_str::<serde_json::Value>(&whole.body)
        .and_then(|event| serde_json::to_string_pretty(&event))
        .unwrap_or_else(|_| plain(&whole.body));
    lines.push(format!("\n{pretty}"));
    lines.join("\n")
}

fn outcome(unparked: &Unparked) -> String {
    let why = unparked.why.as_deref().map(|why| format!(" ({})", plain(why))).unwrap_or_default();
    format!("{}{why}", or_dash(unparked.outcome.as_ref()))
}

async fn unpark(
    client: &Client,
    screen: Screen,
    (action, id): (&str, &str),
    reason: Option<String>,
) -> anyhow::Result<Exit> {
    let unparked = client.unpark(id, action, &Command { actor: who(), reason }).await?;
    let (line, exit) = match unparked.outcome.as_deref() {
        None => (format!("{action} of {id}: asked for; `tidegate parked show {id}` will tell"), Exit::Done),
        Some("parked") => (format!("{id} is parked again: {}", outcome(&unparked)), Exit::Failed),
        Some(_) => (format!("{action} of {id}: {}", outcome(&unparked)), Exit::Done),
    };
    screen.line(fitted(&line))?;
    Ok(exit)
}
