//! Wrong files and what is said about them. Each message is read by a person who has to put something right: read changes as such.

use super::refusal;

#[test]
fn an_unknown_field_names_the_nearest_known_one() {
    let text = "\
name: mine
steps:
  - {split: 5, dwel: 30s}
  - {split: 100}
chekcs:
  - {metric: error_rate, rules: {gte: 0.1}}
zzz: 1
";
    insta::assert_snapshot!(refusal(text), @r"
    line 3, column 16: steps[0].dwel: unknown field; did you mean `dwell`?
    line 5, column 1: chekcs: unknown field; did you mean `checks`?
    line 7, column 1: zzz: unknown field; known here are `name`, `class`, `strategy`, `steps`, `checks`, `bake`, `lease`, `on_lease_expired`, `prepare_limit`, `pause_limit`, `when_live`, `on_drift`, `keep_cohort`, `page_resolve`, `smoke`, `alpha`, `beta`, `tick`, `warmup`, `inconclusive_budget`, `on_inconclusive`, `on_degraded`, `min_dwell`, `retries_per_day`, `baseline` and `slos`
    ");
}

#[test]
fn a_bad_duration_names_its_line() {
    let text = "\
steps:
  - split: 5
    dwell: 30x
  - split: 25
    dwell: -5
  - split: 100
lease: 12 parsecs
";
    insta::assert_snapshot!(refusal(text), @r#"
    line 3, column 12: steps[0].dwell: bad duration `30x`: unknown time unit "x", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations); write `90s`, `30m` or `1h`
    line 5, column 12: steps[1].dwell: bad duration `-5`: it must be 0 seconds or more; write `90s`, `30m` or `1h`
    line 7, column 8: lease: bad duration `12 parsecs`: unknown time unit "parsecs", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations); write `90s`, `30m` or `1h`
    "#);
}

