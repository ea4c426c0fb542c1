//! Where others find a check's value: what is built in there, or an expression for Prometheus.

use judge::{Metric, Query};

/// What stands for the length of time in an expression, until it is known how that is written.
const WINDOW: &str = "\u{0}window\u{0}";

/// Our placeholders.
const PLACEHOLDERS: [&str; 5] = ["model", "version", "tenant", "arm", "step"];

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// Requests that went well, over all.
    Successes,
    /// Requests that failed, over all.
    Failures,
    /// Percent of the time to the end of an answer.
    Latency(u8),
    /// Whatever Prometheus is asked.
    Query(Expression),
}

/// PromQL with our placeholders, and a place for the length of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression(String);

/// The expression of a query: counters become rates, because others have no increases of their own.
pub(super) fn of(query: &Query, kind: &Metric) -> Expression {
    let rate =
        |series: &Option<String>| format!("sum(rate({}[{WINDOW}]))", series.as_deref().unwrap_or_default().trim());
    let counted = if query.good.is_some() { &query.good } else { &query.bad };
    Expression(match kind {
        Metric::Proportion { .. } => format!("{}\n/\n{}", rate(counted), rate(&query.total)),
        Metric::Mean { .. } => format!("{}\n/\n{}", rate(&query.sum), rate(&query.count)),
        Metric::Quantile { percent, .. } => {
            format!("histogram_quantile({}, {} by (le))", f64::from(*percent) / 100.0, rate(&query.buckets))
        }
        Metric::Rate { .. } => {
            format!("avg(sum by (instance) (rate({}[{WINDOW}])))", query.events.as_deref().unwrap_or_default().trim())
        }
        Metric::Gauge { .. } => query.value.clone().unwrap_or_default(),
    })
}

impl Expression {
    /// The text, with the length of time as the others write it, and placeholders as well; which of those it has.
    pub(super) fn written(&self, window: &str, placeholder: impl Fn(&str) -> String) -> (String, Vec<&'static str>) {
        let mut text = self.0.replace(WINDOW, window);
        let mut used = Vec::new();
        for name in PLACEHOLDERS {
            let ours = format!("{{{name}}}");
            if text.contains(&ours) {
                text = text.replace(&ours, &placeholder(name));
                used.push(name);
            }
        }
        (text, used)
    }

    /// Whether it looks back by itself.
    pub(super) fn has_window(&self) -> bool {
        self.0.contains(WINDOW)
    }
}
