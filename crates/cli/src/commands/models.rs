//! `tidegate models`.

use proto::http::{ModelView, NewModel};
use rollout::{Match, Tenant};

use super::policy_of;
use crate::arguments::{ModelsVerb, NewModelArguments, Output};
use crate::client::{Client, Written};
use crate::exit::Exit;
use crate::screen::{Screen, Table};
use crate::words::or_dash;

const NONE_YET: &str = "no models yet; register one with `tidegate models add NAME --type TYPE`";

pub(crate) async fn run(
    client: &Client,
    screen: Screen,
    output: Output,
    verb: Option<ModelsVerb>,
) -> anyhow::Result<Exit> {
    if let Some(ModelsVerb::Add(new)) = verb {
        return add(client, screen, new).await;
    }
    let models = client.models().await?;
    match output {
        Output::Json => screen.json(&models)?,
        Output::Table if models.is_empty() => screen.line(NONE_YET)?,
        Output::Table => screen.line(table(&models))?,
    }
    Ok(Exit::Done)
}

fn table(models: &[ModelView]) -> String {
    let mut table = Table::new(["MODEL", "TYPE", "KIND", "MATCH", "ACTIVE", "LIVE ROLLOUT"]);
    for model in models {
        table.row([
            model.name.to_string(),
            model.model_type.clone(),
            model.kind.clone(),
            model.matches.key(),
            or_dash(model.active.as_ref()),
            or_dash(model.rollout.as_ref()),
        ]);
    }
    table.keep(&[5]).text()
}

async fn add(client: &Client, screen: Screen, arguments: NewModelArguments) -> anyhow::Result<Exit> {
    let name = arguments.name.clone();
    let line = match client.add_model(&new_model(arguments)?).await? {
        Written::Made(model) => format!("registered {name}; the router takes its requests at {}", model.matches.key()),
        Written::There(_) => format!("{name} was registered before, with the same content"),
        Written::OnItsWay => format!("accepted {name}; `tidegate models` will show it"),
    };
    screen.line(line)?;
    screen.line(format!("next: `tidegate versions add {name} VERSION --upstream URL`"))?;
    Ok(Exit::Done)
}

fn new_model(arguments: NewModelArguments) -> anyhow::Result<NewModel> {
    let unmatched = Match { path_prefix: None, ..Match::default_for(&Tenant::default(), &arguments.name) };
    let matches = match (arguments.match_path, arguments.host) {
        (Some(path), _) => Some(Match { path_prefix: Some(path), ..unmatched }),
        (None, Some(host)) => Some(Match { host: Some(host), ..unmatched }),
        (None, None) => None,
    };
    if let Some(matches) = &matches {
        matches.check().map_err(anyhow::Error::msg)?;
    }
    Ok(NewModel {
        name: arguments.name,
        model_type: arguments.model_type,
        kind: arguments.kind,
        tenant: None,
        matches,
        policy: arguments.policy.as_deref().map(policy_of).transpose()?,
        health: arguments.health,
    })
}
