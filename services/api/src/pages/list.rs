//! The page of all rollouts: those that are not over first.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::Core;
use maud::{Markup, html};
use proto::http::RolloutView;
use rollout::{At, Rollout, Tenant};
use store::Rows;

use super::frame;
use super::parts::{since, split, stage, step, verdict};
use crate::problem::Answer;
use crate::rollout_view::brief;

/// Rollouts that are not over, and those that are, on one page.
const SHOWN: (i64, i64) = (100, 30);

pub(super) async fn page(State(core): State<Core>) -> Response {
    match loaded(&core).await {
        Ok(shown) => frame::page(StatusCode::OK, "Rollouts", Some("/v1/events"), &body(&shown, core.clock.now())),
        Err(refusal) => frame::failed(&refusal),
    }
}

/// A rollout, and when it came to its stage.
type Shown = (RolloutView, At);

async fn loaded(core: &Core) -> Answer<Vec<Shown>> {
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let mut found = going(&mut rows).await?;
    let recent = rows.rollouts(&Tenant::default(), (At(i64::MAX), ""), SHOWN.1).await?;
    found.extend(recent.into_iter().filter(|row| row.stage.is_final()));
    let mut shown = Vec::with_capacity(found.len());
    for row in &found {
        shown.push((brief(&mut rows, row).await?, row.entered_at));
    }
    Ok(shown)
}

/// Those that still wait for something have a deadline.
async fn going(rows: &mut Rows<'_>) -> Answer<Vec<Rollout>> {
    let mut found = Vec::new();
    for due in rows.due_rollouts(At(i64::MAX), SHOWN.0).await? {
        found.extend(rows.rollout(&due.rollout_id).await?.filter(|row| row.tenant == Tenant::default()));
    }
    found.sort_by_key(|row| std::cmp::Reverse((row.stage.is_live(), row.created_at)));
    Ok(found)
}

fn body(shown: &[Shown], now: At) -> Markup {
    let going = shown.iter().filter(|(view, _)| !view.stage.is_final()).count();
    html! {
        h1 { "Rollouts" }
        @if shown.is_empty() {
            div.empty {
                p { "Nothing has been rolled out yet. Register a model and its first version, then begin:" }
                pre { code {
                    "tidegate models add reranker --type RERANKER\n"
                    "tidegate versions add reranker 1.3.0 --upstream http://127.0.0.1:8001\n"
                    "tidegate versions add reranker 1.4.0 --upstream http://127.0.0.1:8002\n"
                    "tidegate promote reranker 1.4.0 --policy starter"
                } }
                p.soft { "Or watch a good and a bad version first: " code { "tidegate demo" } }
            }
        } @else {
            p.soft { @if going == 0 { "None is going on now." } @else { (going) " going on now." } }
            table.cards {
                thead { tr { th { "Model" } th { "Version" } th { "Stage" } th { "Step" } th { "Split" } th { "Last verdict" } th { "Since" } } }
                tbody { @for (view, entered_at) in shown { (row(view, *entered_at, now)) } }
            }
        }
    }
}

fn row(view: &RolloutView, entered_at: At, now: At) -> Markup {
    html! {
        tr.over[view.stage.is_final()] {
            td data-label="Model" { a.model href={ "/rollouts/" (view.id) } { (view.model) } }
            td data-label="Version" {
                (view.candidate)
                @if let Some(previous) = &view.previous { span.soft { " after " (previous) } }
            }
            td data-label="Stage" { (stage(view.stage)) }
            td data-label="Step" { (step(view)) }
            td data-label="Split" { (split(&view.split)) }
            td data-label="Last verdict" { (verdict(view)) }
            td.tight data-label="Since" { (since(entered_at, now)) }
        }
    }
}
