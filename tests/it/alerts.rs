//! The rules of Prometheus, held by its own tool.

use std::process::Command;

use serde_json::Value;

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

#[test]
fn each_alert_is_explained() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let book = std::fs::read_to_string(root.join("docs/OPERATIONS.md")).unwrap();
    let mut alerts = 0;
    for name in ["tidegate.yml", "models.yml"] {
        let text = std::fs::read_to_string(root.join("compose/prometheus/rules").join(name)).unwrap();
        let rules: Value = serde_saphyr::from_str(&text).unwrap();
        for rule in rules["groups"][0]["rules"].as_array().unwrap() {
            let Some(alert) = rule["alert"].as_str() else { continue };
            assert!(book.contains(&format!("`{alert}`")), "docs/OPERATIONS.md says nothing of {alert}");
            alerts += 1;
        }
    }
    assert!(alerts > 10);
}
