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

    /// Counts a request; whether its session raised a register. That was never seen before here, but not each one that is new raises
    /// one: which does is chance, and has nothing to do with its arm.
    pub(crate) fn count(&self, key: &Key<'_>) -> bool {
        self.requests.fetch_add(1, Relaxed);
        let Key::Session(session) = key else {
            self.no_key.fetch_add(1, Relaxed);
            return false;
        };
        let registers = self.registers.get_or_init(|| (0..REGISTER_COUNT).map(|_| AtomicU8::new(0)).collect());
        let (at, value) = self.place(session);
        // Most sessions are known already, and a read is shared among cores where a write is not.
        registers[at].load(Relaxed) < value && registers[at].fetch_max(value, Relaxed) < value
    }

    /// Whether a session may have been here.
    pub(crate) fn knows(&self, session: &str) -> bool {
        let (at, value) = self.place(session);
        self.registers.get().is_some_and(|registers| registers[at].load(Relaxed) >= value)
    }

    fn place(&self, session: &str) -> (usize, u8) {
        distinct::place(distinct::hash(self.secret, session))
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
