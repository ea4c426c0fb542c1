//! One tick folded into the state, and the state told as a verdict.
//!
//! The verdict is a function of the state alone. So a tick that was folded before changes nothing and is answered by the same verdict,
//! and a state that was stored and read goes on as if it had not been.

use crate::decision::Ruling;
use crate::metric::SignalName;
use crate::resolved::{Resolved, ResolvedCheck};
use crate::sequential::fold::Evidence;
use crate::sequential::gate;
use crate::signal::{Signal, add_signal};
use crate::state::{Moment, RuleState, State, Troubled};
use crate::tick::{Arm, Tick};
use crate::verdict::Verdict;

mod evidence;
pub(crate) mod failures;
mod report;
mod rounds;

/// A state with the recorded baseline: the stable arm of these ticks, the hour before the rollout.
#[must_use]
pub fn seed(resolved: &Resolved, ticks: &[Tick]) -> State {
    let mut state = State::default();
    if !resolved.sequential.gates.is_empty() {
        state.evidence = Some(Evidence::seed(&resolved.sequential, ticks));
    }
    let judged: Vec<_> = resolved.checks.iter().map(|check| check.kind.signal()).collect();
    for (name, signal) in ticks.iter().flat_map(|tick| &tick.stable) {
        if signal.is_sound() && judged.contains(&name) {
            add_signal(&mut state.baseline, name, signal);
        }
    }
    state
}

/// Folds the last tick of the slice; those before it are the ledger's tail, as far back as [`Resolved::longest_window`].
///
/// A tick whose number is not above the newest one folded, or an empty slice, changes nothing.
#[must_use]
pub fn judge(resolved: &Resolved, mut state: State, ticks: &[Tick]) -> (State, Verdict) {
    fold_last(resolved, &mut state, ticks);
    let verdict = report::verdict(resolved, &state);
    (state, verdict)
}

/// Every verdict of a ledger, one for each tick, and the state that it is of: `hour` is the baseline before it. The same ledger gives
/// the same ones, bit for bit.
pub fn replay<'a>(
    resolved: &'a Resolved,
    hour: &[Tick],
    ticks: &'a [Tick],
) -> impl Iterator<Item = (Verdict, State)> + 'a {
    let (mut state, mut begin) = (seed(resolved, hour), 0);
    (0..ticks.len()).map(move |at| {
        let before = &ticks[at.saturating_sub(1)];
        if ticks[at].step != before.step || ticks[at].elapsed_ms < before.elapsed_ms {
            begin = at;
        }
        let (next, verdict) = judge(resolved, std::mem::take(&mut state), &ticks[begin..=at]);
        state = next;
        (verdict, state.clone())
    })
}

/// A fold without the record: what the verdict would ask for, for whoever folds thousands of ticks.
#[must_use]
pub fn rule(resolved: &Resolved, state: &mut State, ticks: &[Tick]) -> Ruling {
    fold_last(resolved, state, ticks);
    report::ruling(resolved, state)
}

fn fold_last(resolved: &Resolved, state: &mut State, ticks: &[Tick]) {
    if let Some((newest, tail)) = ticks.split_last()
        && newest.tick > state.last_tick()
    {
        fold(resolved, state, (tail, newest));
    }
}

fn fold(resolved: &Resolved, state: &mut State, ticks: (&[Tick], &Tick)) {
    let newest = ticks.1;
    state.rules.resize_with(resolved.rules().count(), RuleState::default);
    state.counters.resize(resolved.counters.len(), 0);
    // A step that begins anew has its number still, and its time begins again.
    let before = state.last.filter(|last| last.step == newest.step && last.elapsed_ms <= newest.elapsed_ms);
    let enters_step = before.is_none() && state.last.is_some();
    if before.is_none() {
        enter_step(resolved, state);
    }
    let before_ms = std::mem::take(&mut state.troubles);
    for (name, trouble) in &newest.troubles {
        let for_ms = before_ms.get(name).map_or(0, |troubled| troubled.for_ms).saturating_add(resolved.tick.ms());
        state.troubles.insert(name.clone(), Troubled { trouble: *trouble, for_ms });
    }
    for (name, counters) in &newest.resets {
        let resets = state.resets.entry(name.clone()).or_default();
        *resets = resets.saturating_add(*counters);
    }
    let now = advance(resolved, before, newest);
    let is_first_at_end = now.dwell_ended && !before.is_some_and(|before| before.dwell_ended);
    let since = before.map_or(0, |before| before.elapsed_ms);
    accumulate(resolved, state, newest, enters_step);
    watch_the_split(resolved, state, newest, enters_step);
    state.last = Some(now);
    state.ticks = state.ticks.saturating_add(1);
    if newest.warmup {
        return;
    }
    let is_due = |check: &ResolvedCheck| {
        let interval = check.interval.ms().max(1);
        is_first_at_end || newest.elapsed_ms.div_euclid(interval) > since.div_euclid(interval)
    };
    rounds::hold(resolved, state, ticks, is_due);
}

/// One tick of the sequential gates.
fn accumulate(resolved: &Resolved, state: &mut State, newest: &Tick, enters_step: bool) {
    let plan = &resolved.sequential;
    if plan.gates.is_empty() {
        return;
    }
    let now =
        gate::Moment { t: newest.tick, warmup: newest.warmup, stable_planned: newest.stable_planned, enters_step };
    let evidence = state.evidence.get_or_insert_with(|| Evidence::new(plan));
    evidence.fold(plan, (resolved.alpha, resolved.beta), newest, &now);
}

/// One tick of the users' arms. There is one candidate.
fn watch_the_split(resolved: &Resolved, state: &mut State, newest: &Tick, enters_step: bool) {
    if enters_step {
        state.split.enter_step();
    }
    let of = |arm| newest.arm(arm).get(&SignalName::new_sessions()).and_then(Signal::exposure).unwrap_or(0.0);
    let sessions = if newest.warmup { (0.0, 0.0) } else { (of(Arm::Candidate), of(Arm::Candidate) + of(Arm::Stable)) };
    state.split.hear(newest.routers);
    let phi = f64::from(newest.routers.max(1));
    state.split.learn(sessions, resolved.step(newest.step).share, phi, newest.tick);
    state.split.is_alarm(1);
}

/// What a new step forgets: resets, rounds, and failures in a row. A latched breach stays.
fn enter_step(resolved: &Resolved, state: &mut State) {
    state.resets.clear();
    for rule in state.rules.iter_mut().filter(|rule| !rule.is_latched) {
        rule.round = None;
    }
    for (count, counter) in state.counters.iter_mut().zip(&resolved.counters) {
        *count = failures::enter_step(*count, counter.mode);
    }
}

fn advance(resolved: &Resolved, before: Option<Moment>, newest: &Tick) -> Moment {
    let step = resolved.step(newest.step);
    let end = step.dwell.ms().saturating_add(newest.held_ms);
    let (ticks, empty_ticks, dwell_ended) =
        before.map_or((0, 0, false), |before| (before.ticks, before.empty_ticks, before.dwell_ended));
    Moment {
        step: newest.step,
        tick: newest.tick,
        elapsed_ms: newest.elapsed_ms,
        held_ms: newest.held_ms,
        warmup: newest.warmup,
        stable_planned: newest.stable_planned,
        ticks: ticks.saturating_add(1),
        empty_ticks: empty_ticks.saturating_add(u64::from(newest.is_empty())),
        dwell_ended: dwell_ended || (step.judged && !newest.warmup && newest.elapsed_ms >= end),
    }
}
