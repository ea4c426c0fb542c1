//! Refusals that are not ours: what axum, its layers and hyper answer by themselves is a status with plain words, or with none.
//! They go out as problem documents like all others.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::to_bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Refusal;

/// So much of plain words is kept.
const WORDS_BYTES_MAX: usize = 2_000;

/// The answer, with a problem document where it is a refusal in plain words.
pub(crate) async fn in_our_words(answer: Response) -> Response {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes);
    let is_plain = kind.is_none_or(|kind| kind.starts_with(b"text/plain"));
    if !is_plain || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let words = to_bytes(body, WORDS_BYTES_MAX).await.unwrap_or_default();
    let mut told = refusal(status, String::from_utf8_lossy(&words).trim()).into_response();
    if let Some(allowed) = head.headers.get(header::ALLOW) {
        told.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    told
}

fn refusal(status: StatusCode, words: &str) -> Refusal {
    let (word, said) = match status {
        StatusCode::BAD_REQUEST => ("bad-request", "the request is not HTTP as it should be"),
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "this path does not take this method"),
        StatusCode::REQUEST_TIMEOUT => ("too-slow", "the request took too long"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "the body is too large"),
        StatusCode::URI_TOO_LONG => ("too-large", "the URL is longer than is read"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ("too-large", "the headers are larger than is read"),
        _ if status.is_server_error() => ("internal", "something is wrong here; the log says what"),
        _ => ("refused", "the request is refused"),
    };
    // What broke is in the log; words of ours that a panic left are not for the client.
    let is_told = !words.is_empty() && status.is_client_error();
    Refusal::new(status, word, if is_told { words } else { said })
}

/// A connection. What hyper answers to bytes that it can't read as a request has no body: here it gets one on its way out.
#[derive(Debug)]
pub(crate) struct Bare<S> {
    inner: S,
    instead: Bytes,
}

impl<S> Bare<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self { inner, instead: Bytes::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bare<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bare<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.instead.is_empty() {
            let Some(whole) = whole(buf) else { return Pin::new(&mut self.inner).poll_write(cx, buf) };
            self.instead = whole;
        }
        let this = &mut *self;
        while !this.instead.is_empty() {
            let written = ready!(Pin::new(&mut this.inner).poll_write(cx, &this.instead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.instead.advance(written);
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(first) if !self.instead.is_empty() || whole(first).is_some() => self.poll_write(cx, first),
            _ => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A whole answer for one of hyper's own, which is a head that promises no body; everything of ours has one.
fn whole(head: &[u8]) -> Option<Bytes> {
    let code = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    let status = StatusCode::from_bytes(code).ok().filter(StatusCode::is_client_error)?;
    let text = std::str::from_utf8(head).ok()?.to_ascii_lowercase();
    if !text.contains("\r\ncontent-length: 0\r\n") || text.contains("\r\ncontent-type:") || !text.ends_with("\r\n\r\n")
    {
        return None;
    }
    let problem = serde_json::to_string(&refusal(status, "").document()).ok()?;
    let (length, reason) = (problem.len(), status.canonical_reason().unwrap_or("Error"));
    Some(Bytes::from(format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{problem}",
        status.as_u16()
    )))
}
