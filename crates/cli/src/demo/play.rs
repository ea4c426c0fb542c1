//! One story from the first version to the end of the second one's rollout, over the public HTTP API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use modelsim::{Config, Dials, Running, Simulator};
use proto::http::{HistoryEntry, NewModel, NewPromotion, NewVersion, RolloutView, VersionView};
use rollout::{Model, Stage, Version};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::Scene;
use super::samples::{self, Sample, Sampler};
use super::story::{CANDIDATE, POLICY, RATE_PER_SECOND, SESSIONS, STABLE, Story};
use crate::client::Error;
use crate::follow::{Follower, Look};
use crate::load::{Load, LoadPlan, Report, UNANSWERED};
use crate::progress::News;
use crate::words::{percent, share};

/// Before the promote, so that the stable version is seen alone.
const LEAD: Duration = Duration::from_secs(1);
/// After the end, so that whatever comes late is seen.
const TAIL: Duration = Duration::from_secs(3);
const ACTIVE_WITHIN: Duration = Duration::from_secs(15);
const PASSES_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Far above what the preset takes; a demo that hangs must end too.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// A story that was played, and everything that was seen.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) story: Story,
    pub(super) model: Model,
    /// The rollout when it was final.
    pub(super) rollout: RolloutView,
    pub(super) history: Vec<HistoryEntry>,
    /// The candidate's shares that the router confirmed, in the order of time.
    pub(super) confirmed: Vec<u32>,
    pub(super) versions: Vec<VersionView>,
    pub(super) report: Report,
    pub(super) samples: Vec<Sample>,
    /// Kept so that they go on answering.
    pub(super) servers: [Running; 2],
}

impl Played {
    /// Requests that got no word of anybody; of a silent version they are what is to be expected.
    pub(super) fn unanswered(&self) -> u64 {
        self.report.failures.get(UNANSWERED).copied().unwrap_or(0)
    }

    /// Failures that no version is to blame for.
    pub(super) fn failed_by_us(&self) -> u64 {
        let by_silence = if self.story.is_silent() { self.unanswered() } else { 0 };
        self.report.failed_by_us.saturating_sub(by_silence)
    }

    /// A silent version is to be gone this long after its evidence began: a request hangs, a tick sees it, another may have been
    /// too early by a moment.
    pub(super) fn silence_limit_ms(&self) -> Option<i64> {
        let checks = self.rollout.plan.checks.as_ref()?;
        let hang_after = i64::try_from(checks.largest_latency_limit_ms()?).ok()?;
        Some(hang_after + 2 * checks.tick.ms())
    }
}

pub(super) async fn play(scene: &Scene, story: Story) -> anyhow::Result<Played> {
    let model = Model::new(story.model)?;
    let servers = set_up(scene, &story, &model).await.with_context(|| format!("can't set up {model}"))?;
    let load = Arc::new(Load::start(plan(scene, &story)?));
    let sampler = Sampler::start(load.clone());
    sleep(LEAD).await;
    let (rollout, confirmed) = timeout(ENDS_WITHIN, promote(scene, &story, &model, &load))
        .await
        .with_context(|| format!("the rollout of {model} did not end within {} s", ENDS_WITHIN.as_secs()))??;
    sleep(TAIL).await;
    let samples = sampler.stop().await?;
    let load = Arc::into_inner(load).context("the load is still looked at")?;
    let report = load.stop().await;
    let versions = scene.client.versions(&model).await?;
    let history = scene.client.history(&rollout.id).await?;
    // What was counted in the last moments is known by now.
    let rollout = scene.client.rollout(rollout.id.as_str()).await?;
    Ok(Played { story, model, rollout, history, confirmed, versions, report, samples, servers })
}

/// What is asked of a story's model through the router.
pub(super) fn plan(scene: &Scene, story: &Story) -> anyhow::Result<LoadPlan> {
    let url = format!("http://{}/{}{}", scene.router, story.model, story.path);
    Ok(LoadPlan { rate_per_second: RATE_PER_SECOND, sessions: SESSIONS, ..LoadPlan::new(url.parse()?) })
}

