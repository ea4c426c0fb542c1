//! One request in, one answer out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::asked::{body, texts};
use crate::chance::Chance;
use crate::dials::Dials;
use crate::draw::Draw;
use crate::metrics::Metrics;
use crate::panel::{Panel, Readiness};
use crate::prediction;
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::simulator::Config;
use crate::stream;

/// What the requests of one simulator share.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) config: Config,
    pub(crate) panel: Panel,
    pub(crate) metrics: Metrics,
    /// Predictions begun: the ordinal of the next draw.
    ordinal: AtomicU64,
}

/// One prediction request on its way.
pub(crate) struct Call {
    pub(crate) model: Arc<Model>,
    pub(crate) dials: Dials,
    pub(crate) began: Instant,
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        let panel = Panel::new(config.dials.clone());
        Self { config, panel, metrics: Metrics::default(), ordinal: AtomicU64::new(0) }
    }

    pub(crate) fn version<'a>(&'a self, dials: &'a Dials) -> &'a str {
        dials.reported_version.as_deref().unwrap_or(&self.config.version)
    }

    fn chance(&self) -> Chance {
        Chance::new(self.config.seed, self.ordinal.fetch_add(1, Ordering::Relaxed))
    }

    fn health(&self) -> Reply {
        let (status, word) = match self.panel.readiness() {
            Readiness::Ready => (StatusCode::OK, "healthy"),
            Readiness::Loading => (StatusCode::SERVICE_UNAVAILABLE, "loading"),
            Readiness::Failed => (StatusCode::SERVICE_UNAVAILABLE, "load_failed"),
        };
        let dials = self.panel.read();
        let is_loaded = status == StatusCode::OK;
        reply::json(status, &json!({ "status": word, "model_loaded": is_loaded, "version": self.version(&dials) }))
    }

    fn info(&self) -> Reply {
        let dials = self.panel.read();
        let mut info = json!({
            "name": self.config.name,
            "version": self.version(&dials),
            "architecture": "word list with dials",
            "input_shape": [128],
            "output_classes": prediction::LABELS.len(),
            "labels": prediction::LABELS,
            "model_loaded": self.panel.readiness() == Readiness::Ready,
        });
        let given = [("MODEL_NAME", &self.config.env_name), ("MODEL_VERSION", &self.config.env_version)];
        for (name, value) in given {
            if let Some(value) = value {
                info[name] = json!(value);
            }
        }
        reply::json(StatusCode::OK, &info)
    }
}

/// Answers a request that no fault has taken away.
pub(crate) async fn answer(model: Arc<Model>, route: Route, request: Request<Incoming>) -> Reply {
    let began = Instant::now();
    match route {
        Route::Metrics => {
            reply::text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", model.metrics.exposition())
        }
        Route::Info => model.info(),
        Route::Health => model.health(),
        Route::ReadDials => reply::json(StatusCode::OK, &json!(model.panel.read())),
        Route::PatchDials => match body(request).await {
            Ok(patch) => patch_dials(&model, &patch),
            Err(refusal) => *refusal,
        },
        Route::Predict | Route::PredictBatch | Route::PredictStream => {
            let call = Call { dials: model.panel.read(), model: model.clone(), began };
            let answer = match body(request).await {
                Ok(asked) => predict(call, route, &asked).await,
                Err(refusal) => *refusal,
            };
            // A stream counts itself when its last event is sent.
            if route != Route::PredictStream || answer.status() != StatusCode::OK {
                model.metrics.answered(answer.status().as_u16(), began.elapsed());
            }
            answer
        }
        Route::WrongMethod => reply::refusal(StatusCode::METHOD_NOT_ALLOWED, None, "this path has another method"),
        Route::UnknownPath => reply::refusal(StatusCode::NOT_FOUND, None, "there is nothing at this path"),
    }
}

fn patch_dials(model: &Model, patch: &Value) -> Reply {
    match model.panel.patch(patch) {
        Ok(dials) => reply::json(StatusCode::OK, &json!(dials)),
        Err(refusal) => reply::refusal(StatusCode::BAD_REQUEST, Some(&refusal.field), &refusal.to_string()),
    }
}

async fn predict(call: Call, route: Route, asked: &Value) -> Reply {
    let texts = match texts(route, asked) {
        Ok(texts) => texts,
        Err((field, error)) => {
            return reply::refusal(StatusCode::BAD_REQUEST, Some(&field), &error);
        }
    };
    if call.model.panel.readiness() != Readiness::Ready {
        return reply::refusal(StatusCode::SERVICE_UNAVAILABLE, None, "the model is not loaded");
    }
    let mut chance = call.model.chance();
    let draw = Draw::new(&call.dials, &mut chance);
    if route == Route::PredictStream && !draw.is_failure {
        return stream::reply(call, texts[0], draw);
    }
    sleep(draw.latency).await;
    if draw.is_failure {
        return reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, None, "the model failed");
    }
    let observations = draw.observations();
    let answer = match route {
        Route::PredictBatch => batch(&call, &texts, draw, &mut chance),
        _ => call.completed(texts[0], &draw),
    };
    reply::observed(reply::json(StatusCode::OK, &answer), &observations)
}

/// One request has one latency, one cost and one fate; each text of a batch has its own confidence.
fn batch(call: &Call, texts: &[&str], mut draw: Draw, chance: &mut Chance) -> Value {
    let mut predictions = Vec::with_capacity(texts.len());
    for text in texts {
        predictions.push(call.completed(text, &draw));
        draw = Draw::new(&call.dials, chance);
    }
    json!({
        "predictions": predictions,
        "count": texts.len(),
        "model_version": call.model.version(&call.dials),
        "latency_ms": call.latency_ms(),
    })
}

impl Call {
    /// The whole answer for one text, as of now.
    pub(crate) fn completed(&self, text: &str, draw: &Draw) -> Value {
        let version = self.model.version(&self.dials);
        self.model.metrics.predicted(version, draw.confidence);
        let mut answer = prediction::of(text, draw);
        answer["model_version"] = json!(version);
        answer["latency_ms"] = json!(self.latency_ms());
        answer
    }

    fn latency_ms(&self) -> f64 {
        (self.began.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }
}
