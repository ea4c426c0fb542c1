//! Whom a rollout reached through one arm: counted without a lock, and without keeping a session.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use judge::Distinct;
use judge::distinct::{self, REGISTER_COUNT};
use proto::Exposed;
use rollout::RolloutId;

use crate::key::Key;

/// Cumulative since the router started.
#[derive(Debug)]
pub(crate) struct Exposure {
    requests: AtomicU64,
    no_key: AtomicU64,
    /// The begin of the hashes: the rollout's salt, which is the same at each of its routers.
    secret: u64,
    /// Made with the first session.
    registers: OnceLock<Box<[AtomicU8]>>,
}

impl Exposure {
    pub(super) fn new(salt: &str) -> Self {
        let (requests, no_key) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { requests, no_key, secret: distinct::begin(salt), registers: OnceLock::new() }
    }

    pub(crate) fn count(&self, key: &Key<'_>) {
        self.requests.fetch_add(1, Relaxed);
        let Key::Session(session) = key else {
            self.no_key.fetch_add(1, Relaxed);
            return;
        };
        let registers = self.registers.get_or_init(|| (0..REGISTER_COUNT).map(|_| AtomicU8::new(0)).collect());
        let (at, value) = distinct::place(distinct::hash(self.secret, session));
        // Most sessions are known already, and a read is shared among cores where a write is not.
        if registers[at].load(Relaxed) < value {
            registers[at].fetch_max(value, Relaxed);
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    pub(super) fn read(&self, rollout_id: RolloutId) -> Exposed {
        let registers = self.registers.get().into_iter().flat_map(|registers| registers.iter());
        Exposed {
            rollout_id,
            requests: self.requests.load(Relaxed),
            no_key: self.no_key.load(Relaxed),
            sessions: Distinct::of(registers.map(|register| register.load(Relaxed))),
        }
    }
}
