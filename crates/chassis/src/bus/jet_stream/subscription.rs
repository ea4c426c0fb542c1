//! A durable consumer's end on a server (RELIABILITY section 1.5): messages are asked for by hand, a hundred at most, and kept in
//! hand by a sign of life until somebody has said what became of them.
//!
//! The client's own batches can wait for ever after an error. Here every wait has an end: a request that brings nothing has
//! heartbeats, and without those, after a new connection, or after any refusal, everything is asked for anew.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::{AckKind, message::Acker};
use async_nats::{Client, HeaderMap, Message, StatusCode, Subject, Subscriber};
use futures_util::StreamExt as _;
use rollout::At;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::Connection;
use super::publish::SERVICE;
use crate::back_off::BackOff;
use crate::bus::received::is_from_outside;
use crate::bus::{Error, Handle, Received};
use crate::consumers::Consumer;
use crate::failpoint;

/// Messages in hand at once, of one consumer of one process.
const IN_HAND: usize = 100;
/// More are asked for when there is room for so many: one at a time would make batches of one.
const ROOM: usize = 50;
/// A request is open for so long.
const EXPIRES: Duration = Duration::from_secs(30);
/// While it brings nothing, the server says so often that it is there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Without a word for so long it is not.
const SILENCE: Duration = Duration::from_secs(12);
/// The wait after an error.
const AGAIN: BackOff = BackOff(Duration::from_millis(100), Duration::from_secs(5));
/// Saying what became of a message takes no longer; what is not said comes again.
const SAY_LIMIT: Duration = Duration::from_secs(1);

/// A consumer's end of the bus. What is in it when it is dropped comes again by itself.
#[derive(Debug)]
pub(crate) struct Subscription {
    name: &'static str,
    arrived: mpsc::Receiver<Received>,
    open: DropGuard,
}

impl Subscription {
    pub(super) fn open(connection: &Connection, stream: &'static str, consumer: &Consumer) -> Self {
        let (arrive, arrived) = mpsc::channel(IN_HAND);
        let (in_hand, closed) = (Arc::new(InHand::new(connection.clone())), CancellationToken::new());
        let pulling = Pulling {
            connection: connection.clone(),
            stream,
            name: consumer.name,
            in_hand: Arc::clone(&in_hand),
            arrive,
        };
        tokio::spawn(signs_of_life(Arc::clone(&in_hand), consumer.ack_wait / 3, closed.clone()));
        tokio::spawn(closed.clone().run_until_cancelled_owned(pulling.run()));
        Self { name: consumer.name, arrived, open: closed.drop_guard() }
    }

    /// The next messages, once there are any: as many as have arrived.
    pub(crate) async fn next(&mut self) -> Result<Vec<Received>, Error> {
        let ended = || Error::Nats { doing: "take messages", cause: "the consumer ended".to_owned() };
        let mut batch = vec![self.arrived.recv().await.ok_or_else(ended)?];
        while let Ok(received) = self.arrived.try_recv() {
            batch.push(received);
        }
        Ok(failpoint::deliver(self.name, batch))
    }

    /// Gives back what nobody has begun with, so that another process has it soon.
    pub(crate) async fn close(self, delay: Duration) {
        let Self { mut arrived, open, .. } = self;
        drop(open);
        arrived.close();
        while let Some(received) = arrived.recv().await {
            received.handle.give_back(delay).await;
        }
    }
}

/// What the server waits for a word about, by where that word goes.
#[derive(Debug)]
struct InHand {
    connection: Connection,
    replies: Mutex<BTreeSet<String>>,
    fewer: Notify,
}

impl InHand {
    fn new(connection: Connection) -> Self {
        Self { connection, replies: Mutex::default(), fewer: Notify::new() }
    }

    fn acker(&self, reply: &str) -> Acker {
        Acker::new(self.connection.jetstream().clone(), Some(reply.into()))
    }

    fn replies(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.replies.lock().expect("no holder of what is in hand panics")
    }

    fn ended(&self, reply: &str) {
        self.replies().remove(reply);
        self.fewer.notify_one();
    }
}

/// A message that a consumer has in hand.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    reply: Subject,
    deliveries: u32,
    in_hand: Arc<InHand>,
}

