//! JSON Schemas of what is read field by field here: editors and CI find most mistakes with them before we are asked.
//!
//! A schema can't say everything that the reading refuses (shares that fall, limits of no use); it never refuses what is read.

use judge::{Span, written_as};
use schemars::JsonSchema;

use super::Lease;
use super::class;
use super::step::PolicyStep;

/// The word of a strategy; `linear` is read as `canary`.
pub(super) struct StrategyWord;

written_as!(StrategyWord, "StrategyWord", {
    "description": "How it is carried out. A linear rollout is a canary whose steps are evenly spaced.",
    "enum": ["canary", "linear", "activate"]
});

/// The name of a class.
pub(super) struct Class;

impl JsonSchema for Class {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Class".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = class::names().collect();
        schemars::json_schema!({
            "description": "The preset that what is left open comes from: a check of the same metric takes its fields one by one.",
            "enum": names
        })
    }
}

written_as!(Lease, "Lease", {
    "description": "How long targets go on without a beat of the control plane, or `off`.",
    "type": ["string", "number"],
    "minimum": 0,
    "pattern": "^\\s*(off|0|([0-9]+\\s*[a-zA-Zµ]+\\s*)+)\\s*$",
    "examples": ["300s"]
});

impl JsonSchema for PolicyStep {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PolicyStep".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (span, percent) = (generator.subschema_for::<Span>(), generator.subschema_for::<Percent>());
        schemars::json_schema!({
            "description": "One step, in our words (`split`, `dwell`, `gate`) or in those of agent-sre (`weight`, `duration_seconds`, `manual_gate`).",
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "name": {"description": "What people call it.", "type": "string", "maxLength": 100},
                "split": {"description": "The candidate's percent; or the shares of all arms, the stable one last.",
                    "anyOf": [percent, {"type": "array", "items": percent, "minItems": 1}]},
                "dwell": span,
                "gate": {"description": "Whether a person is asked before its split, and on which terms.", "anyOf": [
                    {"type": "boolean"},
                    {"type": "object", "additionalProperties": false, "properties": {
                        "expires": span, "approver_not_requester": {"type": "boolean"}}}]},
                "weight": {"description": "The candidate's share as a fraction.", "type": "number", "minimum": 0, "maximum": 1},
                "duration_seconds": {"type": "number", "minimum": 0},
                "manual_gate": {"type": "boolean"},
                "analysis": {"description": "Empty: checks belong to the plan.", "type": "array", "maxItems": 0}
            },
            "oneOf": [{"required": ["split"]}, {"required": ["weight"]}],
            "not": {"anyOf": [{"required": ["dwell", "duration_seconds"]}, {"required": ["gate", "manual_gate"]}]}
        })
    }
}

/// A share as people write it.
struct Percent;

written_as!(Percent, "Percent", {
    "description": "Percent from 0 to 100, at most two decimals, such as 5 or \"5%\".",
    "type": ["number", "string"],
    "minimum": 0,
    "maximum": 100,
    "pattern": "^\\s*\\+?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?\\s*%*\\s*$"
});
