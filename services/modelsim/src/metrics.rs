//! What Prometheus sees, in its text format. Only predictions are counted: health checks and scrapes
//! would dilute the success rate. A request that hangs is never counted, as with a real server.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};

const BUCKET_EDGES_MS: [u16; 5] = [10, 50, 100, 200, 500];
/// Weight of the newest prediction in the confidence gauge: it remembers about the last hundred.
const CONFIDENCE_WEIGHT: f64 = 0.02;

/// The counters of one simulator.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Counts>);

#[derive(Clone, Debug, Default)]
struct Counts {
    /// By status; the method is always `POST`.
    requests: BTreeMap<u16, u64>,
    /// Not cumulative; the last is for everything above the last edge.
    latency_buckets: [u64; BUCKET_EDGES_MS.len() + 1],
    latency_ms_sum: f64,
    confidence: BTreeMap<String, f64>,
}

impl Metrics {
    /// Counts a prediction request that was answered.
    pub(crate) fn answered(&self, status: u16, latency: Duration) {
        let latency_ms = latency.as_secs_f64() * 1_000.0;
        let bucket = BUCKET_EDGES_MS.iter().take_while(|edge| f64::from(**edge) < latency_ms).count();
        let mut counts = self.counts();
        *counts.requests.entry(status).or_default() += 1;
        counts.latency_buckets[bucket] += 1;
        counts.latency_ms_sum += latency_ms;
    }

    /// Notes the confidence of a good prediction.
    pub(crate) fn predicted(&self, model_version: &str, confidence: f64) {
        let mut counts = self.counts();
        match counts.confidence.get_mut(model_version) {
            Some(mean) => *mean += CONFIDENCE_WEIGHT * (confidence - *mean),
            None => drop(counts.confidence.insert(model_version.to_owned(), confidence)),
        }
    }

    /// Prediction requests answered so far, with any status.
    pub(crate) fn answered_total(&self) -> u64 {
        self.counts().requests.values().sum()
    }

    /// Everything in the Prometheus text format.
    pub(crate) fn exposition(&self) -> String {
        let counts = self.counts().clone();
        let mut text = String::new();
        counts.write(&mut text).and_then(|()| process(&mut text)).expect("writing to a string cannot fail");
        text
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "# HELP sentiment_api_requests_total Prediction requests answered.")?;
        writeln!(text, "# TYPE sentiment_api_requests_total counter")?;
        for (status, count) in &self.requests {
            writeln!(text, "sentiment_api_requests_total{{method=\"POST\",status=\"{status}\"}} {count}")?;
        }
        writeln!(text, "# HELP sentiment_api_latency_ms Time to answer a prediction request.")?;
        writeln!(text, "# TYPE sentiment_api_latency_ms histogram")?;
        let mut cumulative = 0;
        for (edge, count) in BUCKET_EDGES_MS.iter().zip(self.latency_buckets) {
            cumulative += count;
            writeln!(text, "sentiment_api_latency_ms_bucket{{le=\"{edge}\"}} {cumulative}")?;
        }
        let total: u64 = self.latency_buckets.iter().sum();
        writeln!(text, "sentiment_api_latency_ms_bucket{{le=\"+Inf\"}} {total}")?;
        writeln!(text, "sentiment_api_latency_ms_sum {}", self.latency_ms_sum)?;
        writeln!(text, "sentiment_api_latency_ms_count {total}")?;
        writeln!(text, "# HELP sentiment_prediction_confidence Mean confidence of recent predictions.")?;
        writeln!(text, "# TYPE sentiment_prediction_confidence gauge")?;
        for (version, mean) in &self.confidence {
            let version = escaped(version);
            writeln!(text, "sentiment_prediction_confidence{{model_version=\"{version}\"}} {mean}")?;
        }
        Ok(())
    }
}

/// What the process has used, as client libraries of Prometheus tell it unasked.
fn process(text: &mut String) -> std::fmt::Result {
    let used = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
    writeln!(text, "# HELP process_cpu_seconds_total Time on processors.")?;
    writeln!(text, "# TYPE process_cpu_seconds_total counter")?;
    writeln!(text, "process_cpu_seconds_total {}", used.as_secs_f64())?;
    // proc(5): its second figure is the resident pages.
    let figures = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let Some(pages) = figures.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()) else {
        return Ok(());
    };
    writeln!(text, "# HELP process_resident_memory_bytes Memory in use.")?;
    writeln!(text, "# TYPE process_resident_memory_bytes gauge")?;
    writeln!(text, "process_resident_memory_bytes {}", pages * page_size())
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
