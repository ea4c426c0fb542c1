//! The study as tables: a method a column.

use comfy_table::{ContentArrangement, Table, presets};
use libm::{exp, lgamma, log};

use super::method::METHODS;
use super::scenario::Truth;
use super::study::{Studied, share};

/// A bound that holds in 97.5 of 100 studies.
const ERROR: f64 = 0.025;

#[expect(clippy::print_stdout, reason = "the tables are what the study is for")]
pub(super) fn print(studied: &[Studied]) {
    let [ours, others] = [0, 1].map(|method| studied.first().map_or(0, |one| one.judged(method).len()));
    println!(
        "\nhealthy versions taken back in 210 min, of {ours} by us and of {others} by others, at most (97.5 %); and promoted by us"
    );
    let healthy = studied.iter().filter(|one| matches!(one.scenario.truth, Truth::Healthy { .. }));
    println!("{}", table("candidate", "passed", healthy.map(|one| (one, false_rollbacks(one)))));
    println!("\nbad versions taken back, after so many seconds in the median and in 95 of 100");
    let bad = studied.iter().filter(|one| matches!(one.scenario.truth, Truth::Bad { .. }));
    println!("{}", table("candidate", "reference", bad.map(|one| (one, detection(one)))));
}

fn table<'a>(first: &str, last: &str, rows: impl Iterator<Item = (&'a Studied, Vec<String>)>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    let methods = METHODS.map(|name| name.replace('-', "-\n"));
    table.set_header([first.to_owned()].into_iter().chain(methods).chain([last.to_owned()]));
    for (studied, cells) in rows {
        table.add_row([studied.scenario.name.replace(", ", ",\n")].into_iter().chain(cells));
    }
    table
}

fn false_rollbacks(studied: &Studied) -> Vec<String> {
    let cell = |method| {
        let (back, of) = (studied.back(method), studied.judged(method).len());
        format!("{back}: {}\n<= {}", percent(share(back, of)), percent(at_most(back, of)))
    };
    let promoted = studied.promoted.map_or_else(String::new, percent);
    (0..METHODS.len()).map(cell).chain([promoted]).collect()
}

fn detection(studied: &Studied) -> Vec<String> {
    let of = studied.outcomes.len();
    let cell = |method| {
        let times = told(studied.seconds(method, 0.5), Some(studied.seconds(method, 0.95)));
        format!("{}\n{times}", percent(share(studied.back(method), of)))
    };
    let reference = match studied.scenario.truth {
        Truth::Bad { median, p95 } => told(median, p95),
        Truth::Healthy { .. } => String::new(),
    };
    (0..METHODS.len()).map(cell).chain([reference]).collect()
}

/// Seconds in the median and in 95 of 100 rollouts.
fn told(median: f64, p95: Option<f64>) -> String {
    let time = |seconds: f64| if seconds.is_finite() { format!("{seconds:.0}") } else { "never".to_owned() };
    match p95 {
        Some(p95) if median.is_finite() => format!("{}, {}", time(median), time(p95)),
        _ => time(median),
    }
}

fn percent(share: f64) -> String {
    let decimals = if share < 0.01 { 2 } else { usize::from(share < 1.0) };
    format!("{:.decimals$} %", 100.0 * share)
}

/// The share that so many of a number are at most (Clopper, Pearson 1934): with it, so few would be seen in 2.5 of 100 studies.
pub(super) fn at_most(count: usize, of: usize) -> f64 {
    if count >= of {
        return 1.0;
    }
    let (mut low, mut high) = (share(count, of), 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if so_few(count, of, middle) > ERROR { low = middle } else { high = middle }
    }
    high
}

/// The probability of at most `count` of `of`.
fn so_few(count: usize, of: usize, p: f64) -> f64 {
    let ways = |k: f64, n: f64| lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0);
    let n = of as f64;
    (0..=count).map(|k| k as f64).map(|k| exp(ways(k, n) + k * log(p) + (n - k) * log(1.0 - p))).sum()
}
