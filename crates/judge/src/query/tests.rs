use proptest::prelude::*;

use super::template::escaped;
use super::{Query, Template, Values};
use crate::metric::Metric;
use crate::tick::Arm;

const COUNTER: &str = r#"requests_total{model_version="{version}",status=~"5.."}"#;

fn values(version: &str) -> Values {
    Values {
        model: "sentiment".to_owned(),
        version: version.to_owned(),
        tenant: "default".to_owned(),
        arm: Arm::Candidate,
        step: 1,
    }
}

fn filled(template: &str, version: &str) -> String {
    Template::parse(template).unwrap().fill(&values(version), None).unwrap()
}

#[test]
fn placeholders_become_escaped_label_values() {
    assert_eq!(filled(COUNTER, "2.0"), r#"requests_total{model_version="2.0",status=~"5.."}"#);
    assert_eq!(
        filled(r#"up{a="{model}-{version}",b="{tenant}",c="{arm}",d="{step}"}"#, "v 2"),
        r#"up{a="sentiment-v 2",b="default",c="candidate",d="1"}"#
    );
    // In a regular expression a value means itself too.
    assert_eq!(filled(r#"up{version=~"{version}|old"}"#, "1.0+b"), r#"up{version=~"1\\.0\\+b|old"}"#);
}

#[test]
fn a_label_value_cannot_leave_its_quotes() {
    let hostile = [r#"x"} or vector(1) #"#, "\\", r#"\""#, "a\nb", "{version}", "`'", "x\", le=\"1", "}", "#"];
    for value in hostile {
        assert_eq!(
            filled(COUNTER, value),
            format!(r#"requests_total{{model_version="{}",status=~"5.."}}"#, escaped(value)),
            "{value}"
        );
    }
    assert_eq!(filled(r#"up{v="{version}"}"#, r#"x"} or vector(1) #"#), r#"up{v="x\"} or vector(1) #"}"#);
}

#[test]
fn a_tenant_is_forced_into_every_selector() {
    let template = Template::parse(r#"sum(a{x="{version}"}) / ignoring(x) sum(max_over_time(b{}[5m]))"#).unwrap();
    assert_eq!(
        template.fill(&values("2"), Some(("tenant", r#"ac"me"#))).unwrap(),
        r#"sum(a{tenant="ac\"me",x="2"}) / ignoring(x) sum(max_over_time(b{tenant="ac\"me",}[5m]))"#
    );
}

#[test]
fn what_is_no_template_is_refused_with_a_sentence() {
    let refused = |text: &str| Template::parse(text).and_then(|template| template.is_counter()).unwrap_err();
    let deep = format!("{}1{}", "(".repeat(40), ")".repeat(40));
    let texts = [
        "",
        "requests_total{",
        r#"requests_total{a="{version}"#,
        r#"requests_total{a="{verison}"}"#,
        "requests_total{version}",
        r#"requests_total{a='{version}'}"#,
        "requests_total{a=`{version}`}",
        r#"{version}{a="b"}"#,
        r#"label_replace(up{}, "a", "{version}", "b", "c")"#,
        r#"rate(requests_total{a="{version}"}[1m])"#,
        r#"sum(increase(requests_total{a="{version}"}[1m]))"#,
        r#"requests_total{a="{version}"}[1m]"#,
        r#"requests_total{a="{version}"} offset 5m"#,
        r#"sum(requests_total{a="{version}"})"#,
        "requests_total",
        r#"requests_total{a="b" or c="d"}"#,
        "requests_total{} # {version}",
        &deep,
    ];
    let table: Vec<String> = texts.iter().map(|text| format!("{:.60}\n    {}", text, refused(text))).collect();
    insta::assert_snapshot!(table.join("\n"), @r##"

        no PromQL: no expression found in input
    requests_total{
        no PromQL: unexpected end of input inside braces
    requests_total{a="{version}
        a quote is not closed
    requests_total{a="{verison}"}
        `{verison}` is no placeholder: there are {model}, {version}, {tenant}, {arm} and {step}
    requests_total{version}
        `{version}` stands outside of a label value in double quotes: write it as in version="{version}"
    requests_total{a='{version}'}
        `{version}` stands outside of a label value in double quotes: write it as in version="{version}"
    requests_total{a=`{version}`}
        `{version}` stands outside of a label value in double quotes: write it as in version="{version}"
    {version}{a="b"}
        `{version}` stands outside of a label value in double quotes: write it as in version="{version}"
    label_replace(up{}, "a", "{version}", "b", "c")
        a placeholder stands in a text that is no label value
    rate(requests_total{a="{version}"}[1m])
        give the raw counter without rate(); increases are computed from samples
    sum(increase(requests_total{a="{version}"}[1m]))
        give the raw counter without increase(); increases are computed from samples
    requests_total{a="{version}"}[1m]
        leave the range out: give the raw counter
    requests_total{a="{version}"} offset 5m
        leave `offset` and `@` out: samples are read for the time of each tick
    sum(requests_total{a="{version}"})
        give the raw counter, one selector such as `requests_total{version="{version}"}`; its series are added up
    requests_total
        write braces behind each name of a series, as in `up{}`
    requests_total{a="b" or c="d"}
        `or` has no place between label matchers: write a regular expression
    requests_total{} # {version}
        a comment (`#`) has no place in a template
    ((((((((((((((((((((((((((((((((((((((((1)))))))))))))))))))
        nested deeper than 32: no query needs that
    "##);
}

#[test]
fn a_long_or_odd_text_never_panics() {
    for text in ["-".repeat(999), "-".repeat(1001), "a^".repeat(499) + "1", "{".repeat(900), "\"".repeat(901)] {
        _ = Template::parse(&text);
    }
    assert!(Template::parse(&("-".repeat(900) + "1")).is_ok());
}

#[test]
fn the_fields_that_are_written_say_what_a_metric_is() {
    let query = |fields: serde_json::Value| serde_json::from_value::<Query>(fields).unwrap();
    let share = query(serde_json::json!({"good": "a{}", "total": "b{}"}));
    assert!(matches!(share.metric("request_success_rate"), Ok(Metric::Proportion { complement: false, .. })));
    let buckets = query(serde_json::json!({"buckets": "a{}"}));
    assert!(matches!(buckets.metric("p95_wait_seconds"), Ok(Metric::Quantile { percent: 95, .. })));
    assert!(buckets.metric("wait_seconds").unwrap_err().contains("`p95_wait_seconds`"));
    assert!(matches!(query(serde_json::json!({"sum": "a{}", "count": "b{}"})).metric("x"), Ok(Metric::Mean { .. })));
    assert!(matches!(query(serde_json::json!({"events": "a{}"})).metric("x"), Ok(Metric::Rate { .. })));
    assert!(matches!(query(serde_json::json!({"value": "a{}"})).metric("x"), Ok(Metric::Gauge { .. })));
    for fields in [
        serde_json::json!({}),
        serde_json::json!({"bad": "a{}"}),
        serde_json::json!({"bad": "a{}", "good": "b{}", "total": "c{}"}),
        serde_json::json!({"sum": "a{}", "total": "b{}"}),
        serde_json::json!({"events": "a{}", "total": "b{}"}),
    ] {
        assert!(query(fields).metric("x").is_err());
    }
}

proptest! {
    #[test]
    fn any_value_leaves_the_tree_as_it_was(version in any::<String>(), model in "[\\PC\"\\\\\n{}#`']{0,30}") {
        let values = Values { model, ..values(&version) };
        for text in [COUNTER, r#"sum(rate(a{m=~"x{model}.*",v!="{version}"}[5m])) / b{v!~"{version}"} > 0"#] {
            let filled = Template::parse(text).unwrap().fill(&values, Some(("tenant", &version)));
            prop_assert!(filled.is_ok(), "{filled:?}");
        }
    }

    #[test]
    fn what_is_escaped_reads_back_as_it_was(value in any::<String>()) {
        let text = format!("up{{a=\"{}\"}}", escaped(&value));
        let read = promql_parser::parser::parse(&text).unwrap();
        let promql_parser::parser::Expr::VectorSelector(selector) = read else { panic!("{read:?}") };
        prop_assert_eq!(&selector.matchers.matchers[0].value, &value);
    }

    #[test]
    fn no_text_panics(text in "[a-z{}\"'`\\\\()\\[\\]=~!,#0-9 -]{0,60}") {
        _ = Template::parse(&text);
    }
}
