//! What a tick makes of what its source said: increments for the judge, and for people since when and why there are none.

use std::collections::{BTreeMap, BTreeSet};

use judge::{Arm, Collected, Signal, SignalName, Trouble, Verdict};
use rollout::At;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::analysis::{Analysis, Memory};
use crate::prometheus::Failed;
use crate::questions;
use crate::source::{Gathered, Source};

/// Ticks that may end without an answer before that counts as silence: one may be under way.
const UNHEARD_MAX: u32 = 1;

/// What was heard before a tick is closed.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    gathered: Option<Gathered>,
    is_configured: bool,
    /// Each check's query, as evidence.
    shown: Vec<Option<String>>,
}

/// A signal that can't be had.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Silence {
    since: At,
    trouble: Trouble,
    why: String,
}

/// Asks the source what the checks of an analysis want to know.
pub(crate) async fn hear(source: Option<&Source>, analysis: &Analysis, until: At) -> Heard {
    let label = source.and_then(Source::tenant_label);
    let Some(asked) = questions::of(analysis, until, label) else { return Heard::default() };
    let run = &analysis.request.run;
    let shown = run.checks.checks.iter().map(|check| questions::shown(analysis, check, label)).collect();
    let gathered = match source {
        Some(source) => source.hear(&run.rollout_id, asked).await,
        None => None,
    };
    Heard { gathered, is_configured: source.is_some(), shown }
}

impl Heard {
    /// Takes it into an analysis, and gives what leaves in the tick that ends at `until`.
    pub(crate) fn take(&self, analysis: &mut Analysis, until: At) -> Collected {
        let tick_ms = analysis.tick_ms();
        let asked: BTreeSet<SignalName> =
            analysis.request.run.checks.queries().map(|(check, _)| check.kind.signal().clone()).collect();
        if asked.is_empty() {
            return Collected::default();
        }
        let memory = &mut analysis.memory;
        let began_at = until.plus_ms(-tick_ms);
        if let Some(gathered) = &self.gathered {
            memory.unheard = 0;
            memory.silent.retain(|signal, _| gathered.troubles.contains_key(signal));
            for (signal, failed) in &gathered.troubles {
                silence(memory, signal, failed, began_at);
            }
            if !gathered.replies.is_empty() {
                memory.scrapes.take(&gathered.replies, gathered.until.0, tick_ms);
            }
        } else {
            memory.unheard = memory.unheard.saturating_add(1);
        }
        if let Some(failed) = self.unheard(memory.unheard) {
            asked.iter().for_each(|signal| silence(memory, signal, &failed, began_at));
        }
        let mut collected = memory.scrapes.close();
        for (signal, arm, value) in self.gathered.iter().flat_map(|gathered| &gathered.numbers) {
            let signals = match arm {
                Arm::Candidate => &mut collected.candidate,
                Arm::Stable => &mut collected.stable,
            };
            signals.insert(signal.clone(), Signal::Gauge { value: *value, n: None });
        }
        collected
    }

    fn unheard(&self, ticks: u32) -> Option<Failed> {
        if !self.is_configured {
            return Some(Failed::source(format!("is not configured any more: set {}", chassis::Prometheus::URL)));
        }
        (ticks > UNHEARD_MAX).then(|| Failed::source("has not answered yet"))
    }

    /// Writes into a verdict what was asked, and why there is no answer.
    pub(crate) fn evidence(&self, analysis: &Analysis, verdict: &mut Verdict) {
        let checks = &analysis.request.run.checks.checks;
        for result in &mut verdict.checks {
            let Ok(index) = usize::try_from(result.check) else { continue };
            result.query = self.shown.get(index).cloned().flatten();
            let signal = checks.get(index).map(|check| check.kind.signal());
            result.trouble = signal.and_then(|signal| analysis.memory.silent.get(signal)).map(Silence::told);
        }
    }
}

/// The signals that can't be had, for the judge.
pub(crate) fn troubles(memory: &Memory) -> BTreeMap<SignalName, Trouble> {
    memory.silent.iter().map(|(signal, silence)| (signal.clone(), silence.trouble)).collect()
}

/// Notes why a signal can't be had; since when, the first note says.
fn silence(memory: &mut Memory, signal: &SignalName, failed: &Failed, since: At) {
    let known = memory.silent.get(signal).filter(|known| known.trouble == failed.trouble).map(|known| known.since);
    let silence = Silence { since: known.unwrap_or(since), trouble: failed.trouble, why: failed.why.clone() };
    memory.silent.insert(signal.clone(), silence);
}

impl Silence {
    fn told(&self) -> String {
        if self.trouble != Trouble::SourceFailed {
            return format!("holding: prometheus {}", self.why);
        }
        let since = OffsetDateTime::from_unix_timestamp(self.since.0.div_euclid(1_000))
            .ok()
            .and_then(|since| since.format(&Rfc3339).ok())
            .unwrap_or_else(|| self.since.0.to_string());
        format!("holding: no data from prometheus since {since}: it {}", self.why)
    }
}
