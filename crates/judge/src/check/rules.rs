//! The limits of a check: one map such as `{max_absolute: 0.05, max_relative_increase: 2.0}`, or a list of maps such as `[{gte: 0.10}]`.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Floor, Limit};

/// The rules of a check, in the form in which they were written.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Rules {
    /// One map.
    One(Box<RuleSet>),
    /// A list of maps.
    List(Vec<RuleSet>),
}

/// One map of limits and their modifiers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// Breach above this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gt: Option<Limit>,
    /// Breach at or above this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gte: Option<Limit>,
    /// Breach below this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lt: Option<Limit>,
    /// Breach at or below this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lte: Option<Limit>,
    /// Breach above this value, the same as `gt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_absolute: Option<Limit>,
    /// Breach below this value, the same as `lt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_absolute: Option<Limit>,
    /// Breach above this multiple of stable; 1.5 means +50 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_relative_increase: Option<Limit>,
    /// Breach below stable less this share; 0.1 means -10 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_relative_decrease: Option<Limit>,
    /// A relative increase passes up to this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// Sequential: the raw weight of the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Sequential: whether an absolute breach must be the candidate's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
    /// Sequential: adds a relative gate beside the absolute one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<bool>,
}

/// Sequential: whether an absolute breach must be the candidate's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attribution {
    /// It must.
    On,
    /// It need not: an outage of both arms takes the candidate back.
    None,
}

/// The name under which a policy writes a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleName {
    /// `gt`
    Gt,
    /// `gte`
    Gte,
    /// `lt`
    Lt,
    /// `lte`
    Lte,
    /// `max_absolute`
    MaxAbsolute,
    /// `min_absolute`
    MinAbsolute,
    /// `max_relative_increase`
    MaxRelativeIncrease,
    /// `max_relative_decrease`
    MaxRelativeDecrease,
}

/// How a value is compared with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparator {
    /// Breach above the limit.
    Gt,
    /// Breach at or above the limit.
    Gte,
    /// Breach below the limit.
    Lt,
    /// Breach at or below the limit.
    Lte,
    /// Breach above stable times the limit.
    RelativeIncrease,
    /// Breach below stable times (1 - limit).
    RelativeDecrease,
}

impl Rules {
    /// The maps, one or several.
    #[must_use]
    pub const fn sets(&self) -> &[RuleSet] {
        match self {
            Self::One(set) => std::slice::from_ref(&**set),
            Self::List(sets) => sets.as_slice(),
        }
    }
}

impl RuleSet {
    /// The limits that are written, with their names, in a fixed order.
    pub fn limits(&self) -> impl Iterator<Item = (RuleName, &Limit)> {
        [
            (RuleName::Gt, &self.gt),
            (RuleName::Gte, &self.gte),
            (RuleName::Lt, &self.lt),
            (RuleName::Lte, &self.lte),
            (RuleName::MaxAbsolute, &self.max_absolute),
            (RuleName::MinAbsolute, &self.min_absolute),
            (RuleName::MaxRelativeIncrease, &self.max_relative_increase),
            (RuleName::MaxRelativeDecrease, &self.max_relative_decrease),
        ]
        .into_iter()
        .filter_map(|(name, limit)| Some((name, limit.as_ref()?)))
    }
}

impl RuleName {
    /// The word in the policy.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::MaxAbsolute => "max_absolute",
            Self::MinAbsolute => "min_absolute",
            Self::MaxRelativeIncrease => "max_relative_increase",
            Self::MaxRelativeDecrease => "max_relative_decrease",
        }
    }

    /// The comparison that the name stands for.
    #[must_use]
    pub const fn comparator(self) -> Comparator {
        match self {
            Self::Gt | Self::MaxAbsolute => Comparator::Gt,
            Self::Gte => Comparator::Gte,
            Self::Lt | Self::MinAbsolute => Comparator::Lt,
            Self::Lte => Comparator::Lte,
            Self::MaxRelativeIncrease => Comparator::RelativeIncrease,
            Self::MaxRelativeDecrease => Comparator::RelativeDecrease,
        }
    }
}

impl Comparator {
    /// Whether the value is compared with the stable arm.
    #[must_use]
    pub const fn is_relative(self) -> bool {
        matches!(self, Self::RelativeIncrease | Self::RelativeDecrease)
    }

    /// Whether the rule guards against values that are too low.
    #[must_use]
    pub const fn fears_decrease(self) -> bool {
        matches!(self, Self::Lt | Self::Lte | Self::RelativeDecrease)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::One(Box::default())
    }
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RulesVisitor)
    }
}

struct RulesVisitor;

impl<'de> Visitor<'de> for RulesVisitor {
    type Value = Rules;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a map of limits such as {max_absolute: 0.05}, or a list of them")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rules, A::Error> {
        RuleSet::deserialize(MapAccessDeserializer::new(map)).map(|set| Rules::One(Box::new(set)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Rules, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Rules::List)
    }
}
