//! What is around every page: the headers that bind a browser, the head, and how a failure looks.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use crate::problem::Refusal;

/// What a browser may do with a page of ours: nothing but show it.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

/// The answer with the headers of a page.
pub(super) fn guarded(mut answer: Response) -> Response {
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A whole page; `events` is the stream that keeps it fresh.
pub(super) fn page(status: StatusCode, title: &str, events: Option<&str>, body: &Markup) -> Response {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Tidegate" }
                link rel="stylesheet" href="/assets/tidegate.css";
                @if events.is_some() {
                    noscript { meta http-equiv="refresh" content="10"; }
                    script src="/assets/tidegate.js" defer {}
                }
            }
            body {
                header {
                    a.name href="/" { "Tidegate" }
                    a href="/" { "Rollouts" }
                    a href="/api" { "API" }
                    span.connection id="connection" { }
                }
                main id="live" data-events=[events] { (body) }
            }
        }
    };
    guarded((status, Html(whole.into_string())).into_response())
}

/// A page that says what stopped it. It looks again by itself: a database that is away comes back.
pub(super) fn failed(refusal: &Refusal) -> Response {
    let body = html! {
        div.empty {
            h1 { (refusal.status().canonical_reason().unwrap_or("Error")) }
            p { (refusal.detail()) }
            @if refusal.status() == StatusCode::SERVICE_UNAVAILABLE {
                p.soft { "Traffic goes on as it was: routers do not need what is missing here. This page looks again by itself." }
            }
            p { a href="/" { "All rollouts" } }
        }
    };
    page(refusal.status(), "Not now", Some("/v1/events"), &body)
}
