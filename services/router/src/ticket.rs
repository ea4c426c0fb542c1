//! One request in flight: what it will be counted as, once.
//!
//! A ticket is held by whoever drives the request (the head's future, then the body) and is freed with it. Dropped without an
//! ending it is the client's own abort, which says nothing about the arm.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::Instant;

use crate::counts::{ArmCounters, Role, now_ms};
use crate::key::Key;
use crate::served::{Served, ServedArm};

/// How a request ended, seen from the arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The whole answer came.
    Whole,
    /// No connection to the upstream.
    NotConnected,
    /// The upstream closed early, or its head made no sense.
    NoAnswer,
    /// The head or the rest of the body did not come in time.
    TimedOut,
    /// The upstream cut the body off.
    Cut,
}

/// The place of a request in the counts of its arm.
#[derive(Debug)]
pub(crate) struct Ticket {
    counters: Arc<ArmCounters>,
    role: Role,
    /// When the arm's time began: with the last byte of the request, for the client's line is not the arm's fault.
    pub(crate) since: Instant,
    pub(crate) hang_after: Duration,
    status: Option<StatusCode>,
    /// Counted as an error already, at the age at which it began to hang.
    is_hung: bool,
    is_ended: bool,
}

impl Ticket {
    /// Counts a request as begun.
    pub(crate) fn begin(served: &Served, arm: &ServedArm, key: &Key<'_>) -> Self {
        arm.counters.begun(arm.role);
        if key.is_of_request() {
            arm.counters.keyed_by_request.fetch_add(1, Relaxed);
        }
        if let Some(exposure) = &arm.exposure {
            exposure.count(key);
        }
        let counters = Arc::clone(&arm.counters);
        Self {
            counters,
            role: arm.role,
            since: Instant::now(),
            hang_after: served.hang_after,
            status: None,
            is_hung: false,
            is_ended: false,
        }
    }

    /// The limit of the age, until the request has passed it.
    pub(crate) fn hang_limit(&self) -> Option<Duration> {
        (!self.is_hung).then_some(self.hang_after)
    }

    /// Counts the head of the answer, and when it was begun to be sent on.
    pub(crate) fn headed(&mut self, status: StatusCode, age: Duration) {
        self.status = Some(status);
        self.counters.last_begun_ms.fetch_max(now_ms(), Relaxed);
        self.counters.codes(self.role).add(status);
        if !self.is_hung {
            self.counters.ttft.add(age);
        }
    }

    /// Counts observations of the answer.
    pub(crate) fn observed(&self, observations: &[(String, f64)], ignored: u64) {
        self.counters.observe(observations, ignored);
    }

    /// Counts the request as hanging from now on, whatever becomes of it.
    pub(crate) fn hang(&mut self, age: Duration) {
        self.is_hung = true;
        self.counters.hung.fetch_add(1, Relaxed);
        self.counters.ended(false);
        self.enter_age(age);
    }

    /// Counts the end. `age` is the time that the upstream took.
    pub(crate) fn end(mut self, ending: Ending, age: Duration) {
        self.is_ended = true;
        match ending {
            Ending::Whole => {}
            Ending::NotConnected => _ = self.counters.connect_failures.fetch_add(1, Relaxed),
            Ending::NoAnswer => _ = self.counters.broken.fetch_add(1, Relaxed),
            Ending::TimedOut => _ = self.counters.timeouts.fetch_add(1, Relaxed),
            Ending::Cut => _ = self.counters.truncated.fetch_add(1, Relaxed),
        }
        if self.is_hung {
            return;
        }
        let is_good = ending == Ending::Whole && self.status.is_some_and(|status| !status.is_server_error());
        self.counters.ended(is_good);
        match ending {
            Ending::Whole => self.counters.latency.add(age),
            Ending::TimedOut => self.enter_age(age),
            // Failing fast is not being fast.
            Ending::NotConnected | Ending::NoAnswer | Ending::Cut => {}
        }
    }

    /// Counts the answer that we give in place of the arm.
    pub(crate) fn answered_for(&self, status: StatusCode) {
        self.counters.last_begun_ms.fetch_max(now_ms(), Relaxed);
        self.counters.codes(self.role).add(status);
    }

    /// A request that does not end still has an age, and the arm must not look faster for it.
    fn enter_age(&self, age: Duration) {
        self.counters.latency.add(age);
        if self.status.is_none() {
            self.counters.ttft.add(age);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_ended {
            self.counters.aborted.fetch_add(1, Relaxed);
        }
        self.counters.in_flight.fetch_sub(1, Relaxed);
    }
}
