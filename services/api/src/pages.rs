//! Pages for people: the rollouts, one rollout, and the calls of the API. They read what the API reads, work without a script, and
//! are kept fresh by a small one. Whatever somebody wrote (a name, a reason) stands there as text.

mod calls;
mod frame;
mod list;
mod one;
mod parts;

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chassis::Core;

const SCRIPT: &str = include_str!("pages/assets/tidegate.js");
const STYLE: &str = include_str!("pages/assets/tidegate.css");

/// The routes of the pages and of what they are made with.
pub(crate) fn routes() -> Router<Core> {
    Router::new()
        .route("/", get(list::page))
        .route("/rollouts/{id}", get(one::page))
        .route("/api", get(calls::page))
        .route("/assets/tidegate.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/assets/tidegate.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let kind: (HeaderName, &str) = (CONTENT_TYPE, kind);
    frame::guarded(([kind], text).into_response())
}
