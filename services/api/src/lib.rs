//! The HTTP API: reads, and turns requests into messages. A write is checked against the rows that it reads, so that a refusal
//! is immediate; it is then a message, and the api waits a moment for its outcome.

mod access;
mod active;
mod canary_deployment;
mod direct;
mod events;
mod guard;
mod internal;
mod listener;
mod model;
mod observation;
mod outside;
mod pages;
mod parked;
mod policy;
mod problem;
mod promoted;
mod promotion;
mod rollout_view;
mod rollouts;
mod routers;
mod said;
mod slos;
mod stop;
mod ticks;
mod upstream;
mod verb;
mod version;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post, put};
use chassis::{Core, Environment};

pub use direct::{Direct, Stopped, stop_directly};
pub use listener::listen;

/// Runs the service on `TIDEGATE_LISTEN`; an address that can't be used stops the process.
pub fn serve(core: &Core) {
    core.tasks.spawn(serve_or_stop(core.clone()));
}

async fn serve_or_stop(core: Core) {
    let mut environment = Environment::of_process();
    let address = environment.read("TIDEGATE_LISTEN", SocketAddr::from(([127, 0, 0, 1], 7070)));
    let served = match environment.finish() {
        Ok(()) => listen(&core, address).await.map(drop),
        Err(mistakes) => Err(mistakes.into()),
    };
    if let Err(error) = served {
        tracing::error!("{error:#}");
        core.stop.cancel();
    }
}

/// The API as OpenAPI, made by `./x schemas`.
const OPENAPI: &str = include_str!("../../../proto/schemas/openapi.json");

async fn document() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

/// Every route of the API.
fn routes(core: &Core) -> Router {
    Router::new()
        .route("/v1/models", post(model::add).get(model::list))
        .route("/v1/models/{model}", get(model::show))
        .route("/v1/registry/{model}/versions", post(version::add).get(version::list))
        .route("/v1/registry/{model}/promotions", get(promoted::list))
        .route("/v1/registry/{model}/{version}/promote", post(promotion::promote))
        .route("/v1/policies", get(policy::list))
        .route("/v1/policies/{name}", put(policy::save).get(policy::show))
        .route("/v1/rollouts", get(rollouts::list))
        .route("/v1/rollouts/{id}", get(rollouts::show))
        .route("/v1/rollouts/{id}/history", get(rollouts::history))
        .route("/v1/rollouts/{id}/slos", get(slos::list))
        .route("/v1/rollouts/{id}/ticks", get(ticks::page))
        .route("/v1/rollouts/{id}/{verb}", post(verb::say))
        .route("/v1/events", get(events::open).with_state(events::Open::new(core)))
        .route("/v1/events", post(outside::post))
        .route("/v1/observations", post(observation::post))
        .route("/v1/parked", get(parked::list))
        .route("/v1/parked/{id}", get(parked::show))
        .route("/v1/parked/{id}/{action}", post(parked::unpark))
        .route("/v1/routers", get(routers::list))
        .route("/internal/models/active", get(active::show))
        .route("/internal/routes", get(internal::routes))
        .route(
            "/internal/routers/{name}",
            put(routers::introduce).layer(DefaultBodyLimit::max(routers::STATE_BYTES_MAX)),
        )
        .route("/internal/routers/{name}/samples", post(routers::sample))
        .route("/openapi.json", get(document))
        .merge(pages::routes())
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .with_state(core.clone())
        .merge(chassis::admin::pages(core))
}
