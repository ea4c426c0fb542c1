//! A route made ready for the data path: addresses parsed, header values built, counters at hand.
//!
//! Everything that can be wrong with a route is found here, before it is adopted, so that a request never fails on its route.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use proto::serving::Held;
use rollout::{Arm, Direction, NoKey, Route, Version};

use crate::counts::{ArmCounters, Counts, Exposure, Role};
use crate::headers;
use crate::key::Key;
use crate::upstream::Upstream;

/// Age at which a request counts as hanging where the route names none (CONTRACTS section 6).
const HANG_AFTER: Duration = Duration::from_secs(60);

/// The registry knows what was withdrawn long before; this is for the moment that it lags behind.
const WITHDRAWN_MAX: usize = 16;

/// A route that requests can be answered from.
#[derive(Debug, Clone)]
pub struct Served {
    route: Arc<Route>,
    stable: usize,
    arms: Vec<ServedArm>,
    /// Why the stable arm serves alone, whatever the route says.
    held: Option<Held>,
    /// Candidates of former routes that were stopped or turned back, and that no route has served since.
    withdrawn: Vec<Version>,
    pub(crate) session_header: HeaderName,
    pub(crate) rollout_id: Option<HeaderValue>,
    pub(crate) hang_after: Duration,
    pub(crate) silent_after: Option<Duration>,
}

/// One arm of it.
#[derive(Debug, Clone)]
pub(crate) struct ServedArm {
    pub(crate) role: Role,
    pub(crate) version: HeaderValue,
    pub(crate) upstream: Upstream,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) counters: Arc<ArmCounters>,
    /// What the live rollout sends this way.
    pub(crate) exposure: Option<Arc<Exposure>>,
}

impl Served {
    /// Checks and compiles a route, and makes the counters of its arms. `own` is our own listener, which is no upstream.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub fn new(route: Arc<Route>, counts: &Counts, own: SocketAddr) -> Result<Self, String> {
        route.check()?;
        let stable = route.arms.iter().position(|arm| arm.version == route.stable).ok_or("stable: no arm serves it")?;
        let session_header = HeaderName::try_from(route.matches.session_header.as_str())
            .map_err(|_| "match.session_header: not a header name")?;
        let arms = route.arms.iter().map(|arm| compile(&route, arm, counts, own)).collect::<Result<_, _>>()?;
        let rollout_id = route.rollout_id.as_ref().and_then(|id| HeaderValue::from_str(id.as_str()).ok());
        let age = |ms| Duration::from_millis(u64::from(ms));
        let (hang_after, silent_after) = (route.hang_after_ms.map_or(HANG_AFTER, age), route.silent_after_ms.map(age));
        let withdrawn = Vec::new();
        Ok(Self { route, stable, arms, held: None, withdrawn, session_header, rollout_id, hang_after, silent_after })
    }

    /// The route as it was adopted.
    #[must_use]
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The index of the arm for a session key.
    #[must_use]
    pub fn arm_for(&self, key: &str) -> usize {
        self.route.arm_for(key)
    }

    /// Why the stable arm serves alone, if it does.
    #[must_use]
    pub const fn held(&self) -> Option<Held> {
        self.held
    }

    /// The same route with the stable arm alone. A stop outlasts an ended lease.
    pub(crate) fn hold(&self, held: Held) -> Self {
        let held = if self.held == Some(Held::Stopped) { Held::Stopped } else { held };
        Self { held: Some(held), ..self.clone() }
    }

    /// The same after another route of its model. A candidate that this one lists no more is withdrawn, until a route lists it again:
    /// one that was promoted is listed, as the stable arm.
    pub(crate) fn after(mut self, before: Option<&Arc<Self>>) -> Self {
        let Some(before) = before else { return self };
        let on_trial =
            before.route.arms.iter().map(|arm| &arm.version).filter(|version| **version != before.route.stable);
        let withdrawn = before.withdrawn.iter().chain(on_trial).filter(|version| self.arm_named(version).is_none());
        self.withdrawn = withdrawn.cloned().collect();
        let too_many = self.withdrawn.len().saturating_sub(WITHDRAWN_MAX);
        self.withdrawn.drain(..too_many);
        self
    }

    /// Whether a version may answer nobody, whoever asks for it: its rollout was stopped or turned back.
    pub(crate) fn is_withdrawn(&self, version: &Version) -> bool {
        let is_back = self.route.direction == Direction::Back || self.held.is_some();
        let is_on_trial = *version != self.route.stable && self.route.arms.iter().any(|arm| arm.version == *version);
        is_back && is_on_trial || self.withdrawn.contains(version)
    }

    /// The arm of a version.
    pub(crate) fn arm_named(&self, version: &Version) -> Option<&ServedArm> {
        let index = self.route.arms.iter().position(|arm| arm.version == *version)?;
        self.arms.get(index)
    }

    /// The arm that answers a request with this key.
    pub(crate) fn arm_of(&self, key: &Key) -> &ServedArm {
        let to_stable = self.held.is_some() || key.is_of_request() && self.route.matches.no_key == NoKey::Stable;
        let index = if to_stable { self.stable } else { self.arm_for(key.text()) };
        // Indices come from the arms themselves, which are never empty: their shares sum to the whole.
        &self.arms[index]
    }
}

