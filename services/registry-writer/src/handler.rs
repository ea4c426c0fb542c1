//! One request or piece of news in, one commit out.

use chassis::{Cause, Commit, Consumer, Failure, Handler, Incoming, Prometheus, consumers, promotable};
use proto::{Message, PromotionRequested, VersionPromote};
use rollout::{At, Match, Plan, RolloutId, WhenLive, Workload};
use store::{Rows, Store};

use crate::{follow, register};

/// The handler.
pub(crate) struct RegistryWriter {
    /// The Prometheus that policies may ask.
    pub(crate) prometheus: Option<Prometheus>,
}

impl Handler for RegistryWriter {
    const NAME: &'static str = "registry-writer";
    const CONSUMERS: &'static [Consumer] = consumers::REGISTRY_WRITER;
    type Seen = ();

    async fn act(&self, _: &Store, _: &Cause, _: At) -> Result<(), Failure> {
        Ok(())
    }

    async fn handle(&self, mut rows: Rows<'_>, cause: &Cause, (): &(), now: At) -> Result<Commit, Failure> {
        let Cause::Message(incoming) = cause else { return Ok(Commit::applied()) };
        match &incoming.message {
            Message::ModelRegister(asked) => register::model(&mut rows, asked, now).await,
            Message::VersionRegister(asked) => register::version(&mut rows, incoming, asked, now).await,
            Message::PolicySave(asked) => register::policy(&mut rows, asked, now).await,
            Message::VersionPromote(asked) => promote(&mut rows, incoming, asked, self.prometheus.as_ref()).await,
            Message::RolloutMoved(news) => follow::moved(&mut rows, incoming, news, now).await,
            _ => Err(Failure::never("unknown_type", "registry-writer does not take this message")),
        }
    }
}

/// What the registry refuses is passed on with its refusal: each promote ends as a rollout that people can look up.
async fn promote(
    rows: &mut Rows<'_>,
    incoming: &Incoming,
    asked: &VersionPromote,
    prometheus: Option<&Prometheus>,
) -> Result<Commit, Failure> {
    let refusal = match promotable(rows, asked, prometheus).await? {
        Ok(promotable) => {
            let requested = PromotionRequested {
                workload: promotable.workload,
                plan: promotable.plan,
                when_live: promotable.when_live,
                ..refused(incoming, asked, None)
            };
            return Ok(request(incoming, requested));
        }
        Err(refused) => format!("{}: {refused}", refused.reason()),
    };
    Ok(request(incoming, refused(incoming, asked, Some(refusal))))
}

fn refused(incoming: &Incoming, asked: &VersionPromote, refusal: Option<String>) -> PromotionRequested {
    let (tenant, model) = (asked.tenant.clone(), asked.model.clone());
    let matches = Match::default_for(&tenant, &model);
    PromotionRequested {
        rollout_id: RolloutId::of(&incoming.source, &incoming.id),
        candidate: asked.version.clone(),
        workload: Workload {
            upstream: String::new(),
            headers: std::collections::BTreeMap::new(),
            health: rollout::Health::default(),
            matches,
        },
        plan: Plan::activate(),
        when_live: WhenLive::Reject,
        requested_by: asked.requested_by.clone().unwrap_or_else(|| incoming.source.clone()),
        reason: asked.reason.clone(),
        refusal,
        tenant,
        model,
    }
}

/// Asks for the rollout; the id of the request is made from the promote's, so that saying it twice says it once.
pub(crate) fn request(incoming: &Incoming, requested: PromotionRequested) -> Commit {
    let id = format!("rw.{}.0", requested.rollout_id);
    let rollout_id = requested.rollout_id.clone();
    tracing::info!(rollout.id = %rollout_id, fact.id = incoming.id, "asked for rollout {rollout_id} of {} {}", requested.model, requested.candidate);
    Commit::applied().about(&rollout_id).say(id, Message::PromotionRequested(requested))
}
