//! The page of one rollout: where it stands, on what evidence, how it came there, and what it will do.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chassis::Core;
use judge::Verdict;
use maud::{Markup, html};
use proto::http::{HistoryEntry, RolloutView};
use rollout::Rollout;

use super::frame;
use super::parts::{instant, share, since, split, stage, step, word, words};
use crate::problem::Answer;
use crate::rollout_view::whole;
use crate::rollouts::{found, logged};

/// What is shown of one rollout.
struct Shown {
    row: Rollout,
    view: RolloutView,
    history: Vec<HistoryEntry>,
}

pub(super) async fn page(State(core): State<Core>, Path(id): Path<String>) -> Response {
    match loaded(&core, &id).await {
        Ok(shown) => {
            let title = format!("{} {}", shown.view.model, shown.view.candidate);
            let events = format!("/v1/events?rollout={}", shown.view.id);
            frame::page(StatusCode::OK, &title, Some(&events), &body(&shown, &core))
        }
        Err(refusal) => frame::failed(&refusal),
    }
}

async fn loaded(core: &Core, id: &str) -> Answer<Shown> {
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let row = found(&mut rows, id).await?;
    let view = whole(&mut rows, &row).await?;
    let history = logged(&mut rows, &row).await?;
    Ok(Shown { row, view, history })
}

fn body(Shown { row, view, history }: &Shown, core: &Core) -> Markup {
    let now = core.clock.now();
    html! {
        h1 { (view.model) " " (view.candidate) " " (stage(view.stage)) }
        @if let Some(reason) = &view.reason { p { (reason) } }
        dl {
            dt { "Split" } dd {
                (split(&view.split))
                @if let Some(at) = view.split.drifted_since { div.small.bad { "the routers do not serve it, since " (since(at, now)) } }
            }
            dt { "Step" } dd { (step(view)) }
            dt { "In this stage" } dd { (since(row.entered_at, now)) }
            @if let Some(previous) = &view.previous { dt { "Version before" } dd { (previous) } }
            dt { "Asked for by" } dd { (view.requested_by) ", " (instant(view.created_at)) " UTC" }
            dt { "Policy" } dd { (view.plan.policy) }
            dt { "Id" } dd { code { (view.id) } }
        }
        (evidence(view))
        (steps(view))
        (log(history))
        h2 { "Plan" }
        @for note in &view.plan.notes { p.soft.small { (note) } }
        details id="plan" { summary { "Every number that applies" } pre { (pretty(&view.plan)) } }
    }
}

fn evidence(view: &RolloutView) -> Markup {
    html! {
        h2 { "Evidence" }
        @match &view.verdict {
            None => { p.soft { "Nothing has been judged yet." } }
            Some(verdict) => {
                p { (words(&word(&verdict.result))) ", so: " (words(&word(&verdict.action))) }
                @if !view.issues.is_empty() { ul.issues { @for issue in &view.issues { li { (issue) } } } }
                (checks(verdict))
            }
        }
        @if !view.exposure.is_empty() {
            table.cards {
                thead { tr { th { "Version" } th.number { "Requests" } th.number { "Errors" } th.number { "Sessions, about" } } }
                tbody { @for part in &view.exposure { tr {
                    td data-label="Version" { (part.version) }
                    td.number data-label="Requests" { (part.requests) }
                    td.number data-label="Errors" { (part.errors) }
                    td.number data-label="Sessions" { (part.sessions) }
                } } }
            }
        }
    }
}

fn checks(verdict: &Verdict) -> Markup {
    let number =
        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{}", (value * 1e4).round() / 1e4));
    html! {
        table.cards {
            thead { tr {
                th { "Check" } th { "Result" } th.number { "Value" } th.number { "Before" } th.number { "Limit" } th.number { "Samples" }
            } }
            tbody { @for check in &verdict.checks { tr {
                td data-label="Check" { (check.metric) " " span.soft { (check.rule.as_str()) } }
                td data-label="Result" { (words(&word(&check.result))) }
                td.number data-label="Value" { (number(check.value)) }
                td.number data-label="Before" { (number(check.stable_value)) }
                td.number data-label="Limit" { (number(Some(check.limit))) }
                td.number data-label="Samples" { (number(check.n_candidate)) }
            } } }
        }
    }
}

fn steps(view: &RolloutView) -> Markup {
    html! {
        h2 { "Steps" }
        table.cards {
            thead { tr { th { "#" } th { "Step" } th { "Candidate gets" } th { "For" } th { "Gate" } } }
            tbody { @for (at, step) in view.plan.steps.iter().enumerate() {
                tr.now[u32::try_from(at).is_ok_and(|at| at == view.step) && !view.stage.is_final()] {
                    td data-label="#" { (at + 1) }
                    td data-label="Step" { (step.name) }
                    td data-label="Candidate gets" { (share(step.split.candidates().basis_points())) }
                    td data-label="For" { (step.dwell) }
                    td data-label="Gate" { @match &step.gate {
                        Some(gate) => { "a person, within " (gate.expires) }
                        None => { span.soft { "none" } }
                    } }
                }
            } }
        }
    }
}

fn log(history: &[HistoryEntry]) -> Markup {
    html! {
        h2 { "History" }
        table.cards {
            thead { tr { th { "When (UTC)" } th { "What" } th { "Stage" } th { "By" } th { "Why" } } }
            tbody { @for entry in history.iter().rev() { tr.over[entry.from == entry.to] {
                td.tight data-label="When" { (instant(entry.at)) }
                td data-label="What" { (words(&entry.fact)) @if entry.entry == "refusal" { span.bad { " refused" } } }
                td data-label="Stage" { (moved(entry)) }
                td data-label="By" { (entry.actor) }
                td data-label="Why" {
                    @if let Some(reason) = &entry.reason { (reason) }
                    @if let Some(evidence) = &entry.evidence {
                        details id={ "e" (entry.version) } { summary { "evidence" } pre { (pretty(evidence)) } }
                    }
                }
            } } }
        }
    }
}

fn moved(entry: &HistoryEntry) -> Markup {
    let (from, to) = (entry.from.as_deref().unwrap_or_default(), entry.to.as_deref().unwrap_or_default());
    html! {
        @if from == to { span.soft { (words(to)) } } @else { (words(from)) " → " (words(to)) }
    }
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
