//! The body of a request on its way to the upstream, and who is waited for.
//!
//! A client that uploads slowly, or stops, must not make its arm look slow or broken: otherwise anybody could turn a rollout back
//! by opening requests. So the arm's clock starts when the last byte came, and a stalled upload ends as the client's abort.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use crate::body::{BoxError, Waiting};

/// The request's body; frames pass one at a time, so an upstream that does not read stops the client.
#[derive(Debug)]
pub(crate) struct Upload {
    inner: Incoming,
    progress: Option<Arc<Progress>>,
    waiting: Waiting,
    idle: Duration,
}

/// How far an upload is; read by whoever waits for the answer.
#[derive(Debug)]
pub(crate) struct Progress {
    began: Instant,
    /// Microseconds from `began` to the last byte that came.
    last_us: AtomicU64,
    is_waiting_for_client: AtomicBool,
    is_cut: AtomicBool,
}

impl Upload {
    /// Wraps a body; one that is empty has no progress. `idle` is how long the client may be silent.
    pub(crate) fn new(inner: Incoming, idle: Duration) -> (Self, Option<Arc<Progress>>) {
        let progress = (!inner.is_end_stream()).then(|| {
            let waits = AtomicBool::new(false);
            Arc::new(Progress {
                began: Instant::now(),
                last_us: AtomicU64::new(0),
                is_waiting_for_client: waits,
                is_cut: AtomicBool::new(false),
            })
        });
        (Self { inner, progress: progress.clone(), waiting: Waiting::default(), idle }, progress)
    }
}

impl Progress {
    /// Since when only the upstream is waited for; none while the client is.
    pub(crate) fn handed_over(&self) -> Option<Instant> {
        if self.is_waiting_for_client.load(Relaxed) {
            return None;
        }
        Some(self.began + Duration::from_micros(self.last_us.load(Relaxed)))
    }

    /// Whether the client stopped in the middle.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Relaxed)
    }

    fn came(&self) {
        let age = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last_us.store(age, Relaxed);
        self.is_waiting_for_client.store(false, Relaxed);
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(progress) = &this.progress else {
            return Pin::new(&mut this.inner).poll_frame(cx).map_err(Into::into);
        };
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.waiting.is_over();
            progress.came();
            if matches!(frame, Some(Err(_))) {
                progress.is_cut.store(true, Relaxed);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        progress.is_waiting_for_client.store(true, Relaxed);
        if this.waiting.poll_until(cx, |waited| this.idle.checked_sub(waited)).is_pending() {
            return Poll::Pending;
        }
        progress.is_cut.store(true, Relaxed);
        Poll::Ready(Some(Err("the client stopped in the middle of its request".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Upload {
    /// Dropped means that the upstream wants no more of it, so the client is not waited for either.
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            progress.is_waiting_for_client.store(false, Relaxed);
        }
    }
}
