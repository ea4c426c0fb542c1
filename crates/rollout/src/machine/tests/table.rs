//! The whole table, stage by fact, as one text to be read as the specification.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use judge::Span;

use super::journey::{Journey, evaluated, verdict};
use super::*;

#[test]
fn the_table_of_stages_and_facts() {
    let mut text = String::new();
    for (title, journey) in waiting().into_iter().chain(shares()).chain(paused()).chain(first()).chain(turned_back()) {
        section(&mut text, title, &journey);
    }
    insta::assert_snapshot!(text);
}

fn gates() -> Journey {
    Journey::of(plan(GATES))
}

fn waiting() -> Vec<(&'static str, Journey)> {
    let mut queued = Journey::asked(plan(GATES), Some(before()));
    queued.live = Some((rollout_id("v0"), Stage::Observing));
    queued.tell(What::Requested { when_live: WhenLive::Queue, refusal: None }).unwrap();
    let mut next = queued.clone();
    next.live = None;
    let mut rejected = Journey::asked(plan(GATES), Some(before()));
    rejected.live = Some((rollout_id("v0"), Stage::Observing));
    vec![
        ("asked for", Journey::asked(plan(GATES), Some(before()))),
        ("asked for while another one is live", rejected),
        ("queued, the other one is live", queued),
        ("queued, the other one is over", next),
        ("preparing", gates()),
        ("gated before the first split", gates().until(Stage::Gated, 0)),
    ]
}

fn shares() -> Vec<(&'static str, Journey)> {
    let mut behind = gates().until(Stage::Observing, 2);
    behind.verdict(Action::Gate).unwrap();
    let mut strict = Journey::of(Plan { on_lease_expired: crate::OnLeaseExpired::Rollback, ..plan(GATES) });
    strict = strict.until(Stage::Observing, 1);
    let holding = || Journey::of(Plan { on_drift: crate::OnDrift::Hold, ..plan(GATES) });
    vec![
        ("shifting to the first step", gates().until(Stage::Shifting, 0)),
        ("observing the first step, judged", gates().until(Stage::Observing, 0)),
        ("gated before a later step", gates().until(Stage::Gated, 1)),
        ("shifting to a later step", gates().until(Stage::Shifting, 1)),
        ("observing a later step, where an ended lease turns back", strict),
        ("shifting to a later step, where drift holds", holding().until(Stage::Shifting, 1)),
        ("observing a later step, where drift holds", holding().until(Stage::Observing, 1)),
        ("gated before a later step, where drift holds", holding().until(Stage::Gated, 1)),
        ("baking, where drift holds", holding().until(Stage::Baking, 2)),
        ("observing the last step, dwell 0, not judged", gates().until(Stage::Observing, 2)),
        ("gated behind the last step", behind),
        ("promoting", gates().until(Stage::Promoting, 2)),
        ("baking, judged", gates().until(Stage::Baking, 2)),
        ("baking for no time", Journey::of(preset("llm-upgrade")).until(Stage::Baking, 3)),
    ]
}

fn paused() -> Vec<(&'static str, Journey)> {
    let pause = |stage, step| {
        let mut journey = gates().until(stage, step);
        journey.say(Verb::Pause).unwrap();
        journey
    };
    vec![
        ("paused at the first gate", pause(Stage::Gated, 0)),
        ("paused at a later gate", pause(Stage::Gated, 1)),
        ("paused while shifting", pause(Stage::Shifting, 1)),
        ("paused while observing", pause(Stage::Observing, 1)),
        ("paused while baking", pause(Stage::Baking, 2)),
    ]
}

fn first() -> Vec<(&'static str, Journey)> {
    let first = || Journey::first(Plan::activate());
    vec![
        ("the first version: preparing", first()),
        ("the first version: shifting", first().until(Stage::Shifting, 0)),
        ("the first version: observing", first().until(Stage::Observing, 0)),
        ("the first version: promoting", first().until(Stage::Promoting, 0)),
        ("the first version: baking", first().until(Stage::Baking, 0)),
        ("the first version, in steps: observing", Journey::first(plan(GATES)).until(Stage::Observing, 0)),
        ("the first version, in steps: gated", Journey::first(plan(GATES)).until(Stage::Gated, 1)),
    ]
}

