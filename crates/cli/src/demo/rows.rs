//! What a story came to, line by line: first what sessions and requests got, then what the rollout's records say.

use std::fmt::Display;

use super::measure::Measured;
use super::play::Played;
use super::story::{CANDIDATE, STABLE};
use crate::load::VersionReport;
use crate::words::{number, percent, share};

#[derive(Default)]
struct Rows(Vec<(String, String)>);

pub(super) fn rows(played: &Played, measured: &Measured) -> Vec<(String, String)> {
    let mut rows = Rows::default();
    rows.outside(played, measured);
    if let Some(reached) = &played.rollout.reached {
        rows.add("sessions that v2 reached, by its ledger", reached.in_sessions());
        rows.add("requests that v2 got, by its ledger", reached.in_requests());
    }
    rows.retreat(measured);
    if let Some(limit) = played.silence_limit_ms().filter(|_| played.story.is_silent()) {
        rows.add_time("split confirmed -> rollback confirmed", measured.turned_ms());
        rows.add_time("the limit of that: hang_after and two ticks", Some(limit));
    }
    let applied = played.rollout.split.applied;
    let weights = format!("{STABLE} {}, {CANDIDATE} {}", share(rollout::WHOLE - applied), share(applied));
    rows.add("weights confirmed by the router", weights);
    rows.add("active version in the registry", measured.active.as_deref().unwrap_or("none"));
    rows.0
}

impl Rows {
    fn outside(&mut self, played: &Played, measured: &Measured) {
        let (report, candidate) = (&played.report, &measured.candidate);
        let of = |part: u64, whole: u64| format!("{part} of {whole} ({})", percent(part, whole));
        let p95 = |name: &str, version: &VersionReport| format!("{name} {} ms", number(version.p95_ms.round()));
        self.add("requests sent", report.requests);
        if report.skipped > 0 {
            self.add("requests held back: this machine is too busy", report.skipped);
        }
        self.add("failures caused by us", played.failed_by_us());
        self.add("failures of the models themselves", report.failed_by_model);
        if played.story.is_silent() {
            self.add("requests that v2 never answered", of(played.unanswered(), report.requests));
            return;
        }
        self.add("requests that v2 served", of(candidate.answered, report.requests));
        self.add("sessions that v2 served", of(candidate.sessions, report.sessions));
        for step in measured.steps.iter().filter(|step| step.requests > 0) {
            let what = format!("v2's share of requests at {}", share(step.desired));
            self.add(what, percent(step.candidate, step.requests));
        }
        self.add("p95 latency", [p95(STABLE, &measured.stable), p95(CANDIDATE, candidate)].join(", "));
        self.add("sticky violations while growing", measured.sticky_violations);
    }

    fn retreat(&mut self, measured: &Measured) {
        let back = measured.decided_at.zip(measured.back_at).map(|(decided, back)| back.ms_since(decided));
        let seen = measured.begun_at.zip(measured.decided_at).map(|(begun, decided)| decided.ms_since(begun));
        self.add_time("split confirmed -> decision", seen);
        self.add_time("first v2 answer begun -> decision", measured.detection_ms);
        self.add_time("decision -> confirmed by the router", back);
        self.add_time("decision -> last v2 answer begun", measured.last_after_decision_ms);
        self.add_time("confirmed -> last v2 answer begun", measured.last_after_back_ms);
    }

    fn add(&mut self, what: impl Into<String>, value: impl Display) {
        self.0.push((what.into(), value.to_string()));
    }

    /// A negative time says that nothing came after.
    fn add_time(&mut self, what: &str, ms: Option<i64>) {
        match ms {
            Some(ms) if ms < 0 => self.add(what, format!("{ms} ms: none came after it")),
            Some(ms) => self.add(what, format!("{ms} ms")),
            None => {}
        }
    }
}
