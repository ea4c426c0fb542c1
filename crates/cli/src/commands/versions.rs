//! `tidegate versions`.

use proto::http::{NewVersion, VersionView};
use rollout::Model;
use serde_json::Value;

use crate::arguments::{NewVersionArguments, Output, VersionsVerb};
use crate::client::{Client, Written};
use crate::exit::Exit;
use crate::screen::{Screen, Table};
use crate::words::{instant, number};

pub(crate) async fn run(
    client: &Client,
    screen: Screen,
    (model, output): (Option<Model>, Output),
    verb: Option<VersionsVerb>,
) -> anyhow::Result<Exit> {
    let model = match (verb, model) {
        (Some(VersionsVerb::Add(new)), _) => return add(client, screen, new).await,
        (None, Some(model)) => model,
        (None, None) => anyhow::bail!("name a model: `tidegate versions MODEL`"),
    };
    let versions = client.versions(&model).await?;
    match output {
        Output::Json => screen.json(&versions)?,
        Output::Table if versions.is_empty() => {
            screen.line(format!(
                "{model} has no versions yet; add one with `tidegate versions add {model} VERSION --upstream URL`"
            ))?;
        }
        Output::Table => screen.line(table(&versions))?,
    }
    Ok(Exit::Done)
}

fn table(versions: &[VersionView]) -> String {
    let mut table = Table::new(["VERSION", "STATUS", "TRAFFIC", "UPSTREAM", "CHANGED (UTC)"]);
    for version in versions {
        table.row([
            version.version.to_string(),
            version.status.clone(),
            format!("{} %", number(version.traffic_pct)),
            version.upstream.clone(),
            instant(version.updated_at),
        ]);
    }
    table.keep(&[1, 2]).text()
}

async fn add(client: &Client, screen: Screen, arguments: NewVersionArguments) -> anyhow::Result<Exit> {
    let (model, version) = (arguments.model, arguments.version);
    let new = NewVersion {
        version: version.clone(),
        upstream: arguments.upstream,
        headers: arguments.header.into_iter().collect(),
        artifact_uri: None,
        metadata: Value::Null,
    };
    let line = match client.add_version(&model, &new).await? {
        Written::Made(made) => format!("registered {model} {version}: {}", made.status),
        Written::There(there) => {
            format!("{model} {version} was registered before, with the same content: {}", there.status)
        }
        Written::OnItsWay => format!("accepted {model} {version}; `tidegate versions {model}` will show it"),
    };
    screen.line(line)?;
    screen
        .line(format!("next: `tidegate promote {model} {version}`; the first version of a model needs no promote"))?;
    Ok(Exit::Done)
}
