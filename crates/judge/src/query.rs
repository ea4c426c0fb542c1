//! Query templates: where a check's numbers come from when the router does not count them.
//!
//! Which fields are written says what the numbers are: `bad` (or `good`) and `total` are a share, `buckets` a quantile, `sum` and
//! `count` a mean, `events` a rate, `value` one number. All but `value` name raw counters, because increases are computed from samples (JUDGE 3.2);
//! `value` may be any expression. A template is PromQL with placeholders inside quoted label values; [`template`] holds it against
//! injection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::{Metric, SignalName};

mod scan;
pub mod template;

pub use template::{Template, Values, Variable};

/// The templates of a check, as written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The counter of bad events; `total` counts all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<String>,
    /// The counter of good events; `total` counts all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<String>,
    /// The counter of all events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// The counters of a histogram, with the label `le`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<String>,
    /// The counter that adds values up; `count` counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
    /// The counter of values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
    /// A counter of events that are no share of anything, there from 0 on: how many come in a second of a scraped target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
    /// An expression that gives one number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A part of a query: which of a signal's numbers a template gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The counted events of a share: bad or good ones.
    Counted,
    /// All events of a share.
    Total,
    /// The buckets of a histogram.
    Buckets,
    /// The sum of values.
    Sum,
    /// The number of values.
    Count,
    /// Events by the second.
    Events,
    /// One number.
    Value,
}

/// Which fields belong together.
const WHOLES: &str = "`bad` (or `good`) and `total`, `buckets`, `sum` and `count`, `events`, or `value`";

/// What is wrong with a field of a query: its name, and a sentence.
pub(crate) type Refusals = Vec<(&'static str, String)>;

impl Query {
    /// The templates that are written, by the name of their field, with the part that each gives.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, Part, &str)> {
        let fields = [
            ("bad", Part::Counted, &self.bad),
            ("good", Part::Counted, &self.good),
            ("total", Part::Total, &self.total),
            ("buckets", Part::Buckets, &self.buckets),
            ("sum", Part::Sum, &self.sum),
            ("count", Part::Count, &self.count),
            ("events", Part::Events, &self.events),
            ("value", Part::Value, &self.value),
        ];
        fields.into_iter().filter_map(|(name, part, text)| Some((name, part, text.as_deref()?)))
    }

    /// What a metric of that name is when this query feeds it.
    ///
    /// # Errors
    /// If the fields do not belong together, or the name does not say which quantile is meant; the error is a sentence.
    pub fn metric(&self, name: &str) -> Result<Metric, String> {
        let signal = SignalName::query(name);
        let fields: Vec<&str> = self.parts().map(|(field, ..)| field).collect();
        match fields.as_slice() {
            ["bad" | "good", "total"] => Ok(Metric::Proportion { signal, complement: false }),
            ["buckets"] => match percent(name) {
                Some(percent) => Ok(Metric::Quantile { signal, percent }),
                None => Err(format!("which quantile of the buckets? Name it in the metric, such as `p95_{name}`")),
            },
            ["sum", "count"] => Ok(Metric::Mean { signal, is_average: true }),
            ["events"] => Ok(Metric::Rate { signal }),
            ["value"] => Ok(Metric::Gauge { signal }),
            [] => Err(format!("no template: write {WHOLES}")),
            fields => Err(format!("`{}` is no whole: write {WHOLES}", fields.join("`, `"))),
        }
    }

    /// Everything that is wrong with the templates one by one.
    pub(crate) fn refusals(&self) -> Refusals {
        let refusal = |(field, part, text)| {
            let read = Template::parse(text).and_then(|template| match part {
                Part::Value => template.is_number(),
                _ => template.is_counter(),
            });
            read.err().map(|sentence| (field, sentence))
        };
        self.parts().filter_map(refusal).collect()
    }

    /// Whether both arms would be asked the same: no template tells them apart.
    pub(crate) fn is_same_for_both_arms(&self) -> bool {
        let tells = |text| {
            Template::parse(text).is_ok_and(|template| template.uses(Variable::Version) || template.uses(Variable::Arm))
        };
        self.parts().any(|(_, _, text)| !tells(text))
    }
}

/// `95` of `p95_…`.
fn percent(name: &str) -> Option<u8> {
    let (percent, rest) = name.strip_prefix('p')?.split_once('_')?;
    percent.parse().ok().filter(|percent| (50..=99).contains(percent) && !rest.is_empty())
}

#[cfg(test)]
mod tests;
