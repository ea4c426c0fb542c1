//! What holds for the repository as a whole: who may import whom, how large a file may grow, and that each requirement points to
//! a test that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use chassis::variables::{VARIABLES, Variable};
use serde_json::Value;

/// The size wall of a file, in lines.
const LINES_MAX: usize = 500;
const SERVICES: &[&str] = &[
    "api",
    "registry-writer",
    "stage-scheduler",
    "analyzer",
    "traffic-updater",
    "router",
    "deployer",
    "notifier",
    "modelsim",
    "receiversim",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What a crate may import of ours.
fn allowed(name: &str) -> Vec<&'static str> {
    match name {
        "judge" | "modelsim" | "receiversim" => vec![],
        "rollout" => vec!["judge"],
        "proto" | "store" | "simulate" | "convert" => vec!["judge", "rollout"],
        "chassis" => vec!["judge", "rollout", "proto", "store"],
        name if SERVICES.contains(&name) => vec!["judge", "rollout", "proto", "store", "chassis"],
        "servers" => vec!["store", "chassis"],
        _ => {
            [&["judge", "rollout", "simulate", "convert", "proto", "store", "chassis", "tidegate", "servers"], SERVICES]
                .concat()
        }
    }
}

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let out = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let allowed = allowed(name);
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = dependency["name"].as_str().unwrap();
            assert!(!ours.contains(dependency) || allowed.contains(&dependency), "{name} may not import {dependency}");
        }
    }
}