#[test]
fn shares_sum_to_the_whole() {
    let text = "\
steps:
  - {split: [5, 94], dwell: 1m}
  - {split: [101], dwell: 1m}
  - {split: \"five\", dwell: 1m}
  - {split: 5.001, dwell: 1m}
  - {weight: 5, dwell: 1m}
  - {split: 100}
";
    insta::assert_snapshot!(refusal(text), @r#"
    line 2, column 13: steps[0].split: the shares sum to 99 %, not to 100 %
    line 3, column 13: steps[1].split: 101 is not a share: write percent from 0 to 100, at most two decimals
    line 4, column 13: steps[2].split: `five` is not a share: write percent such as 5 or "5%"
    line 5, column 13: steps[3].split: 5.001 is not a share: write percent from 0 to 100, at most two decimals
    line 6, column 14: steps[4].weight: 5 is not a weight: write a fraction from 0 to 1, at most four decimals
    "#);
}

#[test]
fn a_share_never_falls() {
    let text = "\
steps:
  - {split: 25, dwell: 1m}
  - {split: 5, dwell: 1m}
  - {split: 10, dwell: 1m}
  - {split: 100}
";
    insta::assert_snapshot!(refusal(text), @r"
    line 3, column 13: steps[1].split: 5 % is less than the 25 % before it: a candidate's share must never fall from step to step
    line 4, column 13: steps[2].split: 10 % is less than the 25 % before it: a candidate's share must never fall from step to step
    ");
}

#[test]
fn a_share_of_nothing_is_refused() {
    let text = "\
steps:
  - {split: 0, dwell: 1m}
  - {split: 100}
";
    insta::assert_snapshot!(refusal(text), @r"line 2, column 13: steps[0].split: 0 % sends the candidate nothing: write a share above 0, or leave the step out");
}

#[test]
fn the_last_step_gives_everything() {
    let text = "\
steps:
  - {split: 5, dwell: 1m}
  - {split: 50, dwell: 1m}
";
    insta::assert_snapshot!(refusal(text), @r"line 3, column 13: steps[1].split: the last step gives the candidate 50 %: write a last step such as `- {split: 100}`");
}

#[test]
fn more_than_one_candidate_is_refused() {
    let text = "\
steps:
  - {split: [10, 10, 80], dwell: 1m}
  - {split: 100}
";
    insta::assert_snapshot!(refusal(text), @r"line 2, column 13: steps[0].split: 2 candidates: strategy canary has one so far, write its percent alone, such as `split: 5`");
}

#[test]
fn a_judged_step_needs_time() {
    let text = "\
steps:
  - {split: 5, dwell: 0s}
  - {split: 25}
  - {split: 100, dwell: 0s}
checks:
  - {metric: error_rate, rules: {gte: 0.1}}
";
    insta::assert_snapshot!(refusal(text), @r"
    line 2, column 23: steps[0].dwell: 0 leaves no time to judge: write a dwell such as 5m (0 is for the step of 100 %)
    line 3, column 5: steps[1].dwell: missing: write how long the step is observed, such as `dwell: 30m`
    ");
}

#[test]
fn a_policy_without_steps_is_refused() {
    let text = "\
name: mine
checks:
  - {metric: error_rate, rules: {gte: 0.1}}
";
    insta::assert_snapshot!(refusal(text), @r"line 1, column 1: steps: missing: write at least one step, the last one of 100 %, such as `- {split: 100}`");
}

#[test]
fn keys_that_come_twice_are_refused() {
    let text = "\
name: mine
name: yours
steps:
  - {split: 100, split: 100}
smoke: {path: /predict, body: {a: {b: 1, b: 2}}}
";
    insta::assert_snapshot!(refusal(text), @r"
    line 2, column 1: name: written twice: keep one
    line 4, column 18: steps[0].split: written twice: keep one
    line 5, column 42: smoke.body: `b` is written twice: keep one
    ");
}

#[test]
fn steps_with_one_name_are_refused() {
    let text = "\
steps:
  - {name: ramp, split: 5, dwell: 1m}
  - {name: ramp, split: 25, dwell: 1m}
  - {name: full, split: 100}
";
    insta::assert_snapshot!(refusal(text), @r"line 3, column 12: steps[1].name: steps[0] has this name already: write another one");
}

#[test]
fn the_same_check_twice_is_refused() {
    let text = "\
steps: [{split: 100}]
checks:
  - {metric: error_rate, rules: {gte: 0.1}}
  - {metric: error_rate, rules: [{gte: 0.1}]}
";
    insta::assert_snapshot!(refusal(text), @r"line 4, column 5: checks[1]: the same metric and rules as an earlier check (0): remove one");
}

#[test]
fn anchors_and_aliases_are_off() {
    let text = "\
steps:
  - &first {split: 5, dwell: 1m}
  - *first
";
    insta::assert_snapshot!(refusal(text), @r"line 2, column 12: anchors and aliases are off here: write the value out");
}

#[test]
fn merge_keys_are_off() {
    let text = "\
steps:
  - <<: {split: 5}
    dwell: 1m
";
    insta::assert_snapshot!(refusal(text), @r"line 2, column 5: `<<` merges nothing here: write the fields out");
}

#[test]
fn a_second_document_is_refused() {
    let text = "\
steps: [{split: 100}]
---
steps: [{split: 100}]
";
    insta::assert_snapshot!(refusal(text), @r"line 2, column 1: a second document begins here: write one policy a file");
}

#[test]
fn what_is_no_yaml_is_refused() {
    let text = "\
steps: [{split: 100}
name: mine
";
    insta::assert_snapshot!(refusal(text), @r"line 2, column 5: illegal placement of ':' indicator");
}

#[test]
fn numbers_are_finite() {
    let text = "\
steps:
  - {split: .nan, dwell: .inf}
  - {split: 100}
checks:
  - {metric: error_rate, rules: {gte: .inf, lt: \"NaN\"}, sensitivity: .nan}
alpha: -.inf
smoke: {path: /predict, body: [1, [.nan]]}
";
    insta::assert_snapshot!(refusal(text), @r"
    line 2, column 13: steps[0].split: NaN is no finite number
    line 2, column 26: steps[0].dwell: inf is no finite number
    line 5, column 39: checks[0].rules.gte: inf is no finite number
    line 5, column 49: checks[0].rules.lt: NaN is no finite number
    line 5, column 70: checks[0].sensitivity: NaN is no finite number
    line 6, column 8: alpha: -inf is no finite number
    line 7, column 31: smoke.body: NaN is no finite number
    ");
}

#[test]
fn an_empty_list_of_checks_is_refused() {
    let text = "\
steps: [{split: 5, dwell: 1m}, {split: 100}]
checks: []
";
    insta::assert_snapshot!(refusal(text), @r"line 2, column 9: checks: an empty list judges nothing: write a check, or leave `checks` out so that each step only runs its dwell");
}

#[test]
fn a_field_with_nothing_in_it_is_refused() {
    let text = "\
steps: [{split: 5, dwell: 1m}, {split: 100}]
checks:
#  - {metric: error_rate, rules: {gte: 0.1}}
";
    insta::assert_snapshot!(refusal(text), @r"line 2, column 7: checks: nothing is written here: write a value, or leave the field out");
}

#[test]
fn activate_has_neither_checks_nor_steps() {
    let text = "\
strategy: activate
steps: [{split: 5, dwell: 1m}, {split: 100}]
checks:
  - {metric: error_rate, rules: {gte: 0.1}}
";
    insta::assert_snapshot!(refusal(text), @r"
    line 2, column 32: steps[1]: strategy activate has one step of 100 %: leave the steps out, or write `strategy: canary`
    line 4, column 3: checks: strategy activate is not judged: leave `checks` out, or write `strategy: canary`
    ");
}

#[test]
fn activate_gives_everything() {
    let text = "\
strategy: activate
steps: [{split: 5, dwell: 1m}]
";
    insta::assert_snapshot!(refusal(text), @r"line 2, column 17: steps[0].split: strategy activate gives the version everything: write `split: 100`, or leave the steps out");
}

#[test]
fn a_bad_check_names_each_bad_field() {
    let text = "\
steps: [{split: 5, dwell: 5m}, {split: 100}]
checks:
  - metric: p100_latency_ms
    rules: {gtee: 5000, max_relative_increase: 0.5}
    action: rolback
    min_samples: many
  - rules: [{gte: lots}]
    windw: step
  - metric: error_rate
  - {metric: error_rate, rules: 0.1}
  - {metric: error_rate, rules: {gte: 5}, method: sequential}
";
    insta::assert_snapshot!(refusal(text), @r#"
    line 3, column 13: checks[0].metric: no such quantile `p100_latency_ms`: write p50_latency_ms to p99_latency_ms
    line 4, column 13: checks[0].rules.gtee: unknown field; did you mean `gte`?
    line 4, column 48: checks[0].rules.max_relative_increase: 0.5 is a factor of 1 or less: write 1.5 for +50 %
    line 5, column 13: checks[0].action: `rolback` is no choice here: write `rollback`, `hold`, `gate` or `report`; did you mean `rollback`?
    line 6, column 18: checks[0].min_samples: string "many": write a whole number
    line 7, column 5: checks[1].metric: missing: write one such as `metric: error_rate`
    line 7, column 19: checks[1].rules[0].gte: bad number `lots`: write one such as 0.05
    line 8, column 5: checks[1].windw: unknown field; did you mean `window`?
    line 9, column 5: checks[2].rules: missing: write one such as `rules: {gte: 0.10}`
    line 10, column 33: checks[3].rules: no rules: write a limit such as `{max_absolute: 0.05}`, or a list such as `[{gte: 0.10}]`
    line 11, column 5: checks[4]: the same metric and rules as an earlier check (0): remove one
    line 11, column 39: checks[4].rules.gte: 5 is no share: write 0.05 for 5 %
    "#);
}

#[test]
fn words_and_limits_of_the_whole_are_checked() {
    let text = "\
name: Not A Name
strategy: blue_green
steps:
  - {split: 5, dwell: 5m, gate: yes}
  - {split: 25, dwell: 5m, gate: {expires: 0s, approver: me}}
  - {split: 100}
lease: 5s
prepare_limit: 0s
on_lease_expired: panic
when_live: rejct
on_drift: ignore
keep_cohort: maybe
alpha: 0.9
tick: 1s
smoke: {path: predict, method: post, status: 99}
";
    insta::assert_snapshot!(refusal(text), @r#"
    line 1, column 7: name: bad policy name `Not A Name`: 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit
    line 2, column 11: strategy: `blue_green` is no choice here: write `canary` or `activate`
    line 4, column 33: steps[0].gate: `yes` is no gate: write `true` or `{expires: 24h}`
    line 5, column 44: steps[1].gate.expires: 0s is less than 1s: nothing could be done in time
    line 5, column 48: steps[1].gate.approver: unknown field; did you mean `approver_not_requester`?
    line 7, column 8: lease: 5s is outside 15s to 24h: write `300s`, or `off`
    line 8, column 16: prepare_limit: 0s is less than 1s: nothing could be done in time
    line 9, column 19: on_lease_expired: `panic` is no choice here: write `resume` or `rollback`
    line 10, column 12: when_live: `rejct` is no choice here: write `reject`, `queue` or `supersede`; did you mean `reject`?
    line 11, column 11: on_drift: `ignore` is no choice here: write `restore` or `hold`
    line 12, column 14: keep_cohort: string "maybe": write true or false
    line 13, column 8: alpha: 0.9 is outside (0, 0.5]: write 0.01
    line 14, column 7: tick: 1s is outside 5s to 5m: write 15s
    line 15, column 15: smoke.path: no path under the upstream's address: write one such as `/predict`
    line 15, column 32: smoke.method: no HTTP method: write one such as `POST`
    line 15, column 46: smoke.status: no HTTP status: write one from 100 to 599, or leave it out for any 2xx
    "#);
}

#[test]
fn two_names_for_one_thing_are_refused() {
    let text = "\
steps:
  - {split: 5, weight: 0.05, dwell: 30s, duration_seconds: 30, gate: true, manual_gate: false}
  - {weight: 1.0, duration_seconds: 1m, analysis: [{metric: error_rate, threshold: 0.1}]}
";
    insta::assert_snapshot!(refusal(text), @r"
    line 2, column 24: steps[0].weight: says the same as `split`: keep one
    line 2, column 60: steps[0].duration_seconds: says the same as `dwell`: keep one
    line 2, column 89: steps[0].manual_gate: says the same as `gate`: keep one
    line 3, column 37: steps[1].duration_seconds: `1m` is no number of seconds: write one such as 30
    line 3, column 51: steps[1].analysis: checks belong to the plan and hold in each step: write them under `checks`
    ");
}

#[test]
fn what_is_no_map_is_refused() {
    let text = "\
- split: 5
";
    insta::assert_snapshot!(refusal(text), @r"line 1, column 1: a list is no map of fields: write `name: …`");
}

#[test]
fn sizes_are_limited() {
    let steps = "- {split: 1, dwell: 1s}\n".repeat(200) + "- {split: 100}\n";
    assert_eq!(refusal(&format!("steps:\n{steps}")), "line 202, column 3: steps: 201 steps: a policy has at most 200");
    let checks: String = (0..51).map(|at| format!("- {{metric: m{at}, rules: {{gt: 1}}}}\n")).collect();
    let text = format!("steps: [{{split: 100}}]\nchecks:\n{checks}");
    assert_eq!(refusal(&text), "line 53, column 3: checks: 51 checks: a policy has at most 50");
    assert_eq!(refusal(&"#".repeat(256 * 1024 + 1)), "the text has 262145 bytes: a policy has at most 256 KiB");
    let deep = format!("a: {}1{}", "[".repeat(40), "]".repeat(40));
    assert_eq!(refusal(&deep), "line 1, column 35: nested deeper than 32: no policy needs that");
    assert_eq!(refusal(&"- 1\n".repeat(6000)), "line 5000, column 3: more than 5000 values: no policy needs that many");
    assert!(refusal(&"[".repeat(100_000)).ends_with("nested deeper than 32: no policy needs that"));
}

#[test]
fn one_answer_lists_at_most_a_hundred_problems() {
    let text: String = (0..300).map(|at| format!("field_{at}: 1\n")).collect();
    let answer = refusal(&text);
    assert_eq!(answer.lines().count(), 101);
    assert!(answer.ends_with("and 201 more problems"), "{answer}");
}
