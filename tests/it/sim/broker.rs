//! A broker as bad as one may be: it brings messages in any order, late, and again, forgets that they were settled, and loses the
//! end of its streams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use chassis::by_hand::{Answer, Brought, Found, Server};
use chassis::{Consumer, Error};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use proto::subject::fits;
use rollout::At;
use store::Outgoing;

use super::fate::Shared as Fate;

/// A message that is known by its id is not taken again within this, in milliseconds.
const WINDOW_MS: i64 = 120_000;
/// Streams, by what their subjects begin with (RELIABILITY section 2.2).
const STREAMS: [(&str, &str); 7] = [
    ("tg.cmd.", "TG_CMD"),
    ("tg.urgent.", "TG_LOOP"),
    ("tg.normal.", "TG_LOOP"),
    ("tg.news.", "TG_NEWS"),
    ("tg.in.", "TG_IN"),
    ("tg.obs.", "TG_OBS"),
    ("tg.out.", "TG_OUT"),
];

/// The streams, and where each consumer stands.
#[derive(Debug, Clone)]
pub(crate) struct Broker {
    /// Every message that was ever taken; its index is its place.
    messages: Vec<Kept>,
    known: BTreeMap<String, (usize, At)>,
    open: BTreeMap<&'static str, Vec<Open>>,
    consumers: Vec<Consumer>,
    now: At,
    /// How often it was started.
    starts: u64,
    is_up: bool,
    /// What was overwritten before somebody had it: consumer and message.
    overwritten: BTreeSet<(&'static str, String)>,
}

#[derive(Debug, Clone)]
struct Kept {
    message: Outgoing,
    came_at: At,
    stream: &'static str,
    sequence: u64,
    is_lost: bool,
}

/// A message that a consumer has not settled.
#[derive(Debug, Clone)]
struct Open {
    message: usize,
    deliveries: u32,
    visible_at: At,
}

impl Broker {
    pub(crate) fn new(now: At) -> Self {
        Self {
            messages: Vec::new(),
            known: BTreeMap::new(),
            open: BTreeMap::new(),
            consumers: Vec::new(),
            now,
            starts: 1,
            is_up: true,
            overwritten: BTreeSet::new(),
        }
    }

    pub(crate) const fn now(&self) -> At {
        self.now
    }

    pub(crate) const fn set_time(&mut self, now: At) {
        self.now = now;
    }

    /// Consumers that get what comes from now on; those that are known have nothing open.
    pub(crate) fn add(&mut self, consumers: &[Consumer]) {
        for consumer in consumers {
            if self.open.insert(consumer.name, Vec::new()).is_none() {
                self.consumers.push(*consumer);
            }
        }
    }

    /// Takes a message and gives its sequence; one that is known by its id has one.
    pub(crate) fn publish(&mut self, message: &Outgoing) -> u64 {
        let known = self.known.get(&message.message_id).filter(|(_, at)| self.now.ms_since(*at) < WINDOW_MS);
        if let Some((place, _)) = known {
            return self.messages[*place].sequence;
        }
        let (place, stream) = (self.messages.len(), stream_of(&message.subject));
        let sequence = self.end_of(stream) + 1;
        self.known.insert(message.message_id.clone(), (place, self.now));
        self.messages.push(Kept { message: message.clone(), came_at: self.now, stream, sequence, is_lost: false });
        for consumer in self.consumers.iter().filter(|consumer| takes(consumer, &message.subject)) {
            let open = Open { message: place, deliveries: 0, visible_at: self.now };
            self.open.get_mut(consumer.name).unwrap().push(open);
        }
        sequence
    }

    fn end_of(&self, stream: &str) -> u64 {
        let there = self.messages.iter().rev().find(|kept| kept.stream == stream && !kept.is_lost);
        there.map_or(0, |kept| kept.sequence)
    }

    fn id_at(&self, stream: &str, sequence: u64) -> Option<String> {
        let is_it = |kept: &&Kept| kept.stream == stream && kept.sequence == sequence && !kept.is_lost;
        self.messages.iter().find(is_it).map(|kept| kept.message.message_id.clone())
    }

    /// It stops answering.
    pub(crate) const fn stop(&mut self) {
        self.is_up = false;
    }

    /// It starts, as another server, and its streams end where they ended so many messages ago. Gives how many those are.
    pub(crate) fn start(&mut self, lost: usize) -> usize {
        (self.is_up, self.starts) = (true, self.starts + 1);
        let mut gone = BTreeSet::new();
        for (place, kept) in self.messages.iter_mut().enumerate().rev().filter(|(_, kept)| !kept.is_lost).take(lost) {
            kept.is_lost = true;
            gone.insert(place);
        }
        self.known.retain(|_, (place, _)| !gone.contains(place));
        self.open.values_mut().for_each(|open| open.retain(|open| !gone.contains(&open.message)));
        gone.len()
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.is_up
    }

    /// The messages that a consumer can have now, by their places.
    pub(crate) fn ready(&self, consumer: &Consumer) -> Vec<usize> {
        let ready = self.open[consumer.name].iter().filter(|open| self.is_up && open.visible_at <= self.now);
        ready.map(|open| open.message).collect()
    }

