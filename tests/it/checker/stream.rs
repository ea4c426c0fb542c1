//! The stream: what was said was settled once by each who takes it, with its effect, and what moved was said.

use std::collections::{BTreeMap, BTreeSet};

use proto::Event;
use proto::subject::fits;
use rollout::{At, Rollout, RolloutId};
use store::{Reader, Said};

use super::server::Server;

/// Who takes what (RELIABILITY section 2.3, as far as the embedded form has it).
const CONSUMERS: &[(&str, &[&str])] = &[
    ("stage-scheduler", &["tg.cmd.*.*.rollout.*", "tg.cmd.*.*.promotion.requested", "tg.cmd.*.*.evaluation.*"]),
    ("stage-scheduler", &["tg.in.*.*.evaluation.*"]),
    (
        "stage-scheduler",
        &[
            "tg.urgent.*.*.verdict.reached",
            "tg.urgent.*.*.split.applied",
            "tg.urgent.*.*.split.failed",
            "tg.urgent.*.*.workload.failed",
            "tg.urgent.*.*.route.drifted",
            "tg.urgent.*.*.route.expired",
        ],
    ),
    (
        "stage-scheduler",
        &[
            "tg.normal.*.*.verdict.reached",
            "tg.normal.*.*.split.applied",
            "tg.normal.*.*.split.failed",
            "tg.normal.*.*.workload.ready",
        ],
    ),
    ("registry-writer", &["tg.cmd.*.*.model.*", "tg.cmd.*.*.version.*", "tg.cmd.*.*.policy.*"]),
    ("registry-writer", &["tg.in.*.*.version.*"]),
    ("registry-writer", &["tg.news.*.*.rollout.moved"]),
    ("analyzer", &["tg.normal.*.*.analysis.run"]),
    ("analyzer", &["tg.obs.>"]),
    ("traffic-updater", &["tg.normal.*.*.split.apply"]),
    ("traffic-updater", &["tg.urgent.*.*.split.apply"]),
    ("notifier", &["tg.news.*.*.rollout.*", "tg.news.*.*.version.*"]),
    ("deployer", &["tg.normal.*.*.workload.start"]),
];

/// The messages that a tidegate of this size has said.
const STREAM_MAX: i64 = 1_000_000;

/// I1, I3, I4.
pub(super) async fn violations(reader: &mut Reader, rollouts: &[Rollout], server: Option<&Server>) -> Vec<String> {
    let mut stream = reader.rows().said_after(0, "", STREAM_MAX).await.unwrap();
    if let Some(server) = server {
        server.and_what_it_was_told(&mut stream).await;
    }
    let (mut wrong, end) = (Vec::new(), stream.last().map_or(At(0), |said| said.created_at));
    for (service, filters) in CONSUMERS {
        let mine = stream.iter().filter(|said| filters.iter().any(|filter| fits(filter, &said.subject)));
        wrong.extend(unsettled(reader, service, &mine.collect::<Vec<_>>(), end).await);
    }
    let facts = Facts::read(reader, rollouts).await;
    for said in stream.iter().filter(|said| scheduled(said)) {
        wrong.extend(without_effect(reader, said, &facts).await);
    }
    let promotes = ["tg.cmd.*.*.version.promote", "tg.in.*.*.version.promote"];
    for said in stream.iter().filter(|said| promotes.iter().any(|filter| fits(filter, &said.subject))) {
        wrong.extend(without_rollout(reader, said, &facts).await);
    }
    for (source, id) in &facts.both {
        wrong.push(format!("{id} of {source} moved a rollout and was refused by it: it was handled twice"));
    }
    wrong.extend(unsaid(&stream, rollouts, &facts));
    wrong
}

fn scheduled(said: &Said) -> bool {
    let takes = |(service, filters): &&(&str, &[&str])| {
        *service == "stage-scheduler" && filters.iter().any(|filter| fits(filter, &said.subject))
    };
    CONSUMERS.iter().any(|consumer| takes(&consumer))
}

/// Its source, and its id there: what came from outside keeps its own.
fn identity(said: &Said) -> (String, String) {
    let event = fits("tg.in.>", &said.subject).then(|| Event::structured(said.body.as_bytes()).ok()).flatten();
    event.map_or_else(
        || (format!("/tidegate/{}", said.service), said.message_id.clone()),
        |event| (event.source, event.id),
    )
}

