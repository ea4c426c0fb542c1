//! A prediction as server-sent events: a few tokens spread over the latency, then the whole answer.
//!
//! The head and the first token leave at once, which is what shows whether whoever stands between
//! passes a body on as it comes. The request is counted when its last event is sent.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::draw::Draw;
use crate::handler::Call;
use crate::reply::{self, Reply};

const TOKENS_MAX: usize = 5;

struct Progress {
    call: Call,
    text: String,
    draw: Draw,
    tokens: std::vec::IntoIter<String>,
    gap: Duration,
    next: Next,
}

enum Next {
    FirstToken,
    Token,
    Nothing,
}

/// The answer whose events will follow.
pub(crate) fn reply(call: Call, text: &str, draw: Draw) -> Reply {
    let tokens: Vec<String> = text.split_whitespace().take(TOKENS_MAX).map(str::to_owned).collect();
    let gaps = u32::try_from(tokens.len().max(1)).unwrap_or(u32::MAX);
    let observations = draw.observations();
    let gap = draw.latency / gaps;
    let (text, tokens) = (text.to_owned(), tokens.into_iter());
    let progress = Progress { call, text, draw, tokens, gap, next: Next::FirstToken };
    let body = StreamBody::new(stream::unfold(progress, advance)).boxed_unsync();
    reply::observed(reply::with_body(StatusCode::OK, "text/event-stream", body), &observations)
}

async fn advance(mut progress: Progress) -> Option<(Result<Frame<Bytes>, Infallible>, Progress)> {
    match progress.next {
        Next::FirstToken => {}
        Next::Token => sleep(progress.gap).await,
        Next::Nothing => return None,
    }
    let frame = match progress.tokens.next() {
        Some(token) => {
            progress.next = Next::Token;
            event("token", &json!({ "token": token }))
        }
        None => {
            progress.next = Next::Nothing;
            let answer = progress.call.completed(&progress.text, &progress.draw);
            progress.call.model.metrics.answered(200, progress.call.began.elapsed());
            event("done", &answer)
        }
    };
    Some((Ok(frame), progress))
}

fn event(name: &str, value: &Value) -> Frame<Bytes> {
    Frame::data(Bytes::from(format!("event: {name}\ndata: {value}\n\n")))
}
