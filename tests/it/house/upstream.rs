//! Plain HTTP servers that stand for models, as good or as bad as a test wants.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A plain HTTP server that says which version it is.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) url: String,
    told: Arc<Told>,
}

struct Told {
    version: String,
    asked: AtomicU64,
    loaded: AtomicBool,
    observe: Mutex<Option<String>>,
    /// Whether it answers with 500.
    fails: AtomicBool,
    /// How long it takes for an answer, in milliseconds.
    takes_ms: AtomicU64,
}

impl Upstream {
    pub(crate) async fn start(version: &str) -> Self {
        let told = Told {
            version: version.to_owned(),
            asked: AtomicU64::new(0),
            loaded: AtomicBool::new(true),
            observe: Mutex::new(None),
            fails: AtomicBool::new(false),
            takes_ms: AtomicU64::new(0),
        };
        let told = Arc::new(told);
        let app = axum::Router::new()
            .route("/health", axum::routing::get(health))
            .fallback(predict)
            .with_state(Arc::clone(&told));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, told }
    }

    /// Requests that it answered.
    pub(crate) fn asked(&self) -> u64 {
        self.told.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn is_loaded(&self, loaded: bool) {
        self.told.loaded.store(loaded, Ordering::SeqCst);
    }

    /// What its answers say, one after the other where there are several behind `|`.
    pub(crate) fn observe(&self, observation: &str) {
        *self.told.observe.lock().unwrap() = Some(observation.to_owned());
    }

    pub(crate) fn fail(&self) {
        self.told.fails.store(true, Ordering::SeqCst);
    }

    pub(crate) fn take(&self, ms: u64) {
        self.told.takes_ms.store(ms, Ordering::SeqCst);
    }
}

async fn health(State(told): State<Arc<Told>>) -> axum::Json<Value> {
    axum::Json(json!({"status": "ok", "model_loaded": told.loaded.load(Ordering::SeqCst), "version": told.version}))
}

async fn predict(State(told): State<Arc<Told>>, sent: HeaderMap) -> axum::response::Response {
    let asked = told.asked.fetch_add(1, Ordering::SeqCst);
    match told.takes_ms.load(Ordering::SeqCst) {
        0 => {}
        ms => tokio::time::sleep(Duration::from_millis(ms)).await,
    }
    if told.fails.load(Ordering::SeqCst) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let session = sent.get("x-session-id").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut answer = axum::Json(json!({"version": told.version, "session": session})).into_response();
    if let Some(observations) = told.observe.lock().unwrap().as_ref() {
        let all: Vec<&str> = observations.split('|').collect();
        let observation = all[usize::try_from(asked).unwrap() % all.len()];
        answer.headers_mut().insert("x-tidegate-observe", observation.parse().unwrap());
    }
    answer
}
