//! The route of a model: what a target serves, and to whom.
//!
//! A route is a wish of the scheduler and a value that a target confirms. It names its arms with the candidates first and the
//! stable arm listed always, so that a stop or an ended lease needs nothing but the route itself.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bucket;
use crate::name::{Model, RolloutId, Tenant, Version};
use crate::plan::OnDrift;
use crate::split::{Share, WHOLE};

/// Generations are below this, so that one is exact wherever it is read, as a double too, and there is always a higher one.
pub const GENERATION_MAX: i64 = 1 << 52;
/// Generations of one incarnation of the database: with each restore the next one begins, above all that a target can know.
pub const INCARNATION: i64 = 1 << 40;

/// How far a route may go: `back` never raises a candidate, and locks its rollout out for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards the candidate.
    Forward,
    /// Away from the candidate.
    Back,
}

/// Where requests without any key go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoKey {
    /// By the request id that the router makes.
    #[default]
    Request,
    /// To the stable arm.
    Stable,
}

/// Which requests belong to a model: by the first segments of the path (stripped) or by host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Match {
    /// Begins with `/`, has no trailing `/`; stripped before the upstream sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// A host name in lower case, without a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Header that carries the session id.
    #[serde(default = "session_header", skip_serializing_if = "is_session_header")]
    pub session_header: String,
    /// Cookie that carries the session id where the header is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_cookie: Option<String>,
    /// Where requests without any key go.
    #[serde(default, skip_serializing_if = "is_request")]
    pub no_key: NoKey,
}

fn session_header() -> String {
    "x-session-id".to_owned()
}

fn is_session_header(header: &str) -> bool {
    header == "x-session-id"
}

fn is_request(no_key: &NoKey) -> bool {
    *no_key == NoKey::Request
}

impl Match {
    /// The match of a model that names none: `/{model}`, or `/{tenant}/{model}` for another tenant than `default`.
    #[must_use]
    pub fn default_for(tenant: &Tenant, model: &Model) -> Self {
        let prefix =
            if *tenant == Tenant::default_tenant() { format!("/{model}") } else { format!("/{tenant}/{model}") };
        Self {
            path_prefix: Some(prefix),
            host: None,
            session_header: session_header(),
            session_cookie: None,
            no_key: NoKey::Request,
        }
    }

    /// The fields that people may write; a message of a newer release may have more.
    pub const FIELDS: &[&str] = &["path_prefix", "host", "session_header", "session_cookie", "no_key"];

    /// Says what is wrong with it, if anything.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub fn check(&self) -> Result<(), String> {
        match (&self.path_prefix, &self.host) {
            (Some(prefix), None) => check_prefix(prefix)?,
            (None, Some(host)) => check_host(host)?,
            _ => return Err("match: give either `path_prefix` or `host`".to_owned()),
        }
        for (field, name) in
            [("session_header", Some(&self.session_header)), ("session_cookie", self.session_cookie.as_ref())]
        {
            let Some(name) = name else { continue };
            if name.is_empty()
                || name.len() > 64
                || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            {
                return Err(format!(
                    "match.{field}: `{}` is not a name of letters, digits, `-` and `_`",
                    name.escape_default()
                ));
            }
        }
        Ok(())
    }

    /// The text that must be unique over all models: `/prefix` or `host:name`.
    #[must_use]
    pub fn key(&self) -> String {
        match (&self.path_prefix, &self.host) {
            (Some(prefix), _) => prefix.clone(),
            (None, Some(host)) => format!("host:{host}"),
            (None, None) => String::new(),
        }
    }
}

fn check_prefix(prefix: &str) -> Result<(), String> {
    let good = prefix.starts_with('/')
        && prefix.len() > 1
        && prefix.len() <= 200
        && !prefix.ends_with('/')
        && !prefix.contains("//")
        && prefix.split('/').all(|segment| segment != "." && segment != "..")
        && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._~@+-".contains(&b));
    if good {
        Ok(())
    } else {
        Err(format!("match.path_prefix: `{}` is not a path such as `/reranker`", prefix.escape_default()))
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let good = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
        && !host.starts_with(['.', '-']);
    if good { Ok(()) } else { Err(format!("match.host: `{}` is not a host name in lower case", host.escape_default())) }
}

/// One version that a route can serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Arm {
    /// The version that answers.
    pub version: Version,
    /// Its share.
    pub basis_points: Share,
    /// Base URL of the servers, `http://host:port` and perhaps a path.
    pub upstream: String,
    /// Set on every request that goes there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// What a target serves for a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Whose model it is.
    pub tenant: Tenant,
    /// The model.
    pub model: Model,
    /// Fence: a target takes only a higher one, or the same with the same content.
    pub generation: i64,
    /// The rollout that asked for it, while one is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_id: Option<RolloutId>,
    /// Forward, or back.
    pub direction: Direction,
    /// Seconds without a beat after which the stable arm serves alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
    /// Age at which a request in flight counts as hanging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hang_after_ms: Option<u32>,
    /// Age at which a request without a first byte counts as that slow to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_after_ms: Option<u32>,
    /// Observations whose values a router counts by size too, because they will be cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_size: Vec<String>,
    /// How often a router sends its counts while the rollout is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_ms: Option<u32>,
    /// What becomes of a target that serves something else.
    #[serde(default, skip_serializing_if = "OnDrift::is_restore")]
    pub on_drift: OnDrift,
    /// Its rollout was stopped: whoever has it serves the stable arm alone. Added to what is there, and never taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Which requests belong to it.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Private: whoever knows it can choose a session that lands in the candidate.
    pub salt: String,
    /// The arm that a stop or an ended lease serves.
    pub stable: Version,
    /// Candidates first, in the order of the plan.
    pub arms: Vec<Arm>,
}

impl Route {
    /// The index of the arm for a session key.
    #[must_use]
    pub fn arm_for(&self, key: &str) -> usize {
        bucket::arm_of(bucket::bucket(&self.salt, key), self.arms.iter().map(|arm| arm.basis_points))
    }

    /// The arm that serves when the candidate must not.
    #[must_use]
    pub fn stable_arm(&self) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.version == self.stable)
    }

    /// The share of `version`.
    #[must_use]
    pub fn share_of(&self, version: &Version) -> Share {
        self.arms.iter().find(|arm| arm.version == *version).map_or(Share::ZERO, |arm| arm.basis_points)
    }

    /// What all arms but the stable one have together, in basis points.
    #[must_use]
    pub fn candidate_points(&self) -> u32 {
        self.arms.iter().filter(|arm| arm.version != self.stable).map(|arm| arm.basis_points.basis_points()).sum()
    }

    /// Says what is wrong with it, if anything.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub fn check(&self) -> Result<(), String> {
        let sum: u32 = self.arms.iter().map(|arm| arm.basis_points.basis_points()).sum();
        if sum != WHOLE {
            return Err(format!("arms: the shares sum to {sum} basis points, not to {WHOLE}"));
        }
        if self.stable_arm().is_none() {
            return Err(format!("stable: no arm serves version {}", self.stable));
        }
        if !(0..GENERATION_MAX).contains(&self.generation) {
            return Err(format!("generation: {} is not from 0 to {GENERATION_MAX}", self.generation));
        }
        self.matches.check()
    }
}
