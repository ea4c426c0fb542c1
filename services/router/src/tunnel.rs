//! Upgrades (RFC 9110 section 7.8), such as to WebSocket: after `101` both sides talk as they please, and bytes are passed on.
//!
//! The request counts once, by what the upstream answered and when; how long the two talk says nothing about the arm. A tunnel
//! keeps its client's place among the bounded connections, ends when nothing passes for long, and is cut when the grace of a stop
//! is over.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use crate::proxy::{Phase, reached};

/// From our `101` to both sides being free of HTTP; a client that is gone by then never comes.
const SWITCH_LIMIT: Duration = Duration::from_secs(10);

/// As much as is on its way in each direction.
const BUFFER_BYTES: usize = 16 * 1024;

type Side = TokioIo<Upgraded>;

/// A client's connection: what outlives its requests.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) peer: IpAddr,
    pub(crate) place: std::sync::Arc<OwnedSemaphorePermit>,
    pub(crate) tasks: TaskTracker,
    pub(crate) seen: watch::Receiver<Phase>,
}

/// What a client wants to change to.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) protocols: HeaderValue,
    client: OnUpgrade,
}

impl Wish {
    /// Takes the wish out of a request, if it has one. HTTP/2 inside of a tunnel would be requests that nobody routes, so that
    /// wish is not heard, and the request is answered as a plain one.
    pub(crate) fn take<B>(request: &mut Request<B>) -> Option<Self> {
        let mut lines = request.headers().get_all(UPGRADE).iter();
        let (Some(protocols), None) = (lines.next().cloned(), lines.next()) else { return None };
        let is_named = words(request.headers(), &CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade"));
        let hides = words(request.headers(), &UPGRADE).any(|word| word.to_ascii_lowercase().starts_with("h2"));
        let is_heard = request.version() == Version::HTTP_11 && is_named && !hides;
        is_heard.then(|| Self { protocols, client: hyper::upgrade::on(request) })
    }

    /// The protocol that the upstream changed to, if the client has asked for it.
    pub(crate) fn granted(&self, answer: &HeaderMap) -> Option<HeaderValue> {
        let asked = HeaderMap::from_iter([(UPGRADE, self.protocols.clone())]);
        let is_asked = |word: &str| words(&asked, &UPGRADE).any(|asked| asked.eq_ignore_ascii_case(word));
        let granted = answer.get(UPGRADE)?;
        let mut protocols = words(answer, &UPGRADE).peekable();
        (protocols.peek().is_some() && protocols.all(is_asked)).then(|| granted.clone())
    }

    /// Passes bytes between the client and the upstream until either is done.
    pub(crate) fn tunnel(self, upstream: OnUpgrade, line: &Line, idle: Duration) {
        let (place, mut seen) = (std::sync::Arc::clone(&line.place), line.seen.clone());
        line.tasks.spawn(async move {
            tokio::select! {
                () = talk(self.client, upstream, idle) => {}
                () = reached(&mut seen, Phase::Over) => {}
            }
            drop(place);
        });
    }
}

/// Says of a message that it changes to these protocols.
pub(crate) fn offer(headers: &mut HeaderMap, protocols: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocols);
}

fn words<'a>(headers: &'a HeaderMap, name: &hyper::header::HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

async fn talk(client: OnUpgrade, upstream: OnUpgrade, idle: Duration) {
    let switched = timeout(SWITCH_LIMIT, async { tokio::try_join!(client, upstream) }).await;
    let Ok(Ok((client, upstream))) = switched else {
        tracing::debug!("a side was gone before it changed its protocol");
        return;
    };
    let (from_client, to_client) = split(TokioIo::new(client));
    let (from_upstream, to_upstream) = split(TokioIo::new(upstream));
    let pulse = Pulse { began: Instant::now(), last_ms: AtomicU64::new(0) };
    tokio::select! {
        // One side may be done while the other one still talks.
        _ = async { tokio::try_join!(pump(from_client, to_upstream, &pulse), pump(from_upstream, to_client, &pulse)) } => {}
        () = pulse.stops_for(idle) => tracing::debug!("a tunnel was silent for {idle:?}, so it is cut"),
    }
}

/// Copies until the end, which it passes on. A tunnel of its own hand, because one clock has to see both directions.
async fn pump(mut from: ReadHalf<Side>, mut to: WriteHalf<Side>, pulse: &Pulse) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        pulse.beat();
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}

/// When something last passed, in either direction.
#[derive(Debug)]
struct Pulse {
    began: Instant,
    last_ms: AtomicU64,
}

impl Pulse {
    fn beat(&self) {
        let age = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(age, Relaxed);
    }

    async fn stops_for(&self, idle: Duration) {
        loop {
            let until = self.began + Duration::from_millis(self.last_ms.load(Relaxed)) + idle;
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    }
}
