use judge::Span;
use rollout::{At, Match, Model, Plan, Policy, Request, RolloutId, Tenant, Version, Workload};
use serde_json::json;

use super::*;

const ALL: Listeners = Listeners { slack: Some(SlackForm::Incoming), pagerduty: true, webhook: true };

fn moved(from: Stage, to: Stage, version: i64, reason: &str) -> RolloutMoved {
    RolloutMoved {
        tenant: Tenant::new("default").unwrap(),
        model: Model::new("reranker").unwrap(),
        rollout_id: RolloutId::of("/test", "1"),
        version,
        generation: 3,
        from: Some(from),
        to,
        step: 0,
        candidate: Version::new("2").unwrap(),
        previous: Some(Version::new("1").unwrap()),
        split_bp: 500,
        split_applied: false,
        reason: Some(reason.to_owned()),
        actor: "analyzer".to_owned(),
        evidence: None,
        at: At(1_700_000_000_000),
    }
}

fn waiting(stage: Stage, version: i64) -> Message {
    Message::RolloutWaiting(RolloutWaiting {
        tenant: Tenant::new("default").unwrap(),
        model: Model::new("reranker").unwrap(),
        rollout_id: RolloutId::of("/test", "1"),
        version,
        stage,
        since: At(0),
        until: None,
        reason: None,
    })
}

fn row(stage: Stage, page_resolve: PageResolve) -> Rollout {
    let policy =
        "steps: [{split: 5, dwell: 1m}, {split: 100, dwell: 0s}]\nchecks: [{metric: error_rate, rules: {gte: 0.1}}]";
    let plan = Plan { page_resolve, bake: Span(0), ..Policy::from_yaml(policy).unwrap().plan().unwrap() };
    let request = Request {
        id: RolloutId::of("/test", "1"),
        tenant: Tenant::new("default").unwrap(),
        model: Model::new("reranker").unwrap(),
        candidate: Version::new("2").unwrap(),
        workload: Workload {
            upstream: "http://127.0.0.1:9".to_owned(),
            headers: Default::default(),
            health: Default::default(),
            matches: Match::default_for(&Tenant::new("default").unwrap(), &Model::new("reranker").unwrap()),
        },
        requested_by: "ci".to_owned(),
        plan,
    };
    Rollout { stage, ..Rollout::requested(request, At(0)) }
}

fn turned(fact_kind: &str, result: &str) -> Transition {
    Transition {
        rollout_id: RolloutId::of("/test", "1"),
        version: 5,
        from_stage: "observing".to_owned(),
        to_stage: "retreating".to_owned(),
        step: 0,
        fact_kind: fact_kind.to_owned(),
        fact_source: "/tidegate/analyzer".to_owned(),
        fact_id: "an.1".to_owned(),
        fact: json!({ "what": { "kind": fact_kind, "result": result } }),
        actor: "analyzer".to_owned(),
        reason: Some("breach: error_rate <too> high".to_owned()),
        evidence: Some(json!({ "issues": ["error_rate <too> high", "p95 & p99"] })),
        decided_at: At(1_700_000_000_000),
    }
}

fn known(turned: Transition) -> Known {
    Known { rollout: Some(row(Stage::Retreating, PageResolve::Automatic)), turned: Some(turned), has_trigger: false }
}

/// Channel, version and kind of every draft.
fn shape(drafts: &[Draft]) -> Vec<(&'static str, i64, &'static str)> {
    drafts.iter().map(|draft| (draft.channel.name(), draft.version, draft.kind.name())).collect()
}

fn of(moved: RolloutMoved, known: &Known) -> Vec<Draft> {
    told(&Message::RolloutMoved(moved), known, ALL)
}

