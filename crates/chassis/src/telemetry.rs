//! Logs, spans, and the trace that travels with every message.
//!
//! A rollout is one trace. Its id is derived from the rollout's, so that a deadline, which no message carries, and a service that
//! has lost its memory continue the same one. Parents travel in the envelope's `traceparent`, through the outbox.

mod export;

use std::io::IsTerminal as _;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use proto::Message;
use rollout::RolloutId;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};
use uuid::Uuid;

pub(crate) use export::flush;

use crate::handler::{Cause, Incoming};

/// The trace that something belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    id: String,
    /// The span that led to it, 16 hex digits; the first span of a rollout has one that is never exported.
    parent: String,
}

impl Trace {
    /// The trace of a cause.
    #[must_use]
    pub fn of(cause: &Cause) -> Self {
        match cause {
            Cause::Deadline(due) => Self::of_rollout(&due.rollout_id),
            Cause::Message(incoming) => {
                let sent = Self::from_parent(incoming.traceparent.as_deref());
                match rollout_of(incoming).map(|id| Self::of_rollout(&id)) {
                    Some(own) if own.id != sent.id => own,
                    _ => sent,
                }
            }
        }
    }

    /// The trace of a rollout.
    #[must_use]
    pub fn of_rollout(id: &RolloutId) -> Self {
        let text = id.as_str();
        let (high, low) = text.split_at(text.len() / 2);
        let id = format!("{:08x}{:08x}{:08x}{:08x}", hash(high), hash(low), hash(text), !hash(text));
        Self { parent: id[16..].to_owned(), id }
    }

    /// The trace of a `traceparent`, or a new one when there is none or it is malformed.
    #[must_use]
    pub fn from_parent(parent: Option<&str>) -> Self {
        let mut parts = parent.unwrap_or_default().split('-').skip(1);
        let mut hex = |digits: usize| {
            parts.next().filter(|text| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        if let (Some(id), Some(parent)) = (hex(32), hex(16)) {
            return Self { id: id.to_ascii_lowercase(), parent: parent.to_ascii_lowercase() };
        }
        Self { id: Uuid::now_v7().simple().to_string(), parent: random_span() }
    }

    /// The `traceparent` of what the present span says; of a new span where none is exported.
    #[must_use]
    pub fn child(&self) -> String {
        let span = self.here().map_or_else(random_span, |span| span.to_string());
        format!("00-{}-{span}-01", self.id)
    }

    /// Whether the present span is exported and belongs to it.
    pub(crate) fn is_here(&self) -> bool {
        self.here().is_some()
    }

    fn here(&self) -> Option<SpanId> {
        let here = Span::current().context().span().span_context().clone();
        (here.is_valid() && here.trace_id().to_string() == self.id).then(|| here.span_id())
    }

    /// The trace id, 32 hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Puts a span that was not entered yet into this trace.
    fn take(&self, span: &Span) {
        let ids = (TraceId::from_hex(&self.id), SpanId::from_hex(&self.parent));
        let (Ok(id), Ok(parent)) = ids else { return };
        let parent = SpanContext::new(id, parent, TraceFlags::SAMPLED, true, TraceState::default());
        // Without an exporter nobody asks for parents.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
    }
}

fn random_span() -> String {
    let (_, random) = Uuid::new_v4().as_u64_pair();
    format!("{random:016x}")
}

fn hash(text: &str) -> u32 {
    judge::murmur3(text.as_bytes())
}

/// The rollout that a message is about: the one that it names, or the one that it will become.
fn rollout_of(incoming: &Incoming) -> Option<RolloutId> {
    match incoming.message {
        Message::VersionPromote(_) => Some(RolloutId::of(&incoming.source, &incoming.id)),
        _ => incoming.rollout_id.clone(),
    }
}

/// The span of a cause. What is only known once it was decided is recorded then.
pub(crate) fn cause_span(service: &'static str, cause: &Cause) -> Span {
    let trace = Trace::of(cause);
    let span = match cause {
        Cause::Message(incoming) => {
            let (tenant, model) = incoming.message.about();
            let span = tracing::info_span!(
                "fact", service, tenant = %tenant, model = tracing::field::Empty, rollout.id = tracing::field::Empty, fact.id = incoming.id,
                fact.kind = incoming.message.name(), stage = tracing::field::Empty, attempt = tracing::field::Empty, trace.id = trace.id(),
                otel.name = incoming.message.name()
            );
            record(&span, model, rollout_of(incoming).as_ref(), incoming.attempt);
            span
        }
        Cause::Deadline(due) => tracing::info_span!(
            "fact", service, tenant = tracing::field::Empty, model = tracing::field::Empty, rollout.id = %due.rollout_id,
            fact.id = format!("{}.{}", due.rollout_id, due.version), fact.kind = "deadline_passed", stage = tracing::field::Empty,
            attempt = tracing::field::Empty, trace.id = trace.id(), otel.name = "deadline_passed"
        ),
    };
    trace.take(&span);
    span
}

/// The span of a message that no cause led to: a request became it.
pub(crate) fn said_span(
    service: &'static str,
    trace: &Trace,
    id: &str,
    message: &Message,
    rollout: &RolloutId,
) -> Span {
    let (tenant, model) = message.about();
    let span = tracing::info_span!(
        "said", service, tenant = %tenant, model = tracing::field::Empty, rollout.id = %rollout, fact.id = id, fact.kind = message.name(),
        trace.id = trace.id(), otel.name = message.name()
    );
    record(&span, model, None, None);
    trace.take(&span);
    span
}

fn record(span: &Span, model: Option<&rollout::Model>, rollout: Option<&RolloutId>, attempt: Option<i64>) {
    if let Some(model) = model {
        span.record("model", model.as_str());
    }
    if let Some(rollout) = rollout {
        span.record("rollout.id", rollout.as_str());
    }
    if let Some(attempt) = attempt {
        span.record("attempt", attempt);
    }
}

/// Adds to the present span where a rollout stands after its cause.
pub(crate) fn tell_where(row: &rollout::Rollout) {
    let span = Span::current();
    span.record("tenant", row.tenant.as_str());
    record(&span, Some(&row.model), None, Some(row.attempt));
    span.record("stage", row.stage.name());
}

/// Starts logging to standard error: `TIDEGATE_LOG` filters (default `filter`), `TIDEGATE_LOG_FORMAT=json` for machines.
/// Spans are exported where `OTEL_EXPORTER_OTLP_ENDPOINT` says, and nowhere when it says nothing.
pub fn start_logging(filter: &str) {
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    let json = std::env::var("TIDEGATE_LOG_FORMAT").is_ok_and(|format| format == "json");
    let is_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(is_terminal).with_target(false);
    let layer =
        if json { lines.json().with_filter(filter).boxed() } else { lines.compact().with_filter(filter).boxed() };
    let (tracer, trouble) = match export::start() {
        Ok(tracer) => (tracer, None),
        Err(trouble) => (None, Some(trouble)),
    };
    // Our own spans and nothing else: the exporter's own requests must not become spans again.
    let spans = tracer.map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(filter_fn(|what| what.is_span() && what.target().starts_with(env!("CARGO_CRATE_NAME"))))
    });
    // A second start, as in tests that run in one process, keeps the first.
    let _ = tracing_subscriber::registry().with(spans).with(layer).try_init();
    if let Some(trouble) = trouble {
        tracing::error!("traces are not exported: {trouble}");
    }
}
