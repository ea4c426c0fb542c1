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
    hang_after: Duration,
    /// When its time to the first byte is counted though there is none; until it was.
    silent_after: Option<Duration>,
    status: Option<StatusCode>,
    /// Counted as an error already, at the age at which it began to hang.
    is_hung: bool,
    /// Its time to the first byte is in the counts.
    has_ttft: bool,
    is_ended: bool,
}

impl Ticket {
    /// Counts a request as begun.
    pub(crate) fn begin(served: &Served, arm: &ServedArm, key: &Key<'_>) -> Self {
        arm.counters.begun(arm.role);
        if key.is_of_request() {
            arm.counters.keyed_by_request.fetch_add(1, Relaxed);
        }
        if served.is_newcomer(arm, key) {
            arm.counters.new_sessions.fetch_add(1, Relaxed);
        }
        let counters = Arc::clone(&arm.counters);
        Self {
            counters,
            role: arm.role,
            since: Instant::now(),
            hang_after: served.hang_after,
            silent_after: served.silent_after,
            status: None,
            is_hung: false,
            has_ttft: false,
            is_ended: false,
        }
    }

    /// The limit of the age, until the request has passed it.
    pub(crate) fn hang_limit(&self) -> Option<Duration> {
        (!self.is_hung).then_some(self.hang_after)
    }

    /// Counts what the age of a request without a head says; gives how long until there is more to be said.
    pub(crate) fn aged(&mut self, age: Duration) -> Option<Duration> {
        if self.silent_after.is_some_and(|limit| limit <= age) {
            self.silent_after = None;
            self.enter_ttft(age);
        }
        if !self.is_hung && self.hang_after <= age {
            self.hang(age);
        }
        let hang = (!self.is_hung).then_some(self.hang_after);
        hang.into_iter().chain(self.silent_after).map(|limit| limit - age).min()
    }

    /// Counts the head of the answer, and when it was begun to be sent on.
    pub(crate) fn headed(&mut self, status: StatusCode, age: Duration) {
        self.status = Some(status);
        self.counters.last_begun_ms.fetch_max(now_ms(), Relaxed);
        self.counters.codes(self.role).add(status);
        self.enter_ttft(age);
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
        self.counters.latency.add(age);
        // A larger limit on the first byte is still to come.
        if self.silent_after.is_none() {
            self.enter_ttft(age);
        }
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
        // A request that does not end still has an age, and the arm must not look faster for it.
        if ending == Ending::TimedOut {
            self.enter_ttft(age);
        }
        if self.is_hung {
            return;
        }
        let is_good = ending == Ending::Whole && self.status.is_some_and(|status| !status.is_server_error());
        self.counters.ended(is_good);
        match ending {
            Ending::Whole | Ending::TimedOut => self.counters.latency.add(age),
            // Failing fast is not being fast.
            Ending::NotConnected | Ending::NoAnswer | Ending::Cut => {}
        }
    }

    /// Counts the answer that we give in place of the arm.
    pub(crate) fn answered_for(&self, status: StatusCode) {
        self.counters.last_begun_ms.fetch_max(now_ms(), Relaxed);
        self.counters.codes(self.role).add(status);
    }

    /// Once: at the first byte, or at the age at which there should have been one.
    fn enter_ttft(&mut self, age: Duration) {
        if !self.has_ttft {
            self.has_ttft = true;
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
