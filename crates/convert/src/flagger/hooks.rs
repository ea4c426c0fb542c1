//! Webhooks. Those that ask whether to go on are gates here, which a person opens, or whoever calls the API; the others have no equal.

use crate::draft::Step;
use crate::error::Error;
use crate::fields::Fields;
use crate::note::Note;
use crate::word::excerpt;

const GATE: &str = "is a gate here, which a person opens by `tidegate approve`, and which turns the rollout back after a day: the address \
                    is not asked";

/// Before which steps somebody is asked.
#[derive(Debug, Default)]
pub(super) struct Gates {
    first: bool,
    each: bool,
    last: bool,
}

impl Gates {
    pub(super) fn read(analysis: &mut Fields, notes: &mut Vec<Note>) -> Result<Self, Error> {
        let mut gates = Self::default();
        for mut hook in analysis.maps("webhooks")? {
            let name = hook.text("name")?.unwrap_or_else(|| "without a name".to_owned());
            // What is not said is `rollout` there.
            let kind = hook.text("type")?.unwrap_or_else(|| "rollout".to_owned());
            match kind.as_str() {
                "confirm-rollout" => gates.first = true,
                "confirm-traffic-increase" => gates.each = true,
                "confirm-promotion" => gates.last = true,
                _ => {}
            }
            notes.push(hook.place().note(format!("({}, {}) {}", excerpt(&name), excerpt(&kind), instead(&kind))));
        }
        Ok(gates)
    }

    pub(super) fn into_steps(self, steps: &mut [Step]) {
        let last = steps.len().saturating_sub(1);
        for (at, step) in steps.iter_mut().enumerate() {
            step.gate = self.each || (self.first && at == 0) || (self.last && at == last);
        }
    }
}

/// What becomes of a webhook of this kind.
fn instead(kind: &str) -> &'static str {
    match kind {
        "confirm-rollout" | "confirm-traffic-increase" | "confirm-promotion" => GATE,
        "pre-rollout" => {
            "was left out: no address is asked; `smoke` sends the candidate one request before it gets traffic"
        }
        "rollout" => {
            "was left out: no address is asked; what users send is judged, and `tidegate load` makes traffic where there is none"
        }
        "rollback" => {
            "was left out: no address is asked; `tidegate rollback`, or its call of the API, takes the traffic back at once"
        }
        "post-rollout" | "event" => {
            "was left out: news go to the receivers of the server, such as `TIDEGATE_WEBHOOK_URL`"
        }
        _ => "was left out: no address is asked during a rollout",
    }
}
