//! Whom a rollout has reached: what routers count, what it adds up to over routers and their restarts, and how it is said.
//!
//! Nothing here can name a session: routers send the registers of a sketch ([`Distinct`]) over hashes that begin with a secret.

use std::collections::BTreeMap;
use std::fmt;

use judge::Distinct;
use rollout::{RolloutId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one router sent one version's way for a rollout, cumulative since the router's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exposed {
    /// The rollout.
    pub rollout_id: RolloutId,
    /// Requests, without those that named their version themselves.
    pub requests: u64,
    /// Those of them that had no session: they are keyed by their own id, and so are not sticky.
    pub no_key: u64,
    /// The sessions of the others.
    pub sessions: Distinct,
}

/// What a rollout's routers have sent to each version, whatever restarted meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExposureLedger(BTreeMap<Version, Share>);

/// One version's part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Share {
    /// Requests and those without a session, by `<router>.<boot>`; each only grows.
    sources: BTreeMap<String, (u64, u64)>,
    sessions: Distinct,
}

/// Whom the candidate has reached, in numbers to show. Sessions are estimates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    /// Sessions that were sent to the candidate at least once.
    pub sessions: u64,
    /// All sessions seen while the rollout was live.
    pub of_sessions: u64,
    /// Requests that were sent to the candidate.
    pub requests: u64,
    /// All requests.
    pub of_requests: u64,
    /// All requests without a session, which are not sticky.
    pub no_key: u64,
}

impl ExposureLedger {
    /// Takes what a source has counted for a version; an older word or the same one again changes nothing.
    pub fn hear(&mut self, version: &Version, source: &str, exposed: &Exposed) {
        let share = self.0.entry(version.clone()).or_default();
        share.sessions.merge(&exposed.sessions);
        let (requests, no_key) = share.sources.entry(source.to_owned()).or_default();
        *requests = (*requests).max(exposed.requests);
        *no_key = (*no_key).max(exposed.no_key);
    }

    /// Requests, those without a session, and about how many sessions a version got.
    #[must_use]
    pub fn of(&self, version: &Version) -> (u64, u64, u64) {
        let Some(share) = self.0.get(version) else { return (0, 0, 0) };
        let (requests, no_key) = share.total();
        (requests, no_key, share.sessions.estimate())
    }

    /// Whom the candidate has reached; none before the first request.
    #[must_use]
    pub fn reached(&self, candidate: &Version) -> Option<Reached> {
        let mut all = Distinct::default();
        let mut reached = Reached::default();
        for share in self.0.values() {
            // A session that moved counts once.
            all.merge(&share.sessions);
            let (requests, no_key) = share.total();
            reached.of_requests += requests;
            reached.no_key += no_key;
        }
        (reached.requests, _, reached.sessions) = self.of(candidate);
        reached.of_sessions = all.estimate().max(reached.sessions);
        (reached.of_requests > 0).then_some(reached)
    }
}

impl Share {
    fn total(&self) -> (u64, u64) {
        self.sources.values().fold((0, 0), |sum, (requests, no_key)| (sum.0 + requests, sum.1 + no_key))
    }
}

impl Reached {
    /// The share of the requests that had no session, in percent.
    #[must_use]
    pub fn no_key_percent(&self) -> f64 {
        if self.of_requests == 0 { 0.0 } else { 100.0 * self.no_key as f64 / self.of_requests as f64 }
    }

    /// `84 of about 2,025`.
    #[must_use]
    pub fn in_sessions(&self) -> String {
        format!("{} of about {}", grouped(self.sessions), grouped(self.of_sessions))
    }

    /// `107 of 2,843`.
    #[must_use]
    pub fn in_requests(&self) -> String {
        format!("{} of {}", grouped(self.requests), grouped(self.of_requests))
    }
}

/// `84 of about 2,025 sessions, 107 of 2,843 requests`.
impl fmt::Display for Reached {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} sessions, {} requests", self.in_sessions(), self.in_requests())?;
        if self.no_key > 0 {
            write!(to, "; {:.1} % of the requests had no session, so they are not sticky", self.no_key_percent())?;
        }
        Ok(())
    }
}

/// A number with a comma after each thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use judge::distinct;

    use super::*;

    fn exposed(requests: u64, no_key: u64, sessions: std::ops::Range<u32>) -> Exposed {
        let (begin, mut distinct) = (distinct::begin("salt"), Distinct::default());
        sessions.for_each(|n| distinct.insert(distinct::hash(begin, &n.to_string())));
        Exposed { rollout_id: RolloutId::of("/tests", "1"), requests, no_key, sessions: distinct }
    }

    #[test]
    fn routers_and_their_restarts_add_requests_up_and_count_a_session_once() {
        let [old, new] = ["1", "2"].map(|version| Version::new(version).unwrap());
        let mut ledger = ExposureLedger::default();
        assert_eq!(ledger.reached(&new), None);
        ledger.hear(&new, "a.1", &exposed(30, 10, 0..20));
        ledger.hear(&new, "a.1", &exposed(40, 10, 0..30));
        ledger.hear(&new, "a.1", &exposed(30, 10, 0..20));
        ledger.hear(&new, "a.2", &exposed(10, 0, 20..40));
        ledger.hear(&new, "b.1", &exposed(5, 5, 0..0));
        ledger.hear(&old, "a.1", &exposed(145, 5, 0..100));
        assert_eq!(ledger.of(&new), (55, 15, 40));
        let reached = ledger.reached(&new).unwrap();
        assert_eq!((reached.sessions, reached.requests, reached.of_requests, reached.no_key), (40, 55, 200, 20));
        assert!(reached.of_sessions.abs_diff(100) <= 2, "{reached}");
        let stored = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<ExposureLedger>(&stored).unwrap(), ledger);
    }

    #[test]
    fn the_sentence_groups_thousands_and_says_what_is_not_sticky() {
        let reached = Reached { sessions: 84, of_sessions: 2_025, requests: 107, of_requests: 1_002_843, no_key: 0 };
        assert_eq!(reached.to_string(), "84 of about 2,025 sessions, 107 of 1,002,843 requests");
        let mixed = Reached { sessions: 1, of_sessions: 10, requests: 2, of_requests: 40, no_key: 5 }.to_string();
        assert!(mixed.ends_with("; 12.5 % of the requests had no session, so they are not sticky"), "{mixed}");
    }
}
