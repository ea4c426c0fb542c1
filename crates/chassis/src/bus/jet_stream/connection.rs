//! The way to a server.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions};
use tokio::sync::watch;
use uuid::Uuid;

use super::address::NatsUrl;
use super::found::stream_info;
use super::link::Link;
use super::streams::STREAMS;
use crate::bus::Error;
use crate::metrics::Metrics;

/// No request to the server takes longer.
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// A stream or a consumer is made on a disk that may be busy, and the person who waits for it has the time.
const JOB_LIMIT: Duration = Duration::from_secs(10);
/// A silent server is found dead after two of these.
const PING_AGAIN: Duration = Duration::from_secs(8);
/// The wait before a server is tried again, doubled each time up to the second figure: what waits for it goes on within 5 s.
const CONNECT_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The oldest release that refuses what ours refuses and keeps what ours keeps.
const OLDEST: (u32, u32) = (2, 14);
const OLDEST_TEXT: &str = "2.14";

/// A connection that lasts as long as the process, whatever becomes of the servers.
#[derive(Debug, Clone)]
pub struct Connection {
    jetstream: Context,
    link: Link,
}

impl Connection {
    /// Begins to connect, and never ends trying.
    ///
    /// # Errors
    /// When the client can't be set up at all.
    pub async fn open(url: &NatsUrl, service: &'static str, metrics: &Metrics) -> Result<Self, Error> {
        let link = Link::new(service, metrics);
        let heard = link.clone();
        let options = options(url)
            .name(format!("{service} {}", Uuid::new_v4().simple()))
            .custom_inbox_prefix(format!("_INBOX.{service}"))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|tries| connect_again(tries, Uuid::new_v4().as_bytes()[0]))
            .event_callback(move |event| {
                heard.hear(event, Instant::now());
                std::future::ready(())
            });
        let client = options.connect(url.servers()).await.map_err(|cause| Error::nats("connect", &cause))?;
        Ok(Self { jetstream: context(client), link })
    }

    /// Ends once there is a server; gives how often one has taken us.
    pub async fn up(&self) -> u64 {
        // The link is not dropped as long as we are here.
        self.link.state().wait_for(|state| state.is_up).await.map_or(0, |state| state.taken)
    }

    /// Ends once a server has taken us more often than that: nothing of before goes on by itself.
    pub(super) async fn taken_again(&self, taken: u64) {
        let _ = self.link.state().wait_for(|state| state.taken > taken).await;
    }

    /// Changes whenever something that was published may not have reached us.
    pub(super) fn gaps(&self) -> watch::Receiver<u64> {
        self.link.gaps()
    }

    /// How often a server has taken us.
    pub(super) fn taken(&self) -> u64 {
        self.link.state().borrow().taken
    }

    pub(super) fn is_up(&self) -> bool {
        self.link.state().borrow().is_up
    }

    pub(super) const fn jetstream(&self) -> &Context {
        &self.jetstream
    }

    /// Checks that the server is new enough and has these streams, as `tidegate init` makes them.
    ///
    /// # Errors
    /// When the server does not answer, is too old, or was not set up for this release.
    pub async fn verify(&self, names: &[&str]) -> Result<(), Error> {
        // An answer comes after the server has said what it is.
        let flushed = tokio::time::timeout(REQUEST_LIMIT, self.jetstream.client().flush()).await;
        flushed
            .map_err(|late| Error::nats("reach the server", &late))?
            .map_err(|cause| Error::nats("reach the server", &cause))?;
        is_new_enough(&self.jetstream.client().server_info().version)?;
        let mut wrong = Vec::new();
        for stream in STREAMS.iter().filter(|stream| names.contains(&stream.name)) {
            match stream_info(&self.jetstream, stream.name).await? {
                None => wrong.push(format!("{} is missing", stream.name)),
                Some(info) => wrong.extend(stream.unlike(&info.config)),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::NotSetUp(wrong)) }
    }

    /// Why the process can't be given work, if that is for want of a server, or of what it lets us do.
    #[must_use]
    pub fn ailing(&self) -> Option<String> {
        let too_old = || is_new_enough(&self.jetstream.client().try_server_info()?.version).err();
        self.link.ailing(Instant::now()).or_else(|| too_old().map(|error| error.to_string()))
    }
}

/// Connects for one job of a person, who hears at once what is wrong.
pub(super) async fn open_once(url: &NatsUrl) -> Result<Context, Error> {
    let options = options(url).name("tidegate init").request_timeout(Some(JOB_LIMIT));
    let client = options.connect(url.servers()).await.map_err(|cause| Error::nats("connect", &cause))?;
    is_new_enough(&client.server_info().version)?;
    let mut context = context(client);
    context.set_timeout(JOB_LIMIT);
    Ok(context)
}

fn options(url: &NatsUrl) -> ConnectOptions {
    url.options().connection_timeout(REQUEST_LIMIT).request_timeout(Some(REQUEST_LIMIT)).ping_interval(PING_AGAIN)
}

/// The wait before a try, with up to a quarter more, so that many processes do not come at once. The first one is at once.
fn connect_again(tries: usize, random: u8) -> Duration {
    let doublings = match u32::try_from(tries.saturating_sub(2)) {
        _ if tries < 2 => return Duration::ZERO,
        doublings => doublings.unwrap_or(u32::MAX).min(16),
    };
    let wait = (CONNECT_AGAIN.0 * (1 << doublings)).min(CONNECT_AGAIN.1);
    wait + wait / 4 * u32::from(random) / 255
}

/// Requests with our limit.
fn context(client: Client) -> Context {
    let mut context = jetstream::new(client);
    context.set_timeout(REQUEST_LIMIT);
    context
}

/// Older servers have other defaults and forget more.
fn is_new_enough(version: &str) -> Result<(), Error> {
    let mut numbers = version.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= OLDEST { Ok(()) } else { Err(Error::Old { found: version.to_owned(), needed: OLDEST_TEXT }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_refused_with_its_version() {
        for version in ["2.14.0", "2.15.1", "3.0.0-beta.1", "2.14.0-RC.2"] {
            assert!(is_new_enough(version).is_ok(), "{version}");
        }
        for version in ["2.13.9", "2.9.25", "1.4.1", "", "dev"] {
            let why = is_new_enough(version).unwrap_err().to_string();
            assert_eq!(why, format!("the server is nats-server {version}, and tidegate needs 2.14 or newer"));
        }
    }

    #[test]
    fn a_server_is_tried_again_soon_and_never_in_a_storm() {
        let waits: Vec<_> = (0..=9).map(|tries| connect_again(tries, 0).as_millis()).collect();
        assert_eq!(waits, [0, 0, 50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(connect_again(usize::MAX, 255), Duration::from_millis(2_500));
    }
}