#[test]
fn a_breach_is_read_pages_and_reaches_other_systems() {
    let known = known(turned("verdict_reached", "breach"));
    let drafts = of(moved(Stage::Observing, Stage::Retreating, 5, "breach"), &known);
    assert_eq!(shape(&drafts), [("webhook", 5, "message"), ("slack", 5, "message"), ("pagerduty", 5, "trigger")]);
    let page = drafts[2].body.as_ref().unwrap();
    assert_eq!(page["payload"]["severity"], "critical");
    assert_eq!(page["dedup_key"], format!("rollout/default/{}", RolloutId::of("/test", "1")));
    assert_eq!(page["payload"]["custom_details"]["issues"][1], "p95 & p99");
    let rollback = page["payload"]["custom_details"]["rollback"].as_str().unwrap();
    assert!(rollback.starts_with("tidegate rollback r"));
    let text = drafts[1].body.as_ref().unwrap()["text"].as_str().unwrap();
    assert_eq!(text, "reranker 2: taking the traffic back: breach");
    assert!(drafts[1].body.as_ref().unwrap().to_string().contains("error_rate &lt;too&gt; high"));
}

#[test]
fn only_what_no_person_wanted_pages_and_only_breach_and_failed_workload_are_critical() {
    let table = [
        (turned("verdict_reached", "breach"), Some("critical")),
        (turned("workload_failed", ""), Some("critical")),
        (turned("verdict_reached", "inconclusive"), Some("error")),
        (turned("verdict_reached", "degraded"), Some("error")),
        (turned("deadline_passed", ""), Some("error")),
        (turned("lease_expired", ""), Some("error")),
        (turned("commanded", ""), None),
        (turned("overtaken", ""), None),
    ];
    for (entry, expected) in table {
        let kind = entry.fact_kind.clone();
        let drafts = of(moved(Stage::Observing, Stage::Retreating, 5, "x"), &known(entry));
        let page = drafts.iter().find(|draft| draft.channel == Channel::PagerDuty);
        let severity = page.map(|page| page.body.as_ref().unwrap()["payload"]["severity"].clone());
        assert_eq!(severity, expected.map(|word| json!(word)), "{kind}");
        assert!(drafts.iter().any(|draft| draft.channel == Channel::Slack), "{kind}");
    }
}

#[test]
fn the_end_resolves_the_page_and_says_its_beginning_too() {
    let known = known(turned("verdict_reached", "breach"));
    let drafts = of(moved(Stage::Retreating, Stage::RolledBack, 6, "breach"), &known);
    let pages: Vec<_> = shape(&drafts).into_iter().filter(|(channel, ..)| *channel == "pagerduty").collect();
    assert_eq!(pages, [("pagerduty", 5, "trigger"), ("pagerduty", 6, "resolve")]);
    // The beginning is the same whoever says it.
    let begun = of(moved(Stage::Observing, Stage::Retreating, 5, "breach"), &known);
    let at = |drafts: &[Draft]| {
        drafts.iter().find(|draft| draft.kind == Kind::Trigger).unwrap().body.clone().unwrap()["dedup_key"].clone()
    };
    assert_eq!(at(&begun), at(&drafts));
}

#[test]
fn a_persons_rollback_pages_only_when_it_is_not_applied_and_is_then_resolved() {
    let mut known = known(turned("commanded", ""));
    assert!(
        !shape(&of(moved(Stage::Retreating, Stage::RolledBack, 6, "x"), &known))
            .iter()
            .any(|(channel, ..)| *channel == "pagerduty")
    );
    let drafts = told(&waiting(Stage::Retreating, 6), &known, ALL);
    assert_eq!(shape(&drafts), [("slack", 6, "message"), ("webhook", 6, "message"), ("pagerduty", 6, "trigger")]);
    assert_eq!(drafts[2].body.as_ref().unwrap()["payload"]["severity"], "critical");
    known.has_trigger = true;
    let pages: Vec<_> = shape(&of(moved(Stage::Retreating, Stage::RolledBack, 7, "x"), &known));
    assert!(pages.contains(&("pagerduty", 7, "resolve")) && !pages.iter().any(|(.., kind)| *kind == "trigger"));
}