impl Held {
    pub(crate) const fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// Says that it is settled; `surely`: waits until the server has heard it. Even that proves nothing, because a server that
    /// dies forgets it: the mark of the inbox is what counts.
    pub(crate) async fn settled(&self, surely: bool) {
        let acker = self.in_hand.acker(&self.reply);
        if surely {
            within_limit("say surely that a message is settled", acker.double_ack()).await;
        } else {
            within_limit("say that a message is settled", acker.ack()).await;
        }
        self.in_hand.ended(&self.reply);
    }

    /// Has it come again after `delay`.
    pub(crate) async fn give_back(&self, delay: Duration) {
        within_limit("give a message back", self.in_hand.acker(&self.reply).ack_with(AckKind::Nak(Some(delay)))).await;
        self.in_hand.ended(&self.reply);
    }
}

/// Nothing depends on it: what is not heard comes again, and is known.
async fn within_limit(doing: &str, said: impl Future<Output = Result<(), async_nats::Error>>) {
    match tokio::time::timeout(SAY_LIMIT, said).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("can't {doing}: {error}"),
        Err(_) => tracing::debug!("can't {doing}: the server does not listen"),
    }
}

/// Tells the server of everything in hand that it is being worked on. What is in hand when the consumer stops is finished, so
/// this ends after that.
async fn signs_of_life(in_hand: Arc<InHand>, every: Duration, closed: CancellationToken) {
    loop {
        tokio::time::sleep(every).await;
        let replies = in_hand.replies().clone();
        if closed.is_cancelled() && (replies.is_empty() || Arc::strong_count(&in_hand) == 1) {
            return;
        }
        // What is said to nobody would be said late, to whoever comes next.
        for reply in replies.into_iter().filter(|_| in_hand.connection.is_up()) {
            let acker = in_hand.acker(&reply);
            within_limit("say that a message is in hand", acker.ack_with(AckKind::Progress)).await;
        }
    }
}

/// Asks for messages and puts them in hand.
struct Pulling {
    connection: Connection,
    stream: &'static str,
    name: &'static str,
    in_hand: Arc<InHand>,
    arrive: mpsc::Sender<Received>,
}

