//! `tidegate observe`.

use proto::http::Observation;

use crate::arguments::ObserveArguments;
use crate::client::Client;
use crate::exit::Exit;
use crate::screen::Screen;

pub(crate) async fn run(client: &Client, screen: Screen, arguments: ObserveArguments) -> anyhow::Result<Exit> {
    let ObserveArguments { model, version, metric, value, key } = arguments;
    let told = format!("observed {metric} = {value} for {model} {version}");
    client.observe(&[Observation { model, version, key, metric, value, at: None }]).await?;
    screen.line(told)?;
    Ok(Exit::Done)
}
