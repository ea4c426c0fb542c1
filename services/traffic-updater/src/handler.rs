//! One wish in, one answer out. The wish itself is the `route` row; the message only says that it is there.

use chassis::{Cause, Commit, Consumer, Failure, Handler, Incoming, consumers, failpoint};
use proto::{Message, SplitApply};
use rollout::{At, Route};
use store::{Rows, Store};

use crate::answer::{Request, answer};
use crate::routers::{Applied, Routers};

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
        let Some((incoming, asked)) = split(cause) else { return Ok(Outside::Gone) };
        failpoint::reach("updater_before_read").await?;
        let wish = store.reader().await?.rows().route(&asked.tenant, &asked.model).await?;
        match wish {
            Some(wish) if wish.generation >= asked.generation => {
                failpoint::reach("updater_after_read").await?;
                let applied = self.routers.apply(&wish).await?;
                if matches!(applied, Applied::NotYet(_)) {
                    self.routers.leave_open(&request(incoming, asked));
                }
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
        let served = match applied {
            Applied::By(routers) => Ok(routers.clone()),
            Applied::NotYet(reason) => Err(reason.clone()),
            Applied::Older => Err("a newer route is there".to_owned()),
        };
        let (change, say) = answer(&request(incoming, asked), 0, (wish, served), now);
        Ok(Commit::applied().about(&asked.rollout_id).change(change).say(say.id, say.message))
    }
}

fn split(cause: &Cause) -> Option<(&Incoming, &SplitApply)> {
    let Cause::Message(incoming) = cause else { return None };
    let Message::SplitApply(asked) = &incoming.message else { return None };
    Some((incoming, asked))
}

fn request(incoming: &Incoming, asked: &SplitApply) -> Request {
    Request { id: incoming.id.clone(), asked: asked.clone() }
}
