//! `GET /v1/rollouts/{id}/slos`: how the objectives of a rollout's policy stand in each arm, from the ledger.

use axum::Json;
use axum::extract::{Path, State};
use chassis::Core;
use judge::slo::Slice;
use judge::{Resolved, Span};
use proto::http::{LedgerTick, Page, SloView};
use rollout::Version;

use crate::problem::{Answer, Refusal};
use crate::rollouts::found;
use crate::ticks::read;

/// The ticks that are read: a day at ticks of 15 s, less at shorter ones.
const TICKS_MAX: i64 = 5760;
/// The hour before the rollout is kept by minutes.
const MINUTE: Span = Span::from_secs(60);

pub(crate) async fn list(State(core): State<Core>, Path(id): Path<String>) -> Answer<Json<Page<SloView>>> {
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let row = found(&mut rows, &id).await?;
    let Some(checks) = row.plan.checks.as_ref().filter(|checks| !checks.slos.is_empty()) else {
        return Ok(Json(Page { items: Vec::new(), cursor: None }));
    };
    let newest = rows.judge(&row.id).await?.map_or(0, |judged| judged.tick);
    // Behind the tick before the first one is tick 0, the hour before.
    let ticks = read(&mut rows, &row.id, ((newest - TICKS_MAX).max(-1), TICKS_MAX + 1)).await?;
    drop(reader);
    let (checks, versions) = (checks.clone(), (row.candidate, row.previous));
    // A day of histograms takes a while to add up.
    let items = tokio::task::spawn_blocking(move || views(&checks, versions, &ticks)).await;
    let items = items.map_err(|cause| Refusal::unavailable(format!("the ledger can't be added up: {cause}")))?;
    Ok(Json(Page { items, cursor: None }))
}

fn views(checks: &Resolved, (candidate, stable): (Version, Option<Version>), ticks: &[LedgerTick]) -> Vec<SloView> {
    let arms = [(Some(candidate), slices(ticks, checks.tick, true)), (stable, slices(ticks, checks.tick, false))];
    let views = checks.slos.iter().flat_map(|objective| {
        arms.iter().filter_map(|(version, slices)| {
            let (version, standing) = (version.clone()?, objective.standing(slices));
            Some(SloView { version, objective: objective.clone(), standing })
        })
    });
    views.collect()
}

/// What an arm did, oldest first.
fn slices(ticks: &[LedgerTick], tick: Span, of_candidate: bool) -> Vec<Slice<'_>> {
    let entries = ticks.iter().filter_map(|tick| if of_candidate { &tick.candidate } else { &tick.stable }.as_ref());
    let slices = entries.flat_map(|entry| {
        let hour = entry.hour.iter().map(|signals| Slice { length: MINUTE, signals });
        hour.chain(entry.hour.is_empty().then_some(Slice { length: tick, signals: &entry.signals }))
    });
    slices.collect()
}