#[test]
fn only_their_owners_know_sql_and_the_pure_crates_know_no_runtime() {
    let metadata = metadata();
    let knows = |crate_name: &str| -> BTreeSet<String> {
        let packages = metadata["packages"].as_array().unwrap().iter();
        let users = packages.filter(|package| {
            package["dependencies"].as_array().unwrap().iter().any(|dependency| dependency["name"] == crate_name)
        });
        users.map(|package| package["name"].as_str().unwrap().to_owned()).collect()
    };
    // The benchmark's floor is bare statements beside the store's; tests read catalogs and locks, as an operator would.
    let knowing = |owner: &str| BTreeSet::from([owner, "bench", "servers", "tidegate-tests"].map(str::to_owned));
    assert_eq!(knows("sqlx"), knowing("store"));
    assert_eq!(knows("async-nats"), knowing("chassis"));
    assert_eq!(knows("statig"), BTreeSet::from(["rollout".to_owned()]));
    for runtime in ["tokio", "hyper", "uuid", "time", "tracing"] {
        let users = knows(runtime);
        assert!(!users.contains("judge") && !users.contains("rollout"), "a pure crate imports {runtime}");
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "tidegate-data" {
            rust_files(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_file_grows_over_the_wall_and_none_is_called_mod() {
    let mut files = Vec::new();
    rust_files(&root(), &mut files);
    assert!(files.len() > 50);
    for file in files {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", file.display());
        assert_ne!(file.file_name().unwrap(), "mod.rs", "{}", file.display());
    }
}

#[test]
fn nothing_here_knows_kubernetes() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for name in ["kube", "kube-client", "k8s-openapi"] {
        assert!(!lock.contains(&format!("name = \"{name}\"")), "{name} is a dependency");
    }
}

/// Names of all test functions, by reading the sources.
fn test_names() -> BTreeMap<String, usize> {
    let mut files = Vec::new();
    rust_files(&root(), &mut files);
    let mut names = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for line in text.lines().map(str::trim_start) {
            let line = line.strip_prefix("async ").unwrap_or(line);
            if let Some(rest) = line.strip_prefix("fn ") {
                *names.entry(rest.split('(').next().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    names
}

#[test]
fn each_requirement_points_to_a_test_that_exists() {
    let text = std::fs::read_to_string(root().join("docs/REQUIREMENTS.md")).unwrap();
    let names = test_names();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| R")).collect();
    let wanted = [
        "R6", "R12", "R17", "R18", "R19", "R20", "R21", "R22", "R23", "R24", "R25", "R26", "R27", "R28", "R31", "R36",
        "R38", "R41", "R42", "R60", "R64", "R65", "R83", "R85", "R86", "R87", "R88", "R90", "R92", "R95", "R98", "R99",
        "R100", "R103",
    ];
    for row in wanted {
        assert!(rows.iter().any(|line| line.starts_with(&format!("| {row} "))), "{row} is not in docs/REQUIREMENTS.md");
    }
    rows.iter().for_each(|line| all_exist(line, &names));
}

/// The last column of a row names tests.
fn all_exist(line: &str, names: &BTreeMap<String, usize>) {
    let shown: Vec<&str> = line.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect();
    assert!(!shown.is_empty(), "no test is named: {line}");
    for name in shown {
        assert!(names.contains_key(name), "`{name}` does not exist: {line}");
    }
}

#[test]
fn each_outage_points_to_a_test_that_exists() {
    let book = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let section = book.split("## What shows that an outage costs nothing").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    // Those of the specification's matrix.
    assert_eq!(rows.len(), 13);
    let names = test_names();
    rows.iter().for_each(|line| all_exist(line, &names));
}

/// What the tests of a fault may have to wait for.
const LATER: [&str; 3] = ["access", "HAProxy", "nginx"];

#[test]
fn each_fault_points_to_a_test_that_exists_or_to_what_it_waits_for() {
    let text = std::fs::read_to_string(root().join("docs/FAULTS.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| F")).collect();
    // Those of the specification's catalogue, in its order.
    let numbers: Vec<_> = rows.iter().map(|row| row.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(numbers, (1..=50).map(|number| format!("F{number}")).collect::<Vec<_>>());
    let names = test_names();
    for row in rows {
        let shown = row.rsplit('|').nth(1).unwrap();
        if shown.contains('`') || !LATER.iter().any(|later| shown.contains(later)) {
            all_exist(row, &names);
        }
    }
}

/// Names that begin as our variables do.
fn variables(text: &str) -> BTreeSet<String> {
    let is_of_name = |letter: &char| letter.is_ascii_uppercase() || *letter == '_';
    text.match_indices("TIDEGATE_").map(|(at, _)| text[at..].chars().take_while(is_of_name).collect()).collect()
}

#[test]
fn every_variable_of_the_environment_is_documented_and_read() {
    let book: String = ["OPERATIONS.md", "OBSERVING.md"]
        .map(|name| std::fs::read_to_string(root().join("docs").join(name)).unwrap())
        .concat();
    let mut files = Vec::new();
    for folder in ["crates", "services"] {
        rust_files(&root().join(folder), &mut files);
    }
    // The table itself is no proof that somebody reads what is in it.
    files.retain(|file| !file.ends_with("chassis/src/variables.rs"));
    let read: BTreeSet<_> = files.iter().flat_map(|path| variables(&std::fs::read_to_string(path).unwrap())).collect();
    assert_eq!(variables(&book), read);
    let row = |of: &Variable| format!("| `{}` | {} | {} |\n", of.name, of.of, of.meaning);
    let table: String = VARIABLES.iter().map(row).collect();
    assert!(book.contains(&table), "docs/OPERATIONS.md has another table of variables than this:\n{table}");
    let listed: BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name.to_owned()).collect();
    assert_eq!(variables(&listed.iter().cloned().collect::<Vec<_>>().join(" ")), read);
}

#[test]
fn every_fail_point_is_documented_and_exists() {
    let book = std::fs::read_to_string(root().join("docs/OBSERVING.md")).unwrap();
    let section = book.split("## Fail points").nth(1).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').nth(1).unwrap());
    let named: BTreeSet<_> = rows.flat_map(|places| places.split('`').skip(1).step_by(2)).collect();
    assert_eq!(named, chassis::failpoint::PLACES.iter().copied().collect());
}