    /// Brings a message: nobody else gets it before `ack_wait` is over.
    pub(crate) fn bring(&mut self, consumer: &Consumer, place: usize) -> Option<Brought> {
        let Kept { message, came_at, .. } = &self.messages[place];
        let wait = i64::try_from(consumer.ack_wait.as_millis()).unwrap();
        let open = self.open.get_mut(consumer.name).unwrap().iter_mut().find(|open| open.message == place)?;
        open.deliveries += 1;
        open.visible_at = self.now.plus_ms(wait);
        Some(Brought {
            subject: message.subject.clone(),
            body: message.body.clone(),
            said_at: *came_at,
            deliveries: open.deliveries,
        })
    }

    /// It is settled.
    pub(crate) fn settled(&mut self, consumer: &Consumer, place: usize) {
        self.open.get_mut(consumer.name).unwrap().retain(|open| open.message != place);
    }

    /// It comes again after so long.
    pub(crate) fn again(&mut self, consumer: &Consumer, place: usize, after_ms: i64) {
        let at = self.now.plus_ms(after_ms);
        let open = self.open.get_mut(consumer.name).unwrap();
        open.iter_mut().filter(|open| open.message == place).for_each(|open| open.visible_at = at);
    }

    /// Brings something again that was settled, as a broker does that lost the word.
    pub(crate) fn forget(&mut self, consumer: &Consumer, place: usize) {
        let visible_at = self.now;
        let open = self.open.get_mut(consumer.name).unwrap();
        if open.iter().all(|open| open.message != place) {
            open.push(Open { message: place, deliveries: 1, visible_at });
        }
    }

    /// The oldest message of a stream that forgets the oldest goes before a consumer had it; `false` when it had them all.
    pub(crate) fn overwrite(&mut self, consumer: &Consumer) -> bool {
        let (messages, open) = (&self.messages, self.open.get_mut(consumer.name).unwrap());
        let first = open.iter().position(|open| open.deliveries == 0 && messages[open.message].stream == "TG_LOOP");
        let Some(first) = first else { return false };
        let gone = messages[open.remove(first).message].message.message_id.clone();
        self.overwritten.insert((consumer.name, gone));
        true
    }

    /// Whether that is about a message that was overwritten before it was read.
    pub(crate) fn explains(&self, wrong: &str) -> bool {
        self.overwritten.iter().any(|(consumer, id)| {
            wrong.starts_with(&format!("{id} at ")) && consumer.starts_with(wrong.rsplit(' ').next().unwrap_or(""))
        })
    }

    /// Every message that a consumer was ever offered, and that is still there.
    pub(crate) fn offered(&self, consumer: &Consumer) -> Vec<usize> {
        let is_there = |place: &usize| !self.messages[*place].is_lost;
        let fit = |place: &usize| takes(consumer, &self.messages[*place].message.subject);
        (0..self.messages.len()).filter(is_there).filter(fit).collect()
    }

    /// When the next message can be had; nothing when all are settled.
    pub(crate) fn next(&self) -> Option<At> {
        self.open.values().flatten().map(|open| open.visible_at).min()
    }

    /// The id of the message at `place`.
    pub(crate) fn id(&self, place: usize) -> String {
        self.messages[place].message.message_id.clone()
    }

    /// The ids of what its streams hold, in order.
    pub(crate) fn ids(&self) -> Vec<String> {
        let there = self.messages.iter().filter(|kept| !kept.is_lost);
        there.map(|kept| kept.message.message_id.clone()).collect()
    }
}

fn takes(consumer: &Consumer, subject: &str) -> bool {
    consumer.filters.iter().any(|filter| fits(filter, subject))
}

fn stream_of(subject: &str) -> &'static str {
    STREAMS.iter().find(|(lane, _)| subject.starts_with(lane)).unwrap().1
}

/// The way of a relay to the broker, on which publications and their answers get lost.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) broker: Arc<Mutex<Broker>>,
    pub(crate) fate: Fate,
}

impl Line {
    pub(crate) fn broker(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().unwrap()
    }
}

impl Server for Line {
    fn is_up(&self) -> bool {
        self.broker().is_up
    }

    fn taken(&self) -> u64 {
        self.broker().starts
    }

    fn identity(&self) -> BoxFuture<'_, Result<String, Error>> {
        let identity = self.broker().starts.to_string();
        async { Ok(identity) }.boxed()
    }

    fn stream(&self, name: &'static str) -> BoxFuture<'_, Result<Option<Found>, Error>> {
        let found = Found { made: 0, last: self.broker().end_of(name) };
        async move { Ok(Some(found)) }.boxed()
    }

    fn id_at(&self, name: &'static str, sequence: u64) -> BoxFuture<'_, Result<Option<String>, Error>> {
        let id = self.broker().id_at(name, sequence);
        async move { Ok(id) }.boxed()
    }

    fn publish(&self, message: &Outgoing) -> BoxFuture<'static, Answer> {
        let lost = || Answer::Unknown(Error::Nats { doing: "publish", cause: "no answer".to_owned() });
        let answer = if !self.broker().is_up || self.fate.loses("publication lost") {
            lost()
        } else {
            let sequence = self.broker().publish(message);
            if self.fate.loses("answer to a publication lost") { lost() } else { Answer::Taken(sequence) }
        };
        std::future::ready(answer).boxed()
    }
}
