//! Requests that name their version themselves, for debugging and replay: `x-model-version`.
//!
//! Only a trusted peer's word counts, and only for a version that is registered for the model; otherwise the request is answered
//! as if it had said nothing. Such requests are counted apart and never enter the analysis. A candidate whose rollout was stopped
//! or turned back answers nobody.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use hyper::HeaderMap;
use rollout::{Arm, Version};

use crate::counts::{Counts, Override};
use crate::headers::MODEL_VERSION;
use crate::served::{Served, ServedArm};
use crate::trust::TrustedPeers;

type Registered = Arc<BTreeMap<String, Vec<Arm>>>;

/// The registered versions of each model, by `<tenant>.<model>` as it stands in subjects; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Choices(Arc<RwLock<Registered>>);

impl Choices {
    /// Puts these in the place of what was there. Shares mean nothing here.
    pub fn replace(&self, choices: BTreeMap<String, Vec<Arm>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(choices);
    }

    fn find(&self, served: &Served, version: &Version) -> Option<Arm> {
        let choices = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let key = proto::subject::key(&served.route().tenant, &served.route().model);
        choices.get(&key)?.iter().find(|arm| arm.version == *version).cloned()
    }
}

/// Decides what becomes of a version that a request names.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) trusted: TrustedPeers,
    pub(crate) choices: Choices,
    pub(crate) counts: Counts,
    /// Our own listener, which is no upstream.
    pub(crate) own: SocketAddr,
}

impl Named {
    /// The arm that a request names, if it names one that may answer it.
    pub(crate) fn arm(&self, served: &Served, headers: &HeaderMap, peer: IpAddr) -> Option<ServedArm> {
        if !headers.contains_key(MODEL_VERSION) {
            return None;
        }
        let arm = self.honoured(served, headers, peer);
        self.counts.named(*arm.as_ref().map_or_else(|result| result, |_| &Override::Honoured));
        arm.ok()
    }

    fn honoured(&self, served: &Served, headers: &HeaderMap, peer: IpAddr) -> Result<ServedArm, Override> {
        if !self.trusted.has(peer) {
            return Err(Override::Untrusted);
        }
        let mut values = headers.get_all(MODEL_VERSION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(Override::Malformed) };
        let version = value.to_str().ok().and_then(|text| Version::new(text).ok()).ok_or(Override::Malformed)?;
        if served.is_withdrawn(&version) {
            return Err(Override::Withdrawn);
        }
        if let Some(arm) = served.arm_named(&version) {
            return Ok(arm.named(self.counts.apart()));
        }
        let choice = self.choices.find(served, &version).ok_or(Override::Unknown)?;
        ServedArm::chosen(&choice, self.counts.apart(), self.own).map_err(|why| {
            tracing::warn!("version {version} of {} can't be chosen: {why}", served.route().model);
            Override::Unknown
        })
    }
}
