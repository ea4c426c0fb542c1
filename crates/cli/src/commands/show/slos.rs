//! How the objectives stand: the budget of each arm, beside each other.

use judge::slo::Alert;
use proto::http::SloView;

use crate::screen::Table;
use crate::words::{number, or_dash, word};

/// The objectives as a heading and a table; what burns too fast in sentences.
pub(super) fn text(slos: &[SloView]) -> String {
    let mut table = Table::new(["OBJECTIVE", "TARGET", "VERSION", "VALUE", "N", "LEFT", "STATUS"]);
    for SloView { version, objective, standing } in slos {
        let bound = if objective.is_least { "min" } else { "max" };
        table.row([
            objective.metric.clone(),
            format!("{bound} {}", number(objective.target)),
            version.to_string(),
            or_dash(standing.value.map(number)),
            number(standing.n),
            if standing.n > 0.0 { format!("{:.1} %", 100.0 * standing.remaining) } else { "-".to_owned() },
            word(&standing.status),
        ]);
    }
    let mut lines = vec!["objectives, which never take a version back:".to_owned(), table.text()];
    for slo in slos {
        lines.extend(slo.standing.alerts.iter().map(|alert| burning(slo, alert)));
    }
    lines.join("\n")
}

fn burning(slo: &SloView, Alert { burn, over, and }: &Alert) -> String {
    let (metric, version) = (&slo.objective.metric, &slo.version);
    super::fitted(
        &format!("! {metric} of {version}: its budget burns over {burn} times too fast, over {over} and over {and}"),
        2,
    )
}
