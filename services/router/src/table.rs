//! The routes that requests read, found by host or by the longest path prefix.
//!
//! A table never changes; adoption builds the next one, which shares with the last most of what did not change, and swaps the pointer.
//! Prefixes match whole segments, so only lengths at which the path has a `/` or its end are looked up, the longest first: one or
//! two probes, however many models there are.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use imbl::OrdMap;
use rollout::{Model, Tenant};

use crate::served::Served;

/// Each request looks here, so it is not a map whose copies are free: that takes 40 ns more.
type Names = HashMap<Arc<str>, Arc<Served>, BuildHasherDefault<Fnv>>;

/// An immutable set of routes.
#[derive(Debug, Clone, Default)]
pub struct Table {
    models: OrdMap<(Tenant, Model), Arc<Served>>,
    hosts: Arc<Names>,
    prefixes: Arc<Names>,
    /// The lengths that occur among the prefixes, in bytes, longest first.
    lengths: Vec<usize>,
}

impl Table {
    /// Builds the index over `served`, one for each model.
    #[must_use]
    pub fn of(served: impl IntoIterator<Item = Arc<Served>>) -> Self {
        let mut table = Self::default();
        for served in served {
            table.put(served);
        }
        table
    }

    /// Puts `served` in the place of what its model had.
    pub(crate) fn put(&mut self, served: Arc<Served>) {
        let route = Arc::clone(served.route());
        if let Some(old) = self.models.insert((route.tenant.clone(), route.model.clone()), Arc::clone(&served)) {
            let matches = &old.route().matches;
            matches.path_prefix.as_deref().map(|prefix| Arc::make_mut(&mut self.prefixes).remove(prefix));
            matches.host.as_deref().map(|host| Arc::make_mut(&mut self.hosts).remove(host));
        }
        if let Some(prefix) = &route.matches.path_prefix {
            // A length stays when its last prefix goes: it costs a probe, and nothing is wrong.
            if let Err(at) = self.lengths.binary_search_by(|length| prefix.len().cmp(length)) {
                self.lengths.insert(at, prefix.len());
            }
            Arc::make_mut(&mut self.prefixes).insert(prefix.as_str().into(), served);
        } else if let Some(host) = &route.matches.host {
            Arc::make_mut(&mut self.hosts).insert(host.as_str().into(), served);
        }
    }

    /// The route for a request: by its host, else by the longest prefix of whole segments. `host` may carry a port.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<Served>> {
        if !self.hosts.is_empty()
            && let Some(served) = self.find_host(host)
        {
            return Some(served);
        }
        let bytes = path.as_bytes();
        self.lengths
            .iter()
            .filter(|&&length| length == bytes.len() || bytes.get(length) == Some(&b'/'))
            .find_map(|&length| self.prefixes.get(path.get(..length)?))
    }

    fn find_host(&self, host: &str) -> Option<&Arc<Served>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        if name.bytes().any(|b| b.is_ascii_uppercase()) {
            return self.hosts.get(name.to_ascii_lowercase().as_str());
        }
        self.hosts.get(name)
    }

    /// What is served for a model.
    #[must_use]
    pub fn of_model(&self, tenant: &Tenant, model: &Model) -> Option<&Arc<Served>> {
        self.models.get(&(tenant.clone(), model.clone()))
    }

    /// The model that already has the match of another one.
    pub(crate) fn owner_of(&self, key: &str) -> Option<&Arc<Served>> {
        key.strip_prefix("host:").map_or_else(|| self.prefixes.get(key), |host| self.hosts.get(host))
    }

    /// All that is served, by tenant and model.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.models.values()
    }
}

/// FNV-1a. The names in a table are the operator's, so nobody can make them collide, and the default hash takes twice as long.
#[derive(Debug, Clone, Copy)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        // The map takes its first bits from the top, where a short name leaves little.
        self.0 ^ self.0 << 32
    }
}
