//! Logs, spans, and the trace context that travels with every message.

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};
use uuid::Uuid;

use crate::handler::Cause;

/// The trace that a cause belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace(String);

impl Trace {
    /// The trace of a cause: that of its message, or a new one.
    #[must_use]
    pub fn of(cause: &Cause) -> Self {
        match cause {
            Cause::Message(incoming) => Self::from_parent(incoming.traceparent.as_deref()),
            Cause::Deadline(due) => Self(trace_id_of(due.rollout_id.as_str())),
        }
    }

    /// The trace of a `traceparent`, or a new one when there is none or it is malformed.
    #[must_use]
    pub fn from_parent(parent: Option<&str>) -> Self {
        let id = parent
            .and_then(|text| text.split('-').nth(1))
            .filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
        Self(id.map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_ascii_lowercase))
    }

    /// The `traceparent` of a new span in it.
    #[must_use]
    pub fn child(&self) -> String {
        let (_, random) = Uuid::new_v4().as_u64_pair();
        format!("00-{}-{random:016x}-01", self.0)
    }

    /// The trace id, 32 hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0
    }
}

/// A deadline belongs to the trace of its rollout, which needs an id that every process derives alike.
fn trace_id_of(rollout: &str) -> String {
    let (high, low) = rollout.split_at(rollout.len() / 2);
    format!("{:08x}{:08x}{:08x}{:08x}", hash(high), hash(low), hash(rollout), !hash(rollout))
}

fn hash(text: &str) -> u32 {
    rollout::bucket::murmur3(text.as_bytes())
}

pub(crate) fn cause_span(service: &'static str, cause: &Cause) -> tracing::Span {
    let trace = Trace::of(cause);
    match cause {
        Cause::Message(incoming) => {
            let (tenant, model) = incoming.message.about();
            let model = model.map(ToString::to_string).unwrap_or_default();
            tracing::info_span!("fact", service, %tenant, model, fact.id = incoming.id, fact.kind = incoming.message.name(), trace.id = trace.id())
        }
        Cause::Deadline(due) => {
            tracing::info_span!("fact", service, rollout.id = %due.rollout_id, fact.kind = "deadline_passed", version = due.version, trace.id = trace.id())
        }
    }
}

/// Starts logging to standard error: `TIDEGATE_LOG` filters (default `filter`), `TIDEGATE_LOG_FORMAT=json` for machines.
pub fn start_logging(filter: &str) {
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    let json = std::env::var("TIDEGATE_LOG_FORMAT").is_ok_and(|format| format == "json");
    let is_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(is_terminal).with_target(false);
    let layer =
        if json { lines.json().with_filter(filter).boxed() } else { lines.compact().with_filter(filter).boxed() };
    // A second start, as in tests that run in one process, keeps the first.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}
