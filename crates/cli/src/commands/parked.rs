//! `tidegate parked`.

use crate::arguments::Output;
use crate::client::Client;
use crate::exit::Exit;
use crate::screen::{Screen, Table};
use crate::words::{instant, plain};

pub(crate) async fn run(client: &Client, screen: Screen, output: Output) -> anyhow::Result<Exit> {
    let parked = client.parked().await?;
    if output == Output::Json {
        screen.json(&parked)?;
        return Ok(Exit::Done);
    }
    if parked.is_empty() {
        screen.line("nothing is parked: every message was handled")?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["PARKED (UTC)", "SERVICE", "SUBJECT", "REASON", "ERROR"]);
    for message in parked {
        table.row([
            instant(message.parked_at),
            message.service,
            message.subject,
            message.reason,
            plain(&message.error),
        ]);
    }
    screen.line(table.text())?;
    Ok(Exit::Done)
}
