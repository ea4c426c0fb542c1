//! One metric of a Canary, as far as all kinds of them are alike.

use std::collections::BTreeMap;

use judge::Span;
use judge::check::{Limit, RuleSet};

use crate::error::Error;
use crate::fields::{Fields, Place, scalar_text, span};
use crate::note::Note;
use crate::word::excerpt;

/// How far back a metric looks that does not say.
const WINDOW: &str = "1m";

/// A metric without what it asks.
pub(super) struct Metric {
    pub(super) place: Place,
    pub(super) name: String,
    /// How far back it looks, as it is written and as it is.
    pub(super) interval: String,
    pub(super) window: Span,
    pub(super) variables: BTreeMap<String, String>,
    range: Range,
}

/// What is accepted.
struct Range {
    min: Option<f64>,
    max: Option<f64>,
}

impl Metric {
    pub(super) fn read(fields: &mut Fields, notes: &mut Vec<Note>) -> Result<Self, Error> {
        let name = fields.required("name", "request-success-rate")?;
        let (interval, window) = match fields.take("interval") {
            None => (WINDOW.to_owned(), Span::from_secs(60)),
            Some((value, place)) => {
                let window = span(&value).filter(|window| window.0 > 0);
                let window = window.ok_or_else(|| place.refuse("is no length of time: write one such as `1m`"))?;
                (scalar_text(&value).unwrap_or_default(), window)
            }
        };
        let range = Range::read(fields, name == "request-success-rate", notes)?;
        let mut variables = BTreeMap::new();
        for (name, value, place) in fields.map("templateVariables")?.into_iter().flat_map(Fields::into_pairs) {
            variables.insert(name, scalar_text(&value).ok_or_else(|| place.refuse("is no text: write one"))?);
        }
        Ok(Self { place: fields.place().clone(), name, interval, window, variables, range })
    }

    /// What breaks its range, in parts of `whole`.
    pub(super) fn rules(&self, whole: f64) -> RuleSet {
        // Rounding hides what the division of a decimal leaves behind: 99.9 % is 0.999.
        let limit = |limit: f64| Limit::from(format!("{:.12}", limit / whole).parse().unwrap_or(limit / whole));
        RuleSet { lt: self.range.min.map(limit), gt: self.range.max.map(limit), ..RuleSet::default() }
    }

    /// What the source said.
    pub(super) fn told(&self) -> String {
        let limit = |word: &str, limit: Option<f64>| limit.map(|limit| format!(", {word} {limit}")).unwrap_or_default();
        let (min, max) = (limit("at least", self.range.min), limit("at most", self.range.max));
        format!("Flagger: {}{min}{max}, over {}.", excerpt(&self.name), excerpt(&self.interval))
    }
}

impl Range {
    /// The range, or the limit under its old name: the least of a success rate, the most of everything else.
    fn read(fields: &mut Fields, is_success: bool, notes: &mut Vec<Note>) -> Result<Self, Error> {
        let old = fields.number("threshold")?;
        let Some(mut range) = fields.map("thresholdRange")? else {
            return Ok(if is_success { Self { min: old, max: None } } else { Self { min: None, max: old } });
        };
        notes.extend(old.map(|old| {
            let place = fields.place().field("threshold");
            place.note(format!("({old}) is not looked at beside `thresholdRange`, there as here"))
        }));
        let read = Self { min: range.number("min")?, max: range.number("max")? };
        match range.into_pairs().next() {
            None => Ok(read),
            Some((_, _, place)) => Err(place.refuse("no part of a range: write `min`, `max`, or both")),
        }
    }
}
