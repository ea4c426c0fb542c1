//! Pieces that several pages show.

use maud::{Markup, html};
use proto::http::{RolloutView, SplitView};
use rollout::{At, Stage};

/// The stage as a coloured word.
pub(super) fn stage(stage: Stage) -> Markup {
    let tone = match stage {
        Stage::Completed => "good",
        Stage::Retreating | Stage::RolledBack => "ill",
        Stage::Gated | Stage::Paused => "waiting",
        _ if stage.is_live() => "going",
        _ => "",
    };
    html! { span.chip.(tone) { (words(stage.name())) } }
}

/// A stored word as people read it.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// `2/4 25% ramp`.
pub(super) fn step(view: &RolloutView) -> Markup {
    let (at, count) = (usize::try_from(view.step).unwrap_or(usize::MAX), view.plan.steps.len());
    html! {
        @match view.plan.steps.get(at) {
            Some(step) => { span.tight { (at + 1) "/" (count) } " " span.soft { (step.name) } }
            None => { (count) "/" (count) }
        }
    }
}

/// What is wanted, what the routers confirmed, and what they counted.
pub(super) fn split(split: &SplitView) -> Markup {
    let (wanted, applied) = (share(split.desired), share(split.applied));
    let mark = (f64::from(split.desired) / 100.0 - 1.0).max(0.0);
    html! {
        span.split {
            (applied) @if split.desired != split.applied { span.soft { " of " (wanted) " wanted" } }
            @if let Some(observed) = split.observed { span.soft { ", seen " (share(observed)) } }
            svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={ "applied " (applied) ", wanted " (wanted) } {
                rect.whole width="100" height="6" {}
                rect.applied width=(f64::from(split.applied) / 100.0) height="6" {}
                rect.wanted x=(mark) width="1" height="6" {}
            }
        }
    }
}

/// Basis points as percent.
pub(super) fn share(points: u32) -> String {
    format!("{} %", f64::from(points) / 100.0)
}

/// The latest verdict in a word, and its first issue.
pub(super) fn verdict(view: &RolloutView) -> Markup {
    html! {
        @if let Some(verdict) = &view.verdict {
            (words(&word(&verdict.result)))
            @match view.issues.first() {
                Some(issue) => { div.small.bad { (issue) } }
                None => { @if let Some(reason) = &verdict.reason { span.small.soft { " " (words(&word(reason))) } } }
            }
        }
    }
}

/// The word under which a value is written.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// An instant as time that has passed; the instant itself shows when it is pointed at.
pub(super) fn since(at: At, now: At) -> Markup {
    let text = proto::instant::text(at);
    html! { time datetime=(text) title=(text) { (passed(now.ms_since(at) / 1000)) } }
}

/// An instant to the second.
pub(super) fn instant(at: At) -> Markup {
    let text = proto::instant::text(At(at.0 - at.0.rem_euclid(1000)));
    html! { time datetime=(text) { (text.replace('T', " ").trim_end_matches('Z')) } }
}

fn passed(seconds: i64) -> String {
    match seconds {
        ..=1 => "just now".to_owned(),
        2..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
