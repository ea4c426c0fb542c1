//! An analysis as it is stored, and the verdict as it is said.

use std::collections::BTreeMap;

use judge::{Arm, Caps, Collector, Scrapes, Signal, SignalName, Signals, Spread, State, Verdict, render};
use proto::{AnalysisRun, ExposureLedger, Message, Replay, VerdictReached, digest};
use rollout::{At, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::JudgeRow;

use chassis::Failure;

use crate::heard::Silence;

/// What was asked for, with the id that answers are made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) message_id: String,
    pub(crate) run: AnalysisRun,
}

/// What is remembered between ticks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) judge: State,
    pub(crate) collector: Collector,
    /// Where values without a stated bound are cut.
    #[serde(default)]
    pub(crate) caps: Caps,
    /// Whom the rollout has reached.
    #[serde(default)]
    pub(crate) exposure: ExposureLedger,
    /// The series of queries.
    #[serde(default)]
    pub(crate) scrapes: Scrapes,
    /// Signals of queries that can't be had.
    #[serde(default)]
    pub(crate) silent: BTreeMap<SignalName, Silence>,
    /// Ticks in a row that ended before the source had answered.
    #[serde(default)]
    pub(crate) unheard: u32,
}

impl Memory {
    pub(crate) fn new(judge: State, caps: Caps) -> Self {
        Self {
            judge,
            caps,
            collector: Collector::new(),
            exposure: ExposureLedger::default(),
            scrapes: Scrapes::default(),
            silent: BTreeMap::new(),
            unheard: 0,
        }
    }
}

/// An analysis.
#[derive(Debug, Clone)]
pub(crate) struct Analysis {
    pub(crate) request: Request,
    pub(crate) memory: Memory,
    pub(crate) verdict: Option<Verdict>,
    /// The last tick closed, over all steps.
    pub(crate) tick: i64,
}

impl Analysis {
    pub(crate) fn of(row: &JudgeRow) -> Result<Self, Failure> {
        Ok(Self {
            request: read(&row.request)?,
            memory: read(&row.state)?,
            verdict: row.verdict.as_ref().map(read).transpose()?,
            tick: row.tick,
        })
    }

    pub(crate) fn row(&self, wake_at: Option<At>) -> Result<JudgeRow, Failure> {
        let run = &self.request.run;
        Ok(JudgeRow {
            rollout_id: run.rollout_id.clone(),
            tenant: run.tenant.clone(),
            model: run.model.clone(),
            attempt: run.attempt,
            tick: self.tick,
            request: written(&self.request)?,
            state: written(&self.memory)?,
            verdict: self.verdict.as_ref().map(written).transpose()?,
            wake_at,
        })
    }

    /// The first end of a tick of this step that lies after `at`.
    pub(crate) fn next_end(&self, at: At) -> At {
        let (applied_at, tick) = (self.request.run.applied_at, self.tick_ms());
        applied_at.plus_ms((at.ms_since(applied_at).max(0) / tick + 1).saturating_mul(tick))
    }

    pub(crate) fn tick_ms(&self) -> i64 {
        self.request.run.checks.tick.ms().max(1)
    }

    /// The arm that a version is in this analysis.
    pub(crate) fn arm(&self, version: &Version) -> Option<Arm> {
        let run = &self.request.run;
        if *version == run.candidate {
            Some(Arm::Candidate)
        } else {
            (Some(version) == run.stable.as_ref()).then_some(Arm::Stable)
        }
    }

    /// What a source has counted, with the values by size of what will be cut.
    pub(crate) fn signals(&self, mut signals: Signals, spreads: &BTreeMap<String, Spread>) -> Signals {
        for name in self.request.run.checks.uncapped().filter_map(SignalName::observed) {
            if let Some(values) = spreads.get(name) {
                signals.insert(SignalName::spread(name), Signal::Spread { values: values.clone() });
            }
        }
        signals
    }

    /// Whether the step leaves traffic to the stable arm.
    pub(crate) const fn stable_is_planned(&self) -> bool {
        self.request.run.stable.is_some() && self.request.run.split_bp < rollout::WHOLE
    }

    /// The message that tells the verdict.
    pub(crate) fn reached(&self, verdict: &Verdict) -> Message {
        let run = &self.request.run;
        Message::VerdictReached(VerdictReached {
            tenant: run.tenant.clone(),
            model: run.model.clone(),
            rollout_id: run.rollout_id.clone(),
            attempt: run.attempt,
            generation: run.generation,
            split_bp: run.split_bp,
            arm: run.candidate.clone(),
            is_healthy: verdict.is_healthy(),
            issues: render(&run.checks, verdict),
            reached: self.memory.exposure.reached(&run.candidate),
            replay: Some(Replay {
                first_tick: 1,
                last_tick: verdict.tick,
                policy_digest: digest(&run.checks),
                state_digest: digest(&self.memory.judge),
            }),
            verdict: verdict.clone(),
        })
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|cause| Failure::never("bad_state", cause))
}

fn written(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|cause| Failure::never("bad_state", cause))
}
