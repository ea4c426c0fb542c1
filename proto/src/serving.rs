//! The values in the buckets between control part and routers: the beat, and what a router says of a route.

use std::fmt;

use rollout::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// That the control part is alive: it commits, its deadlines are looked at, and the bus takes values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Counts the beats.
    pub number: i64,
    /// Counts the lives of the database.
    pub incarnation: i64,
    /// By the clock of who beats; receivers go by their own.
    pub beat_at: At,
}

impl Beat {
    /// Its key in the bucket.
    pub const KEY: &str = "beat";
}

impl fmt::Display for Beat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, incarnation, beat_at } = self;
        write!(f, r#"{{"number":{number},"incarnation":{incarnation},"beat_at":{}}}"#, beat_at.0)
    }
}

/// Why a router serves the stable arm alone, whatever the route says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// No beat came for as long as the lease.
    Expired,
    /// The rollout was stopped.
    Stopped,
}

/// What a router says of the route of a model. It is said only of what is on the router's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Of the route that it has.
    pub generation: i64,
    /// Whether it serves less than that route.
    pub held: Option<Held>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_is_read_as_it_was_said() {
        let beat = Beat { number: 3, incarnation: 0, beat_at: At(1_800_000_000_000) };
        assert_eq!(serde_json::from_str::<Beat>(&beat.to_string()).unwrap(), beat);
    }
}
