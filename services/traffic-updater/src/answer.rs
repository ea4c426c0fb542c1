//! The answer to a wish: what the routers made of it, as a message and as the row of the target.

use std::collections::BTreeMap;

use chassis::Say;
use proto::{Message, SplitAnswer, SplitApply};
use rollout::{At, Route};
use serde_json::json;
use store::{Change, TargetRow};

use crate::target_id;

/// A request as it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The message's id.
    pub(crate) id: String,
    /// What it says.
    pub(crate) asked: SplitApply,
}

/// Answers a request: served by these routers, or the reason why not. The first answer has the ordinal 0; one that comes after it
/// has another.
pub(crate) fn answer(
    request: &Request,
    ordinal: u32,
    (wish, served): (&Route, Result<Vec<String>, String>),
    now: At,
) -> (Change, Say) {
    let Request { id, asked } = request;
    let (routers, reason) = served.map_or_else(|reason| (Vec::new(), Some(reason)), |routers| (routers, None));
    let row = TargetRow {
        target_id: target_id(&asked.tenant, &asked.model),
        desired_generation: asked.generation,
        applied_generation: if reason.is_none() { asked.generation } else { 0 },
        request: Some(id.clone()),
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
    (Change::Target(Box::new(row)), Say { id: format!("tu.{id}.{ordinal}"), message })
}
