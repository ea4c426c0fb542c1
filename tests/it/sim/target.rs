//! The outside of the simulation: a target with the fences that every target has, and servers of candidates, with the services that
//! talk to them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use chassis::{Cause, Commit, Consumer, Failure, Handler, consumers, failpoint};
use proto::{Message, SplitAnswer, SplitApply, WorkloadAnswer, WorkloadStart};
use rollout::{At, Direction, RolloutId, Route};
use store::{Rows, Store};

/// What routers and servers are at this moment.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    pub(crate) route: Option<Route>,
    /// Nothing can be written to the target.
    pub(crate) is_down: bool,
    /// Candidates answer no probe.
    pub(crate) is_sick: bool,
    turned_back: BTreeSet<RolloutId>,
    /// Everything that a target must never do.
    pub(crate) wrong: Vec<String>,
}

pub(crate) type Shared = Arc<Mutex<Outside>>;

impl Outside {
    /// Takes a wish, unless a newer one is there.
    fn apply(&mut self, wish: &Route) -> Result<(), &'static str> {
        if self.is_down {
            return Err("it is down");
        }
        let had = self.route.as_ref().map_or(0, |route| route.generation);
        if wish.generation < had {
            return Err("older");
        }
        if wish.generation == had && self.route.as_ref() != Some(wish) {
            self.wrong.push(format!("generation {had} came twice with other content"));
        }
        match &wish.rollout_id {
            Some(rollout) if wish.direction == Direction::Back => _ = self.turned_back.insert(rollout.clone()),
            Some(rollout) if self.turned_back.contains(rollout) => {
                let generation = wish.generation;
                self.wrong.push(format!("{rollout} goes forward after its retreat, with generation {generation}"));
            }
            _ => {}
        }
        self.route = Some(wish.clone());
        Ok(())
    }
}

impl Outside {
    /// Takes what is wished for, as the updater's own pass does.
    pub(crate) fn compare(&mut self, wish: &Route) {
        // What is refused is older, or comes again.
        let _ = self.apply(wish);
    }
}

/// Applies wishes to the target.
pub(crate) struct Updater(pub(crate) Shared);

/// What the target made of a wish.
pub(crate) enum Made {
    Served(i64),
    Failed(i64, &'static str),
    Gone,
}

impl Handler for Updater {
    const NAME: &'static str = "traffic-updater";
    const CONSUMERS: &'static [Consumer] = consumers::TRAFFIC_UPDATER;
    type Seen = Made;

    async fn act(&self, store: &Store, cause: &Cause, _: At) -> Result<Made, Failure> {
        let Some((_, asked)) = split(cause) else { return Ok(Made::Gone) };
        let wish = store.reader().await?.rows().route(&asked.tenant, &asked.model).await?;
        let Some(wish) = wish.filter(|wish| wish.generation >= asked.generation) else { return Ok(Made::Gone) };
        failpoint::reach("updater_after_read").await?;
        let applied = self.0.lock().unwrap().apply(&wish);
        failpoint::reach("updater_after_write").await?;
        Ok(match applied {
            Ok(()) => Made::Served(wish.generation),
            Err(why) => Made::Failed(wish.generation, why),
        })
    }

    async fn handle(&self, _: Rows<'_>, cause: &Cause, made: &Made, _: At) -> Result<Commit, Failure> {
        let Some((id, asked)) = split(cause) else { return Ok(Commit::applied()) };
        let (generation, reason) = match made {
            Made::Gone => return Ok(Commit::refused("unknown_wish").about(&asked.rollout_id)),
            Made::Served(generation) => (*generation, None),
            Made::Failed(generation, why) => (*generation, Some((*why).to_owned())),
        };
        if generation != asked.generation {
            return Ok(Commit::refused("older_generation").about(&asked.rollout_id));
        }
        let answer = SplitAnswer {
            tenant: asked.tenant.clone(),
            model: asked.model.clone(),
            rollout_id: asked.rollout_id.clone(),
            generation,
            direction: asked.direction,
            routers: vec!["one".to_owned()],
            reason: reason.clone(),
        };
        let message = if reason.is_none() { Message::SplitApplied(answer) } else { Message::SplitFailed(answer) };
        Ok(Commit::applied().about(&asked.rollout_id).say(format!("tu.{id}.0"), message))
    }
}

fn split(cause: &Cause) -> Option<(&str, &SplitApply)> {
    let Cause::Message(incoming) = cause else { return None };
    let Message::SplitApply(asked) = &incoming.message else { return None };
    Some((&incoming.id, asked))
}

/// Probes candidates.
pub(crate) struct Deployer(pub(crate) Shared);

impl Handler for Deployer {
    const NAME: &'static str = "deployer";
    const CONSUMERS: &'static [Consumer] = consumers::DEPLOYER;
    type Seen = bool;

    async fn act(&self, _: &Store, _: &Cause, _: At) -> Result<bool, Failure> {
        Ok(!self.0.lock().unwrap().is_sick)
    }

    async fn handle(&self, _: Rows<'_>, cause: &Cause, is_ready: &bool, _: At) -> Result<Commit, Failure> {
        let Cause::Message(incoming) = cause else { return Ok(Commit::applied()) };
        let Message::WorkloadStart(asked) = &incoming.message else { return Ok(Commit::applied()) };
        let WorkloadStart { tenant, model, rollout_id, attempt, .. } = asked.clone();
        let reason = (!is_ready).then(|| "no answer".to_owned());
        let answer = WorkloadAnswer { tenant, model, rollout_id: rollout_id.clone(), attempt, reason, passing: true };
        let message = if *is_ready { Message::WorkloadReady(answer) } else { Message::WorkloadFailed(answer) };
        Ok(Commit::applied().about(&rollout_id).say(format!("de.{}.0", incoming.id), message))
    }
}
