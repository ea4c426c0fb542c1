//! `tidegate promote`.

use proto::http::{DryRun, NewPromotion};

use super::policy_of;
use crate::arguments::{PromoteArguments, Which};
use crate::client::Client;
use crate::exit::Exit;
use crate::follow::appears;
use crate::screen::{Screen, Table};
use crate::watch;
use crate::words::{grouped, plain, word};

pub(crate) async fn run(client: &Client, screen: Screen, arguments: PromoteArguments) -> anyhow::Result<Exit> {
    let PromoteArguments { model, version, policy, reason, when_live, dry_run, wait, timeout } = arguments;
    let new = NewPromotion {
        target_stage: Some("canary".to_owned()),
        policy: policy.as_deref().map(policy_of).transpose()?,
        when_live,
        requested_by: who(),
        reason,
    };
    if dry_run {
        screen.line(dry(&client.dry_run(&model, &version, &new).await?))?;
        return Ok(Exit::Done);
    }
    let id = client.promote(&model, &version, &new).await?;
    if wait {
        screen.line(format!("promoting {model} {version}: rollout {id}"))?;
        let which = Which { which: id.as_str().parse()? };
        return watch::run(client, screen, &which, Some(timeout)).await;
    }
    // Whoever says `wait MODEL` next must find this rollout, not the one before.
    let policy = appears(client, id.as_str()).await?.plan.policy;
    screen
        .line(format!("promoting {model} {version} by policy {policy}: rollout {id}\nnext: `tidegate watch {id}`"))?;
    Ok(Exit::Done)
}

/// Whoever is logged in, as a claim for the records.
pub(super) fn who() -> Option<String> {
    std::env::var("USER").ok().filter(|user| !user.trim().is_empty())
}

/// Every number that would apply, as `tidegate lint --resolved` shows it.
fn dry(dry: &DryRun) -> String {
    let mut table = Table::new(["FIELD", "VALUE", "FROM"]);
    for row in &dry.resolved {
        table.row([row.what.clone(), row.value.clone(), row.from.clone()]);
    }
    let previous = dry.previous.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let mut lines = vec![
        format!("would promote {} {} while {previous} serves; nothing was changed", dry.model, dry.version),
        format!("policy {}", plain(&dry.policy)),
        String::new(),
        table.keep(&[2]).text(),
    ];
    lines.extend(grouped(&dry.plan.notes).iter().map(|note| format!("note: {note}")));
    lines.extend(
        dry.live.as_ref().map(|id| format!("note: rollout {id} is live; this one says `{}`", word(&dry.when_live))),
    );
    lines.join("\n")
}
