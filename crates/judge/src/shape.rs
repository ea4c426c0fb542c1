//! JSON Schemas of the values that have their own way of being read: what a derive can't see.

/// Gives a type the JSON Schema that is written out here, because its reading is written out too.
#[macro_export]
macro_rules! written_as {
    ($type:ty, $name:expr, $schema:tt) => {
        impl ::schemars::JsonSchema for $type {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!($schema)
            }
        }
    };
}

use crate::check::{Floor, Limit, Phi, Window};
use crate::distinct::Distinct;
use crate::span::Span;

written_as!(Span, "Duration", {
    "description": "A length of time such as `90s`, `30m` or `1h 30m`, or a number of seconds; at most ten years.",
    "type": ["string", "number"],
    "minimum": 0,
    "pattern": "^\\s*(0|([0-9]+\\s*(nsec|ns|usec|us|µs|msec|ms|millis|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y)\\s*)+)\\s*$",
    "examples": ["30m"]
});

written_as!(Window, "Window", {
    "description": "How far back a round looks: a length of time, or `step` for the whole step.",
    "type": ["string", "number"],
    "minimum": 0,
    "pattern": "^\\s*(step|0|([0-9]+\\s*[a-zA-Zµ]+\\s*)+)\\s*$",
    "examples": ["step"]
});

written_as!(Phi, "Phi", {
    "description": "The dispersion: `auto`, or a number of at least 1.",
    "type": ["string", "number"],
    "minimum": 1,
    "pattern": "^\\s*auto\\s*$"
});

written_as!(Limit, "Limit", {
    "description": "A number, or its text in quotes where messages should repeat it as it was written, such as \"0.10\".",
    "type": ["string", "number"],
    "pattern": "^\\s*[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?\\s*$",
    "examples": [0.05]
});

written_as!(Floor, "Floor", {
    "description": "The value up to which a relative increase is harmless, or `none`.",
    "type": ["string", "number"],
    "pattern": "^\\s*(none|[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?)\\s*$"
});

written_as!(Distinct, "Distinct", {
    "description": "A sketch of a set: a letter for a register, a number for a run of empty ones.",
    "type": "string",
    "pattern": "^[A-Za-z0-9]*$"
});
