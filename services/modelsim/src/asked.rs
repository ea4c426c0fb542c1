//! Reading what a request asks for, within bounds, or saying what is wrong with it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use crate::reply::{self, Reply};
use crate::route::Route;

const BODY_BYTES_MAX: usize = 1 << 20;
/// A client that takes longer to send its body is refused.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// The texts asked about, or the field that is wrong and why. Never empty unless it is an empty batch.
pub(crate) fn texts(route: Route, asked: &Value) -> Result<Vec<&str>, (String, String)> {
    if route != Route::PredictBatch {
        let text = asked.get("text").and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let missing = || ("text".to_owned(), "`text` is missing: it must be a text that is not blank".to_owned());
        return text.map(|text| vec![text]).ok_or_else(missing);
    }
    let Some(texts) = asked.get("texts").and_then(Value::as_array) else {
        return Err(("texts".to_owned(), "`texts` must be an array of texts".to_owned()));
    };
    let text = |(place, text): (usize, &'_ Value)| match text {
        Value::String(_) => Ok(()),
        _ => Err((format!("texts[{place}]"), format!("`texts[{place}]` must be a text"))),
    };
    texts.iter().enumerate().try_for_each(text)?;
    Ok(texts.iter().filter_map(Value::as_str).collect())
}

/// The body as JSON, or the refusal to send.
pub(crate) async fn body(request: Request<Incoming>) -> Result<Value, Box<Reply>> {
    let refused = |status, error: &str| Box::new(reply::refusal(status, None, error));
    let limited = Limited::new(request.into_body(), BODY_BYTES_MAX);
    let collected = timeout(BODY_LIMIT, limited.collect()).await;
    let bytes: Bytes = match collected {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => {
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, "the body has more than 1 MiB"));
        }
        Ok(Err(_)) => {
            return Err(refused(StatusCode::BAD_REQUEST, "the body could not be read"));
        }
        Err(_) => {
            return Err(refused(StatusCode::REQUEST_TIMEOUT, "the body took too long"));
        }
    };
    serde_json::from_slice(&bytes)
        .map_err(|cause| refused(StatusCode::BAD_REQUEST, &format!("the body is not JSON: {cause}")))
}
