//! Spans on their way to a collector: OTLP over plain HTTP, in batches, from a thread of the exporter's own.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

/// What is not exported by then is lost: a stop waits for no collector.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Starts exporting where the environment names an endpoint; `None` when it names none.
pub(super) fn start() -> Result<Option<SdkTracer>, String> {
    let named = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let endpoint = named.iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    let Some(endpoint) = endpoint else { return Ok(None) };
    if !endpoint.starts_with("http://") {
        return Err(format!("`{}` is no http:// address; put a collector on this machine", endpoint.escape_default()));
    }
    // The exporter reads the environment itself: it adds /v1/traces to the general endpoint and takes the other one as it is.
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
    let exporter = exporter.map_err(|cause| cause.to_string())?;
    let resource = Resource::builder().with_service_name("tidegate").build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("tidegate");
    PROVIDER.set(provider).map_err(|_| "they were started before".to_owned())?;
    Ok(Some(tracer))
}

/// Exports what is left. The exporter's thread is waited for outside of the runtime.
pub(crate) async fn flush() {
    let Some(provider) = PROVIDER.get() else { return };
    let shut = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(FLUSH_LIMIT));
    if let Ok(Err(cause)) = shut.await {
        tracing::warn!("some spans were not exported: {cause}");
    }
}
