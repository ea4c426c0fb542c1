//! Follows rollouts: a version's status and share are what the news say, and older news change nothing.

use chassis::{Commit, Failure, Incoming};
use proto::{Message, RolloutMoved, VersionNews};
use rollout::{At, Stage, Version};
use store::{Change, PromotionRow, Rows};

pub(crate) async fn moved(
    rows: &mut Rows<'_>,
    incoming: &Incoming,
    news: &RolloutMoved,
    now: At,
) -> Result<Commit, Failure> {
    let Some(model) = rows.model(&news.tenant, &news.model).await? else {
        return Ok(Commit::refused("unknown_model").about(&news.rollout_id));
    };
    if news.generation == 0 {
        return Ok(Commit::applied().about(&news.rollout_id));
    }
    if news.generation < model.generation {
        return Ok(Commit::refused("older_generation").about(&news.rollout_id));
    }
    let statuses = statuses(news);
    let mut commit = Commit::applied().about(&news.rollout_id).change(Change::Followed {
        tenant: news.tenant.clone(),
        model: news.model.clone(),
        generation: news.generation,
    });
    for (version, status, traffic_pct) in statuses {
        let Some(there) = rows.version(&news.tenant, &news.model, version).await? else { continue };
        if there.status == status && (there.traffic_pct - traffic_pct).abs() < f64::EPSILON {
            continue;
        }
        commit.changes.push(Change::Status {
            tenant: news.tenant.clone(),
            model: news.model.clone(),
            version: version.clone(),
            status,
            traffic_pct,
            at: now,
        });
        if there.status != status {
            commit.changes.push(Change::Promotion(Box::new(promoted(news, version, &there.status, status, now))));
            commit = told(commit, incoming, news, version, status);
        }
    }
    Ok(commit)
}

/// What the news make of the versions, in an order in which at most one is active at any moment.
fn statuses(news: &RolloutMoved) -> Vec<(&Version, &'static str, f64)> {
    let share = f64::from(news.split_bp) / 100.0;
    let (candidate, previous) = (&news.candidate, news.previous.as_ref());
    match news.to {
        Stage::Completed => previous
            .map(|version| (version, "retired", 0.0))
            .into_iter()
            .chain([(candidate, "active", 100.0)])
            .collect(),
        Stage::RolledBack | Stage::Superseded | Stage::Cancelled => [(candidate, "turned_back", 0.0)]
            .into_iter()
            .chain(previous.map(|version| (version, "active", 100.0)))
            .collect(),
        Stage::Observing | Stage::Baking if news.split_applied => [(candidate, "canary", share)]
            .into_iter()
            .chain(previous.map(|version| (version, "active", 100.0 - share)))
            .collect(),
        _ => Vec::new(),
    }
}

fn promoted(news: &RolloutMoved, version: &Version, from: &str, to: &str, now: At) -> PromotionRow {
    PromotionRow {
        tenant: news.tenant.clone(),
        name: news.model.clone(),
        version: version.clone(),
        from_stage: from.to_owned(),
        to_stage: to.to_owned(),
        actor: news.actor.clone(),
        rollout_id: news.rollout_id.clone(),
        at: now,
    }
}

fn told(commit: Commit, incoming: &Incoming, news: &RolloutMoved, version: &Version, status: &'static str) -> Commit {
    let told = VersionNews {
        tenant: news.tenant.clone(),
        model: news.model.clone(),
        version: version.clone(),
        status: status.to_owned(),
        reason: news.reason.clone(),
    };
    let message = match status {
        "active" => Message::VersionActivated(told),
        "retired" => Message::VersionRetired(told),
        _ => return commit,
    };
    let ordinal = commit.says.len();
    commit.say(format!("rw.{}.{ordinal}", incoming.id), message)
}
