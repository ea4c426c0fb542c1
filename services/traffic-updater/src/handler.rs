//! One wish in, one answer out. The wish itself is the `route` row; the message only says that it is there.

use std::collections::BTreeMap;

use chassis::{Cause, Commit, Consumer, Failure, Handler, Incoming, consumers, failpoint};
use proto::{Message, SplitAnswer, SplitApply};
use rollout::{At, Route};
use serde_json::json;
use store::{Change, Rows, Store, TargetRow};

use crate::routers::{Applied, Routers};
use crate::target_id;

/// The handler.
pub(crate) struct TrafficUpdater {
    routers: Routers,
}

impl TrafficUpdater {
    pub(crate) const fn new(routers: Routers) -> Self {
        Self { routers }
    }
}

/// What became of the wish outside.
pub(crate) enum Outside {
    /// The route that was read and what the routers made of it.
    Tried(Box<Route>, Applied),
    /// There is no such wish any more.
    Gone,
}

impl Handler for TrafficUpdater {
    const NAME: &'static str = "traffic-updater";
    const CONSUMERS: &'static [Consumer] = consumers::TRAFFIC_UPDATER;
    // A split waits for its routers; another model's must not wait with it.
    const PARALLEL: usize = 64;
    type Seen = Outside;

    async fn act(&self, store: &Store, cause: &Cause, _: At) -> Result<Outside, Failure> {
        let Some((_, asked)) = split(cause) else { return Ok(Outside::Gone) };
        failpoint::reach("updater_before_read").await?;
        let wish = store.reader().await?.rows().route(&asked.tenant, &asked.model).await?;
        match wish {
            Some(wish) if wish.generation >= asked.generation => {
                failpoint::reach("updater_after_read").await?;
                let applied = self.routers.apply(&wish).await?;
                failpoint::reach("updater_before_answer").await?;
                Ok(Outside::Tried(Box::new(wish), applied))
            }
            _ => Ok(Outside::Gone),
        }
    }

    async fn handle(&self, _: Rows<'_>, cause: &Cause, outside: &Outside, now: At) -> Result<Commit, Failure> {
        let Some((incoming, asked)) = split(cause) else { return Ok(Commit::applied()) };
        let Outside::Tried(wish, applied) = outside else {
            return Ok(Commit::refused("unknown_wish").about(&asked.rollout_id));
        };
        // The routers serve a newer wish by now; whoever asked for it is answered, this one is not.
        if wish.generation != asked.generation || *applied == Applied::Older {
            return Ok(Commit::refused("older_generation").about(&asked.rollout_id));
        }
        Ok(answered(incoming, asked, (wish, applied), now))
    }
}

fn split(cause: &Cause) -> Option<(&Incoming, &SplitApply)> {
    let Cause::Message(incoming) = cause else { return None };
    let Message::SplitApply(asked) = &incoming.message else { return None };
    Some((incoming, asked))
}

fn answered(incoming: &Incoming, asked: &SplitApply, (wish, applied): (&Route, &Applied), now: At) -> Commit {
    let (routers, reason) = match applied {
        Applied::By(routers) => (routers.clone(), None),
        Applied::NotYet(reason) => (Vec::new(), Some(reason.clone())),
        Applied::Older => (Vec::new(), Some("a newer route is there".to_owned())),
    };
    let row = TargetRow {
        target_id: target_id(&asked.tenant, &asked.model),
        desired_generation: asked.generation,
        applied_generation: if reason.is_none() { asked.generation } else { 0 },
        request: Some(incoming.id.clone()),
        observed: reason.is_none().then(|| {
            let arms: BTreeMap<_, _> =
                wish.arms.iter().map(|arm| (arm.version.to_string(), arm.basis_points.basis_points())).collect();
            json!({ "routers": routers, "arms": arms })
        }),
        error: reason.clone(),
        observed_at: now,
        drift_at: None,
    };
    let answer = SplitAnswer {
        tenant: asked.tenant.clone(),
        model: asked.model.clone(),
        rollout_id: asked.rollout_id.clone(),
        generation: asked.generation,
        direction: asked.direction,
        routers,
        reason: reason.clone(),
    };
    let message = if reason.is_none() { Message::SplitApplied(answer) } else { Message::SplitFailed(answer) };
    Commit::applied()
        .about(&asked.rollout_id)
        .change(Change::Target(Box::new(row)))
        .say(format!("tu.{}.0", incoming.id), message)
}
