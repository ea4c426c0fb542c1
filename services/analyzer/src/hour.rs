//! What a source knows of the stable arm's hour before a rollout: it is asked once, when an analysis is opened, and not waited for
//! long. Without an answer the judge learns from the rollout itself.

use std::collections::BTreeMap;
use std::time::Duration;

use judge::{Arm, Reply, Scrapes, Signals, Span};
use proto::AnalysisRun;
use rollout::At;

use crate::questions;
use crate::source::Source;

/// How much of the past is the baseline.
pub(crate) const HOUR: Span = Span::from_secs(3600);

/// The baseline is kept by minutes.
const MINUTE: i64 = 60_000;

/// An answer that comes later is not used: the step has begun.
const LIMIT: Duration = Duration::from_secs(3);

/// The stable arm's increments by the begin of their minute, as far as they are told in time.
pub(crate) async fn asked(source: Option<&Source>, run: &AnalysisRun) -> BTreeMap<At, Signals> {
    let Some(source) = source else { return BTreeMap::new() };
    let Some(questions) = questions::of_the_past(run, HOUR, source.tenant_label()) else { return BTreeMap::new() };
    match tokio::time::timeout(LIMIT, source.look_back(&questions)).await {
        Ok(gathered) => minutes(gathered.replies, questions.since, questions.until),
        Err(_) => BTreeMap::new(),
    }
}

fn minutes(replies: Vec<Reply>, since: At, until: At) -> BTreeMap<At, Signals> {
    // It is the only arm that was asked about, so it waits for no other one.
    let replies: Vec<Reply> = replies.into_iter().map(|reply| Reply { arm: Arm::Candidate, ..reply }).collect();
    let mut scrapes = Scrapes::default();
    scrapes.enter_step(since.0, false);
    let begins = (since.0.div_euclid(MINUTE)..=(until.0 - 1).div_euclid(MINUTE)).map(|minute| minute * MINUTE);
    let increments = begins.map(|begin| {
        scrapes.take(&replies, until.0.min(begin + MINUTE), MINUTE);
        (At(begin), scrapes.close().candidate)
    });
    increments.filter(|(_, signals)| !signals.is_empty()).collect()
}
