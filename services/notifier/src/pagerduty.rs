//! PagerDuty, Events API version 2: alerts and change events.

use chassis::Secret;
use rollout::At;
use serde_json::json;
use store::Delivery;

use crate::outbound::{Target, post};
use crate::sender::{Answer, sorted};
use crate::told::Kind;

/// A service of PagerDuty.
#[derive(Debug, Clone)]
pub(crate) struct PagerDuty {
    alerts: Target,
    changes: Target,
    key: Secret,
}

impl PagerDuty {
    pub(crate) fn new(place: &Target, key: Secret) -> Self {
        Self { alerts: place.at("/v2/enqueue"), changes: place.at("/v2/change/enqueue"), key }
    }

    pub(crate) async fn send(&self, row: &Delivery, now: At) -> Answer {
        let mut body = row.body.clone();
        body["routing_key"] = json!(self.key.expose());
        if row.is_unsure {
            body["payload"]["custom_details"]["repeat"] = json!(true);
        }
        let target = if row.kind == Kind::Change.name() { &self.changes } else { &self.alerts };
        let reply = post(target, &[], body.to_string().into_bytes(), now).await;
        sorted(reply, |text| self.key.hidden_in(text))
    }
}