#[test]
fn a_page_that_belongs_to_a_person_is_not_resolved() {
    let known = Known {
        rollout: Some(row(Stage::RolledBack, PageResolve::ByHand)),
        has_trigger: true,
        ..known(turned("verdict_reached", "breach"))
    };
    let drafts = of(moved(Stage::Retreating, Stage::RolledBack, 6, "breach"), &known);
    assert!(!drafts.iter().any(|draft| draft.kind == Kind::Resolve));
}

#[test]
fn a_retreat_that_is_over_is_not_told_to_wait() {
    let known = Known { rollout: Some(row(Stage::RolledBack, PageResolve::Automatic)), ..Known::default() };
    assert_eq!(told(&waiting(Stage::Retreating, 6), &known, ALL), []);
}

#[test]
fn a_success_is_a_change_and_never_a_page() {
    let drafts = of(moved(Stage::Baking, Stage::Completed, 9, ""), &Known::default());
    assert_eq!(shape(&drafts), [("webhook", 9, "message"), ("slack", 9, "message"), ("pagerduty", 9, "change")]);
    assert_eq!(
        drafts[2].body.as_ref().unwrap()["payload"]["summary"],
        "reranker 2 is the active version in place of 1"
    );
}

#[test]
fn gates_holds_and_rejections_are_for_slack_alone() {
    let to = Listeners { webhook: false, ..ALL };
    for stage in [Stage::Gated, Stage::Paused] {
        assert_eq!(shape(&told(&waiting(stage, 4), &Known::default(), to)), [("slack", 4, "message")]);
    }
    let rejected = Message::RolloutMoved(moved(Stage::Preparing, Stage::Rejected, 2, "not_ready"));
    assert_eq!(shape(&told(&rejected, &Known::default(), to)), [("slack", 2, "message")]);
}

#[test]
fn a_webhook_of_slack_hears_ends_and_an_app_hears_every_stage() {
    let step = Message::RolloutMoved(moved(Stage::Preparing, Stage::Shifting, 3, ""));
    let evidence = Message::RolloutMoved(moved(Stage::Observing, Stage::Observing, 4, ""));
    let slack = |slack| Listeners { slack: Some(slack), pagerduty: false, webhook: false };
    assert_eq!(told(&step, &Known::default(), slack(SlackForm::Incoming)), []);
    assert_eq!(shape(&told(&step, &Known::default(), slack(SlackForm::App))), [("slack", 3, "message")]);
    assert_eq!(told(&evidence, &Known::default(), slack(SlackForm::App)), []);
    assert_eq!(told(&step, &Known::default(), Listeners::default()), []);
}

#[test]
fn every_text_stays_within_the_limits_whatever_comes() {
    let long = "<&>ä".repeat(5_000);
    let entry = Transition {
        reason: Some(long.clone()),
        evidence: Some(json!({ "issues": vec![long.clone(); 60] })),
        ..turned("verdict_reached", "breach")
    };
    let known = known(entry);
    let news = RolloutMoved { actor: long.clone(), ..moved(Stage::Observing, Stage::Retreating, 5, &long) };
    let drafts = of(news, &known);
    let chars = |value: &Value| value.as_str().unwrap().chars().count();
    let page = &drafts[2].body.as_ref().unwrap()["payload"];
    assert_eq!(chars(&page["summary"]), 1_024);
    assert!(page["custom_details"]["issues"].as_array().unwrap().iter().all(|issue| chars(issue) <= 500));
    let slack = drafts[1].body.as_ref().unwrap();
    let blocks = slack["blocks"].as_array().unwrap();
    assert!(chars(&slack["text"]) <= 500 && blocks.len() <= 50 && chars(&blocks[0]["text"]["text"]) <= 150);
    let fields = blocks[1]["fields"].as_array().unwrap();
    assert!(fields.len() <= 10 && fields.iter().all(|field| chars(&field["text"]) <= 2_000));
    assert!(chars(&blocks[2]["text"]["text"]) <= 3_000);
}
