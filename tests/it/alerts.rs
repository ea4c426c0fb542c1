//! The rules of Prometheus, held by its own tool.

use std::process::Command;

fn promtool(words: &[&str]) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../compose/prometheus");
    let out = Command::new("promtool").args(words).current_dir(folder).output().unwrap();
    let said = [out.stdout, out.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(out.status.success(), "{said}");
}

#[test]
fn the_rules_of_prometheus_are_valid_and_each_alert_comes_when_it_should() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "tests/rules.yml"]);
}
