//! Follows rollouts: a version's status and share are what the news say, and older news change nothing.

use chassis::{Commit, Failure, Incoming};
use proto::{Message, RolloutMoved, VersionNews};
use rollout::{At, Stage, Version};
use store::{Change, PromotionRow, Rows};

/// Entries of a model's history among which the last one of a version on trial is found.
const HISTORY: i64 = 100;

pub(crate) async fn moved(
    rows: &mut Rows<'_>,
    incoming: &Incoming,
    news: &RolloutMoved,
    now: At,
) -> Result<Commit, Failure> {
    // Two replicas may hear of two moves of one model at once.
    let Some(model) = rows.model_held(&news.tenant, &news.model).await? else {
        return Ok(Commit::refused("unknown_model").about(&news.rollout_id));
    };
    if news.generation == 0 {
        return Ok(Commit::applied().about(&news.rollout_id));
    }
    let mut commit = Commit::applied().about(&news.rollout_id);
    let candidate = rows.version(&news.tenant, &news.model, &news.candidate).await?;
    let status = candidate.map_or_else(String::new, |candidate| candidate.status);
    let statuses = if news.generation < model.generation || is_behind_its_end(news, &status) {
        let late = late(rows, news, &status).await?;
        if late.is_empty() {
            return Ok(Commit::refused("older_generation").about(&news.rollout_id));
        }
        late
    } else {
        commit = commit.change(Change::Followed {
            tenant: news.tenant.clone(),
            model: news.model.clone(),
            generation: news.generation,
        });
        with_one_active(rows, news, statuses(news)).await?
    };
    for (version, status, traffic_pct) in statuses {
        let Some(there) = rows.version(&news.tenant, &news.model, &version).await? else { continue };
        if there.status == status && (there.traffic_pct - traffic_pct).abs() < f64::EPSILON {
            continue;
        }
        commit.changes.push(Change::Status {
            tenant: news.tenant.clone(),
            model: news.model.clone(),
            version: version.clone(),
            from: there.status.clone(),
            status,
            traffic_pct,
            at: now,
        });
        if there.status != status {
            commit.changes.push(Change::Promotion(Box::new(promoted(news, &version, &there.status, status, now))));
            commit = told(commit, incoming, news, &version, status);
        }
    }
    Ok(commit)
}

/// The end of a rollout has the generation of its last split, so news of that split may come behind it. A version that is active is on
/// no trial: it could not have been promoted.
fn is_behind_its_end(news: &RolloutMoved, status: &str) -> bool {
    matches!(news.to, Stage::Observing | Stage::Baking) && status == "active"
}

/// What news make of a version: its status, and its share in percent.
type Status = (Version, &'static str, f64);

/// What the end of a rollout still says when a newer one has been heard of: its candidate is on trial no more, unless that is the
/// newer one's.
async fn late(rows: &mut Rows<'_>, news: &RolloutMoved, status: &str) -> Result<Vec<Status>, Failure> {
    if !matches!(news.to, Stage::RolledBack | Stage::Superseded | Stage::Cancelled) || status != "canary" {
        return Ok(Vec::new());
    }
    let history = rows.promotions(&news.tenant, &news.model, i64::MAX, HISTORY).await?;
    let last = history.into_iter().find(|(_, entry)| entry.version == news.candidate);
    let is_ours = last.is_some_and(|(_, entry)| entry.rollout_id == news.rollout_id);
    Ok(if is_ours { vec![(news.candidate.clone(), "turned_back", 0.0)] } else { Vec::new() })
}

/// A version that becomes active takes the place of any other: the news of the end between the two may come behind these.
async fn with_one_active(
    rows: &mut Rows<'_>,
    news: &RolloutMoved,
    statuses: Vec<Status>,
) -> Result<Vec<Status>, Failure> {
    if statuses.iter().all(|(_, status, _)| *status != "active") {
        return Ok(statuses);
    }
    let others = rows.serving_versions(&news.tenant, &news.model).await?.into_iter();
    let others = others.filter(|row| row.status == "active" && statuses.iter().all(|(told, ..)| *told != row.version));
    Ok(others.map(|row| (row.version, "retired", 0.0)).chain(statuses.iter().cloned()).collect())
}

/// What the news make of the versions, in an order in which at most one is active at any moment.
fn statuses(news: &RolloutMoved) -> Vec<Status> {
    let share = f64::from(news.split_bp) / 100.0;
    let (candidate, previous) = (news.candidate.clone(), news.previous.clone());
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
