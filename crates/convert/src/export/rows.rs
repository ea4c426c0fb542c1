//! What a policy says, row by row. What an exporter can say it takes; what is left is named.

use rollout::{Origin, Policy, Row};

use super::Target;
use crate::error::Error;
use crate::note::Note;
use crate::word::excerpt;

/// The rows that a policy has written, and those that hold whatever it writes.
pub(super) struct Rows(Vec<Row>);

/// Holds in every rollout, said or not.
const ALWAYS: [&str; 1] = ["lease"];

/// What the others do anyway, so it need not be told.
const AS_THERE: [(&str, &str); 6] = [
    ("warmup", "0s"),
    ("min_samples", "0"),
    ("method", "threshold"),
    ("action", "rollback"),
    ("bake", "0s"),
    ("baseline", "none"),
];

impl Rows {
    pub(super) fn of(policy: &Policy) -> Result<Self, Error> {
        let mut rows = policy.table().map_err(Error::Policy)?;
        let is_written = |from| matches!(from, Origin::Policy | Origin::Class);
        rows.retain(|row| is_written(row.from) || ALWAYS.contains(&row.what.as_str()));
        rows.retain(|row| !AS_THERE.contains(&(last(&row.what), row.value.as_str())));
        let mut rows = Self(rows);
        ["name", "strategy", "class"].into_iter().for_each(|what| rows.take(what));
        Ok(rows)
    }

    /// The row is said in the manifest.
    pub(super) fn take(&mut self, what: &str) {
        self.0.retain(|row| row.what != what);
    }

    /// The row is said in the manifest, if it says this.
    pub(super) fn take_if(&mut self, what: &str, value: &str) {
        self.0.retain(|row| row.what != what || row.value != value);
    }

    /// Everything under `what` is said, or has been named as a whole.
    pub(super) fn take_all(&mut self, what: &str) {
        self.0.retain(|row| row.what.strip_prefix(what).is_none_or(|rest| !rest.starts_with(['.', '['])));
    }

    /// Names what is left.
    pub(super) fn rest(self, target: Target, notes: &mut Vec<Note>) {
        for Row { what, value, .. } in self.0 {
            let text = format!("({}) {}", excerpt(&value), reason(last(&what), target));
            notes.push(Note { path: what, text });
        }
    }
}

/// The name of a row without where it stands; each step has its inconclusive_budget, and each plan one.
fn last(what: &str) -> &str {
    what.rsplit('.').next().unwrap_or(what)
}

fn reason(name: &str, target: Target) -> &'static str {
    match (name, target) {
        ("name", _) => "has no equal: steps have no names there",
        ("gate", Target::Argo) => "became a pause without a time, which never ends by itself",
        ("gate", Target::Flagger) => "became a webhook that must answer 200, without an end",
        ("interval", Target::Flagger) => "has no equal for one check: all are looked at once an interval",
        ("window", Target::Argo) => "has no equal: the number is that of the moment",
        ("failure_mode" | "failure_limit", _) => "is counted in another way there: all failures, from first to last",
        ("failure_group", _) => "has no equal: each metric counts for itself there",
        ("min_samples", _) => "has no equal: there a few requests are judged like many",
        ("max_blind", Target::Flagger) => "has no equal: no data is a failed check there, at once",
        ("max_blind", Target::Argo) => "has no equal: five errors in a row end an analysis there",
        ("baseline" | "floor" | "tolerance", _) => "has no equal: nothing is compared there",
        ("weight" | "attribution" | "phi" | "alpha" | "beta" | "on_degraded", _) => {
            "is about evidence over the whole rollout, which has no equal"
        }
        ("tick", _) => "has no equal: there one looks once an interval",
        ("warmup", _) => "has no equal: there a step is judged from its start",
        ("prepare_limit", Target::Flagger) => "has no equal of its own: the progress deadline is the judged steps'",
        ("inconclusive_budget" | "min_dwell", Target::Argo) => {
            "has no equal: steps take their time, no more and no less"
        }
        ("on_inconclusive", Target::Flagger) => "has no equal: what is not decided in time goes back there",
        ("on_inconclusive", Target::Argo) => "has no equal: what can't be decided waits for a person there",
        ("bake", _) => "has no equal: the former version is stopped soon after",
        ("lease" | "on_lease_expired", _) => {
            "has no equal: with its control plane dead, the split stays as it is there"
        }
        ("smoke", Target::Flagger) => "has no equal: write a webhook of type pre-rollout",
        ("smoke", Target::Argo) => "has no equal: write an analysis with a job as the first step",
        _ => "has no equal there, so it was left out",
    }
}
