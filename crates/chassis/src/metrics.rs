//! What the chassis counts, for every service alike.

use std::sync::{Arc, Mutex};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByService {
    /// Its name.
    pub(crate) service: &'static str,
}

/// A service, and what became of a cause.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByOutcome {
    /// The service.
    pub(crate) service: &'static str,
    /// `applied`, `refused` or `parked`.
    pub(crate) outcome: &'static str,
}

/// A place where a text is made by somebody else.
type Page = Box<dyn Fn() -> String + Send + Sync>;

/// The counters of a process, and its page.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    pages: Arc<Mutex<Vec<Page>>>,
    pub(crate) settled: Family<ByOutcome, Counter>,
    pub(crate) races_lost: Family<ByService, Counter>,
    pub(crate) retried: Family<ByService, Counter>,
    pub(crate) late_seconds: Histogram,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tidegate");
        let (settled, races_lost, retried) = (Family::default(), Family::default(), Family::default());
        let late_seconds = Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0]);
        registry.register("causes", "Messages and deadlines that a service has settled", Family::clone(&settled));
        registry.register("races_lost", "Commits that another one was quicker than", Family::clone(&races_lost));
        registry.register(
            "retries",
            "Causes that had to wait for the database or the outside world",
            Family::clone(&retried),
        );
        registry.register("deadline_late_seconds", "How late deadlines fired", late_seconds.clone());
        Self {
            registry: Arc::new(Mutex::new(registry)),
            pages: Arc::default(),
            settled,
            races_lost,
            retried,
            late_seconds,
        }
    }
}

impl Metrics {
    /// Registers what a service counts itself.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock().expect("no holder of the registry panics"));
    }

    /// Adds a page that is made elsewhere, in the text format of Prometheus.
    pub fn add_page(&self, page: impl Fn() -> String + Send + Sync + 'static) {
        self.pages.lock().expect("no holder of the pages panics").push(Box::new(page));
    }

    /// The page for Prometheus: text that both of its formats read alike.
    #[must_use]
    pub fn page(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().expect("no holder of the registry panics");
        // Writing into a String can't fail.
        let _ = prometheus_client::encoding::text::encode_registry(&mut text, &registry);
        for page in self.pages.lock().expect("no holder of the pages panics").iter() {
            text.push_str(&page());
        }
        text
    }
}
