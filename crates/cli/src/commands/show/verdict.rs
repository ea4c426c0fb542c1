//! The latest verdict, check by check.

use judge::{CheckResult, Comparison, Decidable, Power, Span, SplitEvidence, Verdict};

use crate::screen::Table;
use crate::words::{number, or_dash, plain, share, word};

/// The verdict as a heading, its checks, why some do not decide, and what is broken in sentences.
pub(super) fn text(verdict: &Verdict, issues: &[String]) -> String {
    let result = word(&verdict.result);
    let reason = verdict.reason.as_ref().map(word).filter(|reason| *reason != result);
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let (step, tick, action) = (verdict.step + 1, verdict.tick, word(&verdict.action));
    let mut lines = vec![format!("verdict of step {step}, tick {tick}: {result}{reason}, asks to {action}")];
    lines.push(table(&verdict.checks));
    let undecided = verdict.checks.iter().filter_map(|check| Some((check, check.reason.as_ref()?)));
    lines.extend(undecided.map(|(check, reason)| format!("? {}: {}", check.metric, word(reason))));
    lines.extend(verdict.checks.iter().flat_map(sequential).map(|sentence| super::fitted(&plain(&sentence), 2)));
    lines.extend(verdict.power.as_ref().map(soon));
    lines.extend(verdict.split.as_ref().map(newcomers));
    lines.extend(troubles(verdict).into_iter().map(|trouble| super::fitted(&plain(&trouble), 2)));
    lines.extend(issues.iter().map(|issue| super::fitted(&format!("! {}", plain(issue)), 2)));
    lines.join("\n")
}

/// How sure a sequential rule is, and what it still needs.
fn sequential(check: &CheckResult) -> impl Iterator<Item = String> {
    let outlook = judge::outlook(check).map(|outlook| format!("  {}: {outlook}", check.metric));
    judge::evidence(check).map(|evidence| format!("= {evidence}")).into_iter().chain(outlook)
}

/// When the step can be decided, as it goes now.
fn soon(power: &Power) -> String {
    let when = Span::from_secs(power.eta_seconds.div_ceil(60) * 60);
    let time = match power.decidable {
        Decidable::Yes => "in the step's time",
        Decidable::WithExtension => "in its extension",
        Decidable::No => "longer than the step has",
    };
    format!("  the slowest needs about {} more samples, at this rate {when}: {time}", power.samples_needed)
}

/// Which share of the sessions that were seen first in this step got the candidate.
fn newcomers(split: &SplitEvidence) -> String {
    format!("  of new sessions, {} get the candidate, {} asked for", share(split.observed_bp), share(split.expected_bp))
}

/// Since when and why numbers can't be had, each sentence once.
fn troubles(verdict: &Verdict) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for trouble in verdict.checks.iter().filter_map(|check| check.trouble.as_ref()) {
        if !told.contains(trouble) {
            told.push(trouble.clone());
        }
    }
    told
}

fn table(checks: &[CheckResult]) -> String {
    let mut table = Table::new(["CHECK", "RESULT", "VALUE", "LIMIT", "N", "VERSUS", "THEN"]);
    for check in checks {
        table.row([
            check.metric.clone(),
            word(&check.result),
            or_dash(check.value.map(number)),
            format!("{} {}", word(&check.rule), number(check.limit)),
            or_dash(check.n_candidate.map(number)),
            versus(check),
            word(&check.action),
        ]);
    }
    table.text()
}

/// What the value was compared with: stable's value at the same time, or that of the hour before.
fn versus(check: &CheckResult) -> String {
    let other = match check.comparison {
        Comparison::None => return "-".to_owned(),
        Comparison::Concurrent => "stable",
        Comparison::Baseline => "baseline",
    };
    format!("{other} {} (n {})", or_dash(check.stable_value.map(number)), or_dash(check.n_stable.map(number)))
}
