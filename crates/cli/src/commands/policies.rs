//! `tidegate policies`.

use std::path::Path;

use anyhow::{Context as _, bail};
use proto::http::PolicyView;
use rollout::{Policy, PolicyName};

use crate::arguments::{Output, PoliciesVerb};
use crate::client::{Client, Written};
use crate::exit::Exit;
use crate::screen::{Screen, Table};
use crate::words::or_dash;

const NONE_YET: &str = "no policies; save one with `tidegate policies save FILE`";

pub(crate) async fn run(
    client: &Client,
    screen: Screen,
    output: Output,
    verb: Option<PoliciesVerb>,
) -> anyhow::Result<Exit> {
    match verb {
        Some(PoliciesVerb::Show { name, shown }) => return show(client, screen, &name, shown.output).await,
        Some(PoliciesVerb::Save { file }) => return save(client, screen, &file).await,
        None => {}
    }
    let policies = client.policies().await?;
    match output {
        Output::Json => screen.json(&policies)?,
        Output::Table if policies.is_empty() => screen.line(NONE_YET)?,
        Output::Table => screen.line(table(&policies))?,
    }
    Ok(Exit::Done)
}

fn table(policies: &[PolicyView]) -> String {
    let mut table = Table::new(["POLICY", "ORIGIN", "REVISION"]);
    for policy in policies {
        table.row([
            policy.name.clone(),
            policy.origin.clone(),
            or_dash((policy.revision > 0).then_some(policy.revision)),
        ]);
    }
    table.text()
}

async fn show(client: &Client, screen: Screen, name: &PolicyName, output: Output) -> anyhow::Result<Exit> {
    let view = client.policy(name).await?;
    if output == Output::Json {
        screen.json(&view)?;
        return Ok(Exit::Done);
    }
    let Some(spec) = view.spec else { bail!("the server shows the policy {name} without its content") };
    let policy: Policy = serde_json::from_value(spec).with_context(|| format!("can't read the policy {name}"))?;
    screen.line(format!("{} ({}, revision {})\n", view.name, view.origin, view.revision))?;
    screen.line(crate::lint::resolved_table(&policy)?)?;
    Ok(Exit::Done)
}

async fn save(client: &Client, screen: Screen, file: &Path) -> anyhow::Result<Exit> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {shown}"))?;
    let policy = Policy::from_yaml(&text).with_context(|| format!("the policy {shown} is refused"))?;
    let Some(name) = policy.name().cloned() else {
        bail!("the policy {shown} has no name: add a line such as `name: careful`")
    };
    screen.line(match client.save_policy(&name, text).await? {
        Written::Made(saved) | Written::There(saved) => format!("saved {name}, revision {}", saved.revision),
        Written::OnItsWay => format!("accepted {name}; `tidegate policies` will show it"),
    })?;
    screen.line("running rollouts keep the policy that they started with")?;
    Ok(Exit::Done)
}
