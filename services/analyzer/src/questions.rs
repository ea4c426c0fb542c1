//! What an analysis asks a source in one tick: the templates of its checks, filled in for each arm.

use judge::query::{Part, Values};
use judge::{Arm, Query, ResolvedCheck, Scrapes, SignalName, Span, Template};
use proto::AnalysisRun;
use rollout::At;

use crate::analysis::Analysis;

/// The longest text of all queries in a verdict: it travels in a message.
const SHOWN_BYTES_MAX: usize = 16 * 1024;

/// All that is asked in one tick.
#[derive(Debug, Clone)]
pub(crate) struct Questions {
    pub(crate) asked: Vec<Question>,
    /// The stretch of time that samples are wanted of.
    pub(crate) since: At,
    pub(crate) until: At,
    /// Seconds between two samples; as they were scraped when absent.
    pub(crate) every: Option<u32>,
    /// Whose value a tenant's label has.
    pub(crate) tenant: String,
    /// What is known already.
    pub(crate) scrapes: Scrapes,
}

/// The numbers of one signal and arm.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) signal: SignalName,
    pub(crate) arm: Arm,
    /// What to ask, the whole before its part: what is asked later can only know more. Or why it can't be asked.
    pub(crate) parts: Vec<(Part, Result<String, String>)>,
}

/// The questions of a tick; none if no check has a query.
pub(crate) fn of(analysis: &Analysis, until: At, tenant_label: Option<&str>) -> Option<Questions> {
    let run = &analysis.request.run;
    let arms = [Some(Arm::Candidate), analysis.stable_is_planned().then_some(Arm::Stable)];
    let mut asked: Vec<Question> = Vec::new();
    for (check, query) in run.checks.queries() {
        let signal = check.kind.signal();
        // Checks of one name have one query.
        if asked.iter().any(|question| question.signal == *signal) {
            continue;
        }
        for arm in arms.into_iter().flatten() {
            let parts = filled(run, query, arm, tenant_label).into_iter().rev();
            asked.push(Question { signal: signal.clone(), arm, parts: parts.collect() });
        }
    }
    let scrapes = analysis.memory.scrapes.clone();
    let since = At(scrapes.wanted_since_ms(until.0, analysis.tick_ms()));
    (!asked.is_empty()).then(|| Questions { asked, since, until, every: None, tenant: run.tenant.to_string(), scrapes })
}

/// What the stable arm did in the time before a rollout; none if no check has a query of something that adds up.
pub(crate) fn of_the_past(run: &AnalysisRun, span: Span, tenant_label: Option<&str>) -> Option<Questions> {
    run.stable.as_ref()?;
    let mut asked: Vec<Question> = Vec::new();
    for (check, query) in run.checks.queries() {
        let signal = check.kind.signal();
        if query.value.is_some() || asked.iter().any(|question| question.signal == *signal) {
            continue;
        }
        let parts = filled(run, query, Arm::Stable, tenant_label).into_iter().rev();
        asked.push(Question { signal: signal.clone(), arm: Arm::Stable, parts: parts.collect() });
    }
    let (since, until) = (run.applied_at.plus_ms(-span.ms()), run.applied_at);
    let (tenant, scrapes) = (run.tenant.to_string(), Scrapes::default());
    (!asked.is_empty()).then_some(Questions { asked, since, until, every: None, tenant, scrapes })
}

/// The candidate's queries of a check, as evidence.
pub(crate) fn shown(analysis: &Analysis, check: &ResolvedCheck, tenant_label: Option<&str>) -> Option<String> {
    let parts = filled(&analysis.request.run, check.query.as_ref()?, Arm::Candidate, tenant_label);
    let texts: Vec<String> = parts.into_iter().filter_map(|(_, text)| text.ok()).collect();
    let rules: usize = analysis.request.run.checks.checks.iter().map(|check| check.rules.len()).sum();
    let mut text = texts.join(" / ");
    let mut end = (SHOWN_BYTES_MAX / rules.max(1)).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end < text.len() {
        text.truncate(end);
        text.push('…');
    }
    Some(text)
}

fn filled(
    run: &AnalysisRun,
    query: &Query,
    arm: Arm,
    tenant_label: Option<&str>,
) -> Vec<(Part, Result<String, String>)> {
    let version = match arm {
        Arm::Candidate => Some(&run.candidate),
        Arm::Stable => run.stable.as_ref(),
    };
    let tenant = run.tenant.to_string();
    let values = Values {
        model: run.model.to_string(),
        version: version.map(ToString::to_string).unwrap_or_default(),
        tenant: tenant.clone(),
        arm,
        step: run.step,
    };
    let forced = tenant_label.map(|label| (label, tenant.as_str()));
    let fill = |text: &str| Template::parse(text)?.fill(&values, forced);
    query.parts().map(|(_, part, text)| (part, fill(text))).collect()
}
