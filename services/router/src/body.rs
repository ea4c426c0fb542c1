//! The body of an answer on its way to the client; its end settles what the request counts as.
//!
//! Time is counted only while the upstream is waited for: a client that reads slowly does not make the arm slow. Frames pass one
//! at a time as they come, so memory stays constant and the upstream is held back by the client.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::ticket::{Ending, Ticket};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a client gets.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A document of our own.
    Ours(Full<Bytes>),
    /// What the upstream sends.
    Theirs(Counted),
}

/// An upstream's body with the ticket of its request.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: Incoming,
    ticket: Option<Ticket>,
    waiting: Waiting,
    /// From the end of the request to the head of the answer.
    to_head: Duration,
    idle: Duration,
}

impl Counted {
    /// Wraps a body whose head came after `to_head`. `idle` is how long the upstream may be silent.
    pub(crate) fn new(inner: Incoming, ticket: Ticket, to_head: Duration, idle: Duration) -> Self {
        let mut counted = Self { inner, ticket: Some(ticket), waiting: Waiting::default(), to_head, idle };
        // Bodies known to be empty are never polled.
        if counted.inner.is_end_stream() {
            counted.end(Ending::Whole);
        }
        counted
    }

    fn end(&mut self, ending: Ending) {
        if let Some(ticket) = self.ticket.take() {
            ticket.end(ending, self.to_head + self.waiting.spent);
        }
    }

    fn came(&mut self, frame: Option<Result<Frame<Bytes>, hyper::Error>>) -> Option<Result<Frame<Bytes>, BoxError>> {
        self.waiting.is_over();
        match &frame {
            None => self.end(Ending::Whole),
            Some(Err(_)) => self.end(Ending::Cut),
            // With a known length nobody polls for the end after the last frame.
            Some(Ok(_)) if self.inner.is_end_stream() => self.end(Ending::Whole),
            Some(Ok(_)) => {}
        }
        frame.map(|frame| frame.map_err(Into::into))
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { ticket, waiting, to_head, idle, .. } = self;
        let before = *to_head + waiting.spent;
        let waited = waiting.poll_until(cx, |waited| {
            let mut left = idle.checked_sub(waited)?;
            if let Some(limit) = ticket.as_ref().and_then(Ticket::hang_limit) {
                match limit.checked_sub(before + waited).filter(|left| !left.is_zero()) {
                    Some(until_hung) => left = left.min(until_hung),
                    None => ticket.iter_mut().for_each(|ticket| ticket.hang(before + waited)),
                }
            }
            Some(left)
        });
        if waited.is_pending() {
            return Poll::Pending;
        }
        self.waiting.is_over();
        self.end(Ending::TimedOut);
        Poll::Ready(Some(Err("the upstream stopped in the middle of its answer".into())))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Ours(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Theirs(body) => match Pin::new(&mut body.inner).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(body.came(frame)),
                Poll::Pending => body.poll_wait(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ours(body) => body.is_end_stream(),
            Self::Theirs(body) => body.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ours(body) => body.size_hint(),
            Self::Theirs(body) => body.inner.size_hint(),
        }
    }
}

/// Time spent waiting for the other side of a body. The timer is armed once and moved only when it fires, so a stream of many
/// small frames does not touch it for each.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// All waits that are over.
    pub(crate) spent: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Waiting {
    /// Something came.
    pub(crate) fn is_over(&mut self) {
        if let Some(since) = self.since.take() {
            self.spent += since.elapsed();
        }
    }

    /// Ready once `left` says, for the length of this wait, that nothing is left.
    pub(crate) fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        mut left: impl FnMut(Duration) -> Option<Duration>,
    ) -> Poll<()> {
        loop {
            let now = Instant::now();
            let since = *self.since.get_or_insert(now);
            let Some(left) = left(now - since).filter(|left| !left.is_zero()) else { return Poll::Ready(()) };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(now + left)));
            if timer.deadline() > now + left {
                timer.as_mut().reset(now + left);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            timer.as_mut().reset(now + left);
        }
    }
}