/// Starts both servers, registers the model with its first version, and the second one once the first is active.
async fn set_up(scene: &Scene, story: &Story, model: &Model) -> anyhow::Result<[Running; 2]> {
    let stable = server(story, STABLE, Story::stable()).await?;
    let candidate = server(story, CANDIDATE, story.candidate.clone()).await?;
    let new = NewModel {
        name: model.clone(),
        model_type: "SENTIMENT".to_owned(),
        kind: None,
        tenant: None,
        matches: None,
        policy: None,
        health: None,
    };
    patiently(async || scene.client.add_model(&new).await).await?;
    let new = version(STABLE, &stable)?;
    patiently(async || scene.client.add_version(model, &new).await).await?;
    scene.transcript.told(story, &format!("registered {model} with {STABLE}; it becomes active when it is healthy"))?;
    let began = Instant::now();
    while scene.client.model(model).await?.active.is_none_or(|active| active.as_str() != STABLE) {
        if began.elapsed() > ACTIVE_WITHIN {
            bail!("{STABLE} did not become active within {} s", ACTIVE_WITHIN.as_secs());
        }
        sleep(LOOK_AGAIN).await;
    }
    scene.transcript.told(
        story,
        &format!("{STABLE} is active; {SESSIONS} sessions begin to ask, {RATE_PER_SECOND} requests a second"),
    )?;
    let new = version(CANDIDATE, &candidate)?;
    patiently(async || scene.client.add_version(model, &new).await).await?;
    Ok([stable, candidate])
}

/// On a busy machine the disk may keep the database waiting; the API then says that nothing was changed.
async fn patiently<T>(call: impl AsyncFn() -> Result<T, Error>) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        match call().await {
            Err(error) if error.is_passing() && began.elapsed() < PASSES_WITHIN => sleep(LOOK_AGAIN).await,
            ended => return Ok(ended?),
        }
    }
}

async fn server(story: &Story, version: &str, dials: Dials) -> anyhow::Result<Running> {
    Ok(Simulator::start(Config { dials, ..Config::new(story.model, version) }).await?)
}

fn version(name: &str, server: &Running) -> anyhow::Result<NewVersion> {
    Ok(NewVersion {
        version: Version::new(name)?,
        upstream: server.url(),
        headers: std::collections::BTreeMap::new(),
        artifact_uri: None,
        metadata: Value::Null,
    })
}

/// Promotes the candidate and follows it to its end, telling every change.
async fn promote(scene: &Scene, story: &Story, model: &Model, load: &Load) -> anyhow::Result<(RolloutView, Vec<u32>)> {
    let new = NewPromotion {
        policy: Some(Value::from(POLICY)),
        requested_by: Some("demo".to_owned()),
        reason: Some(story.about.to_owned()),
        ..NewPromotion::default()
    };
    let candidate = Version::new(CANDIDATE)?;
    let id = patiently(async || scene.client.promote(model, &candidate, &new).await).await?;
    scene.transcript.told(story, &format!("promoting {CANDIDATE} by the policy `{POLICY}`: {}", story.about))?;
    let (mut follower, mut view) = Follower::find(&scene.client, id.as_str(), LOOK_AGAIN).await?;
    let (mut news, mut confirmed, mut felt) = (None, Vec::new(), Felt::default());
    loop {
        let current = News::of(&view);
        if news.as_ref() != Some(&current) && !is_between(&view) {
            let felt = felt.told(&view, samples::sample(load)).filter(|_| story.is_quick());
            scene.transcript.moved(story, &view, felt)?;
            scene.transcript.issues(current.issues_since(news.as_ref()))?;
            news = Some(current);
        }
        if confirmed.last() != Some(&view.split.applied) {
            confirmed.push(view.split.applied);
        }
        if view.stage.is_final() {
            return Ok((view, confirmed));
        }
        match follower.next().await? {
            Look::Seen(next) => view = *next,
            Look::Gone(why) => scene.transcript.told(story, &format!("{why}; asking again"))?,
        }
    }
}

/// The moment between the confirmation of a split and the move that follows from it says nothing new.
fn is_between(view: &RolloutView) -> bool {
    matches!(view.stage, Stage::Shifting | Stage::Retreating) && view.split.applied == view.split.desired
}

/// What the sessions got since the last change of the split was told.
#[derive(Debug, Default)]
struct Felt {
    applied: u32,
    since: Sample,
}

impl Felt {
    fn told(&mut self, view: &RolloutView, now: Sample) -> Option<String> {
        let (before, applied) = (self.since, self.applied);
        if view.split.applied != applied {
            *self = Self { applied: view.split.applied, since: now };
        }
        let answered = now.answered.saturating_sub(before.answered);
        (applied > 0 && answered > 0)
            .then(|| format!("{} at {}", percent(now.candidate - before.candidate, answered), share(applied)))
    }
}