fn turned_back() -> Vec<(&'static str, Journey)> {
    let back = |what: What| {
        let mut journey = gates().until(Stage::Observing, 1);
        journey.tell(what).unwrap();
        journey
    };
    let over = |mut journey: Journey| {
        journey.applied();
        journey
    };
    let mut rejected = gates();
    let attempt = rejected.row.attempt;
    rejected.tell(What::WorkloadFailed { attempt, reason: "502".to_owned(), passing: false }).unwrap();
    let rolled = back(What::Commanded { verb: Verb::Rollback });
    let cancelled = back(What::Commanded { verb: Verb::Cancel });
    let overtaken = back(What::Overtaken { by: rollout_id("v3") });
    vec![
        ("completed", gates().until(Stage::Completed, 2)),
        ("rolled back", over(rolled.clone())),
        ("rejected", rejected),
        ("superseded", over(overtaken.clone())),
        ("cancelled", over(cancelled.clone())),
        ("retreating after a rollback", rolled),
        ("retreating after a cancel", cancelled),
        ("retreating after a newer promote", overtaken),
    ]
}

/// One stage: where it stands, then each fact that moves it, then those that it refuses, by refusal.
fn section(text: &mut String, title: &str, journey: &Journey) {
    let row = &journey.row;
    let generation = if row.had_split() { "with a split" } else { "no split yet" };
    let before = if row.before.is_some() { "v1 before" } else { "nothing before" };
    writeln!(text, "{title}: {}, {} wished, {generation}, {before}", place(row), row.desired()).unwrap();
    let mut refused: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, fact, now) in facts(journey) {
        match decide(row, &fact, now) {
            Ok(decision) => {
                writeln!(text, "  {name:<32} -> {}", moved(row, &decision.next, &decision.intents, now)).unwrap();
            }
            Err(refusal) => refused.entry(refusal.to_string()).or_default().push(name),
        }
    }
    for (refusal, names) in &refused {
        let names = if refused.len() == 1 && row.stage.is_final() { "everything".to_owned() } else { names.join(", ") };
        writeln!(text, "  refused: {refusal}: {names}").unwrap();
    }
    if row.wake_at.is_some() {
        writeln!(text, "  {:<32} -> {}", "silence from here on", silence(journey.clone())).unwrap();
    }
    text.push('\n');
}

fn place(row: &Rollout) -> String {
    match (row.stage, row.resume) {
        (Stage::Shifting | Stage::Observing | Stage::Gated, _) => format!("{}{{{}}}", row.stage, row.step),
        (Stage::Paused, Some(stage @ (Stage::Promoting | Stage::Baking))) => format!("paused{{{stage}}}"),
        (Stage::Paused, Some(stage)) => format!("paused{{{stage}{{{}}}}}", row.step),
        (Stage::Retreating, Some(end)) => format!("retreating{{{end}}}"),
        (stage, _) => stage.to_string(),
    }
}

fn moved(row: &Rollout, next: &Rollout, intents: &[Intent], now: At) -> String {
    let mut parts = vec![if place(row) == place(next) && row.generation == next.generation {
        "same".to_owned()
    } else {
        place(next)
    }];
    parts.extend(intents.iter().map(|intent| match intent {
        Intent::ApplySplit { generation, direction, split } => {
            let again = if *generation == row.generation { ", again" } else { "" };
            format!("ApplySplit {direction:?} {}{again}", split.candidates())
        }
        Intent::RunAnalysis { attempt } => {
            format!("RunAnalysis{}", if *attempt == row.attempt { ", again" } else { "" })
        }
        Intent::StartWorkload { attempt } => {
            format!("StartWorkload{}", if *attempt == row.attempt { ", again" } else { "" })
        }
        Intent::Remind => "Remind".to_owned(),
    }));
    if next.wake_at != row.wake_at {
        parts.push(next.wake_at.map_or("no deadline".to_owned(), |at| format!("in {}", span(at.ms_since(now)))));
    }
    if next.reason != row.reason {
        parts.push(next.reason.as_ref().map_or("no reason".to_owned(), |reason| format!("\"{reason}\"")));
    }
    parts.join(" | ")
}

fn span(milliseconds: i64) -> Span {
    Span(u64::try_from(milliseconds).unwrap())
}

/// What becomes of it when nobody answers any more.
fn silence(mut journey: Journey) -> String {
    let (start, place_before) = (journey.now, place(&journey.row));
    for count in 1..=200 {
        journey.deadline();
        if place(&journey.row) != place_before {
            let reason = journey.row.reason.clone().unwrap_or_default();
            let after = span(journey.now.ms_since(start));
            return format!("{} after {after}, {count} deadlines | \"{reason}\"", place(&journey.row));
        }
    }
    "the same after 200 deadlines".to_owned()
}