impl Served {
    /// Counts a request of the rollout in its exposure; whether it tells where newcomers go: a session that no arm has seen, or a
    /// request with an id of our own. Where everything goes to the stable arm, nothing is told.
    pub(crate) fn is_newcomer(&self, arm: &ServedArm, key: &Key<'_>) -> bool {
        let Some(exposure) = &arm.exposure else { return false };
        let is_known = match key {
            Key::Session(session) => {
                let mut others = self.arms.iter().filter_map(|other| other.exposure.as_ref());
                others.any(|other| other.knows(session))
            }
            Key::Request(_) => true,
            Key::Made(_) => self.route.matches.no_key == NoKey::Stable,
        };
        let raised = exposure.count(key);
        !is_known && self.held.is_none() && (raised || matches!(key, Key::Made(_)))
    }
}

impl ServedArm {
    /// A registered version that is no arm of the route.
    pub(crate) fn chosen(arm: &Arm, counters: Arc<ArmCounters>, own: SocketAddr) -> Result<Self, String> {
        let upstream =
            Upstream::parse(&arm.upstream, own).map_err(|why| format!("arms.{}.upstream: {why}", arm.version))?;
        let headers = arm.headers.iter().map(|(name, value)| header(arm, name, value)).collect::<Result<_, _>>()?;
        let version = HeaderValue::from_str(arm.version.as_str())
            .map_err(|_| format!("arms.{}: not a header value", arm.version))?;
        Ok(Self { role: Role::Override, version, upstream, headers, counters, exposure: None })
    }

    /// The same arm for a request that named it: counted elsewhere, and no part of the exposure.
    pub(crate) fn named(&self, counters: Arc<ArmCounters>) -> Self {
        Self { role: Role::Override, counters, exposure: None, ..self.clone() }
    }
}

fn compile(route: &Route, arm: &Arm, counts: &Counts, own: SocketAddr) -> Result<ServedArm, String> {
    let counters = counts.arm(&route.tenant, &route.model, &arm.version);
    counters.count_by_size(&route.by_size);
    let exposure = route.rollout_id.as_ref().map(|rollout| counters.exposure_of(rollout, &route.salt));
    let role = if arm.version == route.stable { Role::Stable } else { Role::Candidate };
    Ok(ServedArm { role, exposure, ..ServedArm::chosen(arm, counters, own)? })
}

fn header(arm: &Arm, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let field = format!("arms.{}.headers.{}", arm.version, name.escape_default());
    if value.starts_with("secret:") {
        return Err(format!("{field}: this router holds no secrets, so it cannot send `secret:` values"));
    }
    let name = HeaderName::try_from(name).map_err(|_| format!("{field}: not a header name"))?;
    if headers::is_ours(&name) {
        return Err(format!("{field}: the connection's own headers cannot be set"));
    }
    let value = HeaderValue::from_str(value).map_err(|_| format!("{field}: not a header value"))?;
    Ok((name, value))
}