impl Pulling {
    async fn run(self) {
        let mut tries = 0;
        loop {
            let taken = self.connection.up().await;
            let mut arrived = 0_u64;
            let error = self.pull(taken, &mut arrived).await;
            tries = if arrived > 0 { 0 } else { tries + 1 };
            let wait = AGAIN.after(tries);
            tracing::warn!(consumer = self.name, "{} asks for messages anew in {wait:?}: {error}", self.name);
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes messages from one inbox until something is wrong, and gives what.
    async fn pull(&self, taken: u64, arrived: &mut u64) -> Error {
        let client = self.connection.jetstream().client();
        let inbox = client.new_inbox();
        let mut inbox_of_ours = match client.subscribe(inbox.clone()).await {
            Ok(subscriber) => subscriber,
            Err(error) => return Error::nats("listen for messages", &error),
        };
        loop {
            let asked = tokio::select! {
                asked = self.ask(&client, &inbox) => asked,
                () = self.connection.taken_again(taken) => return anew(),
            };
            let mut open = match asked {
                Ok(open) => open,
                Err(error) => return error,
            };
            while open > 0 {
                let message = tokio::select! {
                    message = next(&mut inbox_of_ours) => message,
                    () = self.connection.taken_again(taken) => return anew(),
                };
                match message.map(|message| self.sorted(message)) {
                    Ok(Word::Message(received)) => {
                        open -= 1;
                        *arrived += 1;
                        // There is room for whatever was asked for, unless a request that has ended goes on.
                        if self.arrive.send(*received).await.is_err() {
                            return Error::Nats { doing: "take messages", cause: "nobody takes them".to_owned() };
                        }
                    }
                    Ok(Word::Heartbeat) => *arrived += 1,
                    Ok(Word::RequestEnded) => open = 0,
                    Ok(Word::Refused(error)) | Err(error) => return error,
                }
            }
        }
    }

    /// Asks for as many messages as there is room for, once there is some; gives how many.
    async fn ask(&self, client: &Client, inbox: &str) -> Result<usize, Error> {
        let room = loop {
            let more = self.in_hand.fewer.notified();
            let room = IN_HAND.saturating_sub(self.in_hand.replies().len());
            if room >= ROOM {
                break room;
            }
            more.await;
        };
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.name);
        let request = serde_json::json!({
            "batch": room,
            "expires": u64::try_from(EXPIRES.as_nanos()).unwrap_or(u64::MAX),
            "idle_heartbeat": u64::try_from(HEARTBEAT.as_nanos()).unwrap_or(u64::MAX),
        });
        let asked = client.publish_with_reply(subject, inbox.to_owned(), request.to_string().into());
        let asked = tokio::time::timeout(SILENCE, asked).await;
        asked
            .map_err(|late| Error::nats("ask for messages", &late))?
            .map_err(|error| Error::nats("ask for messages", &error))?;
        Ok(room)
    }

    fn sorted(&self, message: Message) -> Word {
        match message.status.unwrap_or(StatusCode::OK) {
            StatusCode::OK => match self.received(message) {
                Ok(received) => Word::Message(Box::new(received)),
                Err(error) => Word::Refused(error),
            },
            StatusCode::IDLE_HEARTBEAT => Word::Heartbeat,
            StatusCode::NOT_FOUND | StatusCode::TIMEOUT => Word::RequestEnded,
            status => {
                let why = message.description.as_deref().unwrap_or("no reason given");
                if why == "Batch Completed" {
                    return Word::RequestEnded;
                }
                Word::Refused(Error::Nats { doing: "take messages", cause: format!("{status} {why}") })
            }
        }
    }

    fn received(&self, message: Message) -> Result<Received, Error> {
        let context = self.connection.jetstream().clone();
        let message = async_nats::jetstream::Message { message, context };
        let unknown = |cause: async_nats::Error| Error::Nats { doing: "read a message", cause: cause.to_string() };
        let (deliveries, place, said_at) = {
            let about = message.info().map_err(unknown)?;
            let said_at = At(i64::try_from(about.published.unix_timestamp_nanos() / 1_000_000).unwrap_or(0));
            let place = format!("{}-{}-{}", about.stream, about.stream_sequence, said_at.0);
            (u32::try_from(about.delivered).unwrap_or(u32::MAX), place, said_at)
        };
        let message = message.message;
        let put_by = put_by(&message, &place);
        let reply = message.reply.unwrap_or_else(|| Subject::from_static(""));
        self.in_hand.replies().insert(reply.to_string());
        Ok(Received {
            subject: message.subject.to_string(),
            headers: as_json(message.headers.as_ref()),
            body: message.payload,
            said_at,
            place,
            put_by,
            handle: Handle::JetStream(Held { reply, deliveries, in_hand: Arc::clone(&self.in_hand) }),
        })
    }
}

/// What came into the inbox.
enum Word {
    Message(Box<Received>),
    Heartbeat,
    /// It brings no more, as it should after its time.
    RequestEnded,
    Refused(Error),
}

async fn next(inbox: &mut Subscriber) -> Result<Message, Error> {
    let message = tokio::time::timeout(SILENCE, inbox.next()).await;
    let silent = || Error::Nats { doing: "take messages", cause: "the server says nothing".to_owned() };
    message.ok().flatten().ok_or_else(silent)
}

fn anew() -> Error {
    Error::Nats { doing: "take messages", cause: "the connection is another one".to_owned() }
}

/// Whoever is outside may write any header, so their words are not taken for ours.
fn put_by(message: &Message, place: &str) -> (String, String) {
    let header = |name: &str| Some(message.headers.as_ref()?.get_last(name)?.as_str());
    let is_ours = !is_from_outside(&message.subject);
    match (header(SERVICE), header(NATS_MESSAGE_ID.as_ref())) {
        (Some(service), Some(id)) if is_ours => (format!("/tidegate/{service}"), id.to_owned()),
        _ => ("/outside".to_owned(), place.to_owned()),
    }
}

fn as_json(headers: Option<&HeaderMap>) -> String {
    let headers = headers.into_iter().flat_map(HeaderMap::iter);
    let headers = headers.filter_map(|(name, values)| Some((name.to_string(), values.last()?.to_string())));
    serde_json::to_string(&headers.collect::<BTreeMap<_, _>>()).unwrap_or_else(|_| "{}".to_owned())
}
