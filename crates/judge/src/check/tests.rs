use serde_json::{Value, json};

use super::{Action, Check, Floor, Limit, Method, Phi, RuleName, Rules, Window};
use crate::Span;

fn read(value: Value) -> Result<Check, String> {
    serde_json::from_value(value).map_err(|cause| cause.to_string())
}

fn limits(check: &Check) -> Vec<(RuleName, f64, String)> {
    let sets = check.rules.sets().iter();
    sets.flat_map(super::RuleSet::limits).map(|(name, limit)| (name, limit.value, limit.text.clone())).collect()
}

#[test]
fn rules_are_a_map_or_a_list_of_maps() {
    let map =
        read(json!({"metric": "error_rate", "rules": {"max_absolute": 0.05, "max_relative_increase": 2}})).unwrap();
    let expected =
        [(RuleName::MaxAbsolute, 0.05, "0.05".to_owned()), (RuleName::MaxRelativeIncrease, 2.0, "2".to_owned())];
    assert_eq!(limits(&map), expected);
    assert!(matches!(map.rules, Rules::One(_)));
    let list = read(json!({"metric": "error_rate", "rules": [{"gte": "0.10"}, {"lt": 0}]})).unwrap();
    assert_eq!(limits(&list), [(RuleName::Gte, 0.1, "0.10".to_owned()), (RuleName::Lt, 0.0, "0".to_owned())]);
}

#[test]
fn a_number_shows_in_its_shortest_form_and_a_text_as_it_was_written() {
    for (value, text) in [(5000.0, "5000"), (0.1, "0.1"), (1e-7, "1e-7"), (1e300, "1e300"), (0.0, "0")] {
        assert_eq!(Limit::from(value).text, text);
        assert_eq!(Limit::parse(text).unwrap().value, value);
    }
    assert!(Limit::parse("5 %").unwrap_err().starts_with("bad number `5 %`"));
}

#[test]
fn a_check_reads_back_as_it_was_written() {
    let written = json!({
        "metric": "p95_latency_ms", "rules": [{"gte": "5000", "floor": "none"}, {"gt": 0.5, "attribution": "none"}],
        "method": "sequential", "action": "hold", "min_samples": 20, "interval": "1m", "window": "step",
        "failure_limit": 2, "failure_mode": "total", "failure_group": "a", "max_blind": "2m", "lo": 0.0, "hi": "1.0",
        "sensitivity": 0.15, "phi": "auto", "baseline": "fallback",
    });
    let check = read(written.clone()).unwrap();
    // A text that says the number's shortest form is kept as that number.
    let mut expected = written;
    expected["rules"][0]["gte"] = json!(5000.0);
    assert_eq!(serde_json::to_value(&check).unwrap(), expected);
    assert_eq!(read(expected).unwrap(), check);
    assert_eq!(check.method, Some(Method::Sequential));
    assert_eq!(check.rules.sets()[0].floor, Some(Floor::None));
}

#[test]
fn defaults_are_left_open_but_for_the_action() {
    let check = read(json!({"metric": "x", "rules": {"gt": 1}})).unwrap();
    assert_eq!((check.action, check.method, check.window), (Action::Rollback, None, None));
}

#[test]
fn a_window_is_a_span_or_the_step_and_phi_a_number_or_auto() {
    let check = |name: &str, value: Value| read(json!({"metric": "x", "rules": {"gt": 1}, name: value}));
    assert_eq!(check("window", json!("5m")).unwrap().window, Some(Window::Last(Span::from_secs(300))));
    assert_eq!(check("window", json!(60)).unwrap().window, Some(Window::Last(Span::from_secs(60))));
    assert!(check("window", json!("steps")).unwrap_err().ends_with("or `step` for the whole step"));
    assert_eq!(check("phi", json!(2)).unwrap().phi, Some(Phi::Fixed(2.0)));
    assert!(check("phi", json!("big")).unwrap_err().contains("bad phi `big`"));
    assert!(Window::Last(Span::MAX) < Window::Step);
}

#[test]
fn unknown_fields_and_comparators_are_refused_by_name() {
    let field = read(json!({"metric": "x", "rules": {"gt": 1}, "windows": 5})).unwrap_err();
    assert!(field.contains("unknown field `windows`"), "{field}");
    for rules in [json!({"gtt": 1}), json!([{"gtt": 1}])] {
        let comparator = read(json!({"metric": "x", "rules": rules})).unwrap_err();
        assert!(comparator.contains("unknown field `gtt`, expected one of `gt`, `gte`"), "{comparator}");
    }
    assert!(read(json!({"metric": "x", "rules": 5})).unwrap_err().contains("a map of limits"));
    assert!(
        read(json!({"metric": "x", "rules": {"gt": 1}, "action": "advance"})).unwrap_err().contains("unknown variant")
    );
}