/// What was said in the last moment before a stop is left for the next start.
const LAST_MOMENT_MS: i64 = 2_000;

/// A message that is not settled though another one behind it is, or though time has passed: lost. Measurements that a stop cut off
/// have nobody waiting for them.
async fn unsettled(reader: &mut Reader, service: &str, mine: &[&Said], end: At) -> Vec<String> {
    let (mut open, mut wrong, mut has_settled) = (Vec::new(), Vec::new(), false);
    for said in mine {
        let (source, id) = identity(said);
        let outcome = reader.rows().outcome(service, &source, &id).await.unwrap();
        has_settled |= outcome.is_some();
        match outcome {
            Some(_) => wrong.append(&mut open),
            None => open.push(*said),
        }
    }
    let is_late = |said: &&Said| end.ms_since(said.created_at) > LAST_MOMENT_MS && !said.subject.starts_with("tg.obs.");
    wrong.extend(open.into_iter().filter(is_late));
    // Without a receiver in its configuration a process has no notifier.
    if service == "notifier" && !has_settled {
        return Vec::new();
    }
    wrong.iter().map(|said| format!("{} at {} was never settled by {service}", said.message_id, said.subject)).collect()
}

/// What rollouts know of facts.
#[derive(Default)]
struct Facts {
    moved: BTreeSet<(String, String)>,
    refused: BTreeSet<(String, String)>,
    /// Those that moved a rollout and were refused by the same one.
    both: Vec<(String, String)>,
    versions: BTreeMap<String, i64>,
}

impl Facts {
    async fn read(reader: &mut Reader, rollouts: &[Rollout]) -> Self {
        let mut facts = Self::default();
        for row in rollouts {
            let log = reader.rows().history(&row.id, 0, 100_000).await.unwrap();
            let moved: BTreeSet<_> = log.into_iter().map(|entry| (entry.fact_source, entry.fact_id)).collect();
            let refusals = reader.rows().refusals(&row.id).await.unwrap();
            let refused: BTreeSet<_> = refusals.into_iter().map(|row| (row.fact_source, row.fact_id)).collect();
            facts.both.extend(moved.intersection(&refused).cloned());
            facts.moved.extend(moved);
            facts.refused.extend(refused);
            facts.versions.insert(row.id.to_string(), row.version);
        }
        facts
    }
}

/// What stage-scheduler says that it applied is in a log, and what it refused is among the refusals.
async fn without_effect(reader: &mut Reader, said: &Said, facts: &Facts) -> Option<String> {
    let key = identity(said);
    let (outcome, reason) = reader.rows().outcome("stage-scheduler", &key.0, &key.1).await.unwrap()?;
    let is_there = match outcome.as_str() {
        "applied" => facts.moved.contains(&key),
        "refused" => {
            let nobody_to_ask = matches!(reason.as_deref(), Some("duplicate" | "unknown_rollout"));
            nobody_to_ask || facts.refused.contains(&key)
        }
        _ => true,
    };
    (!is_there).then(|| format!("{} is marked as {outcome} without its effect: it is lost", said.message_id))
}

/// Each promote that registry-writer applied ends as a rollout, refused ones too.
async fn without_rollout(reader: &mut Reader, said: &Said, facts: &Facts) -> Option<String> {
    let (source, id) = identity(said);
    let (outcome, _) = reader.rows().outcome("registry-writer", &source, &id).await.unwrap()?;
    let id = RolloutId::of(&source, &id);
    let is_lost = outcome == "applied" && !facts.versions.contains_key(id.as_str());
    is_lost.then(|| format!("{} is marked as applied without its effect: it is lost", said.message_id))
}

/// Every move of a rollout said at least its news, as long as the stream still holds the first of them.
fn unsaid(stream: &[Said], rollouts: &[Rollout], facts: &Facts) -> Vec<String> {
    let said: BTreeSet<&str> = stream
        .iter()
        .filter(|said| said.service == "stage-scheduler")
        .filter_map(|said| said.message_id.rsplit_once('.').map(|(move_of, _)| move_of))
        .collect();
    let kept = rollouts.iter().filter(|row| said.contains(format!("{}.1", row.id).as_str()));
    kept.flat_map(|row| (1..=facts.versions[row.id.as_str()]).map(move |version| format!("{}.{version}", row.id)))
        .filter(|move_of| !said.contains(move_of.as_str()))
        .map(|move_of| format!("the move {move_of} said nothing"))
        .collect()
}