fn facts(journey: &Journey) -> Vec<(&'static str, Fact, At)> {
    let row = &journey.row;
    let (version, wake_at) = (row.version, row.wake_at.unwrap_or(row.updated_at));
    let told = |name, what: What| (name, journey.fact(what, "a-service", None), row.updated_at);
    let mut facts = vec![
        told("requested", What::Requested { when_live: WhenLive::Reject, refusal: None }),
        told("requested, to queue", What::Requested { when_live: WhenLive::Queue, refusal: None }),
        told("requested, to supersede", What::Requested { when_live: WhenLive::Supersede, refusal: None }),
        told(
            "requested, but refused",
            What::Requested { when_live: WhenLive::Queue, refusal: Some("unknown".to_owned()) },
        ),
    ];
    if version == 0 {
        return facts;
    }
    facts.truncate(1);
    let deadline =
        |name, version, at| (name, journey.fact(What::DeadlinePassed { version }, "stage-scheduler", None), at);
    facts.extend([
        deadline("deadline", version, wake_at),
        deadline("deadline 10 min ago", version, wake_at.plus_ms(10 * MINUTE)),
        deadline("older deadline", version - 1, wake_at),
    ]);
    if wake_at > row.updated_at {
        facts.push(deadline("early deadline", version, wake_at.plus_ms(-1)));
    }
    facts.extend(answers(row).into_iter().map(|(name, what)| told(name, what)));
    let say = |name, verb, actor: &str| {
        (name, journey.fact(What::Commanded { verb }, actor, Some("because")), row.updated_at)
    };
    facts.extend(Verb::ALL.iter().map(|verb| say(verb.name(), *verb, "ann")));
    facts.extend([
        say("approve by who asked", Verb::Approve, "rob"),
        say("advance by who asked", Verb::Advance, "rob"),
        say("promote by who asked", Verb::Promote, "rob"),
        told("overtaken", What::Overtaken { by: rollout_id("v3") }),
    ]);
    facts
}

fn answers(row: &Rollout) -> Vec<(&'static str, What)> {
    let (attempt, generation) = (row.attempt, row.generation);
    let failed = |attempt, passing| What::WorkloadFailed { attempt, reason: "502".to_owned(), passing };
    let unsplit = |generation| What::SplitFailed { generation, reason: "no router".to_owned() };
    vec![
        ("workload ready", What::WorkloadReady { attempt }),
        ("older workload ready", What::WorkloadReady { attempt: attempt - 1 }),
        ("workload failed", failed(attempt, false)),
        ("older workload failed", failed(attempt - 1, false)),
        ("workload failed for now", failed(attempt, true)),
        ("older workload failed for now", failed(attempt - 1, true)),
        ("split applied", What::SplitApplied { generation }),
        ("older split applied", What::SplitApplied { generation: generation - 1 }),
        ("split failed", unsplit(generation)),
        ("older split failed", unsplit(generation - 1)),
        ("verdict wait", verdict(attempt, Action::Wait)),
        ("verdict hold", verdict(attempt, Action::Hold)),
        ("verdict extend", verdict(attempt, Action::Extend)),
        ("verdict advance", verdict(attempt, Action::Advance)),
        ("verdict gate", verdict(attempt, Action::Gate)),
        ("verdict rollback", verdict(attempt, Action::Rollback)),
        ("older verdict advance", verdict(attempt - 1, Action::Advance)),
        ("older verdict rollback", verdict(attempt - 1, Action::Rollback)),
        ("lease expired", What::LeaseExpired { generation }),
        ("older lease expired", What::LeaseExpired { generation: generation - 1 }),
        ("route drifted to an older one", What::RouteDrifted { generation, found: Some(generation - 1) }),
        ("route drifted to a newer one", What::RouteDrifted { generation, found: Some(generation + 5) }),
        ("route not followed for long", What::RouteDrifted { generation, found: None }),
        ("stop seen", What::StopSeen { generation }),
        ("older stop seen", What::StopSeen { generation: generation - 1 }),
        ("older route drifted", What::RouteDrifted { generation: generation - 1, found: Some(generation + 5) }),
        ("evaluation finished", evaluated()),
    ]
}
