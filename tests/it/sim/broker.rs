//! A broker as bad as one may be: it brings messages in any order, late, and again, and forgets that they were settled.

use std::collections::BTreeMap;

use chassis::Consumer;
use chassis::by_hand::Brought;
use proto::subject::fits;
use rollout::At;
use store::Outgoing;

/// A message that is known by its id is not taken again within this, in milliseconds.
const WINDOW_MS: i64 = 120_000;

/// The streams, and where each consumer stands.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    messages: Vec<(Outgoing, At)>,
    known: BTreeMap<String, (usize, At)>,
    open: BTreeMap<&'static str, Vec<Open>>,
    consumers: Vec<Consumer>,
}

/// A message that a consumer has not settled.
#[derive(Debug, Clone)]
struct Open {
    message: usize,
    deliveries: u32,
    visible_at: At,
}

impl Broker {
    /// A consumer that gets what comes from now on.
    pub(crate) fn add(&mut self, consumers: &[Consumer]) {
        self.consumers.extend(consumers);
        self.open.extend(consumers.iter().map(|consumer| (consumer.name, Vec::new())));
    }

    /// Takes a message and gives its place; one that is known by its id has one.
    pub(crate) fn publish(&mut self, message: &Outgoing, now: At) -> i64 {
        let known = self.known.get(&message.message_id).filter(|(_, at)| now.ms_since(*at) < WINDOW_MS);
        if let Some((place, _)) = known {
            return i64::try_from(*place).unwrap() + 1;
        }
        let place = self.messages.len();
        self.known.insert(message.message_id.clone(), (place, now));
        self.messages.push((message.clone(), now));
        for consumer in &self.consumers {
            if consumer.filters.iter().any(|filter| fits(filter, &message.subject)) {
                let open = Open { message: place, deliveries: 0, visible_at: now };
                self.open.get_mut(consumer.name).unwrap().push(open);
            }
        }
        i64::try_from(place).unwrap() + 1
    }

    /// The messages that a consumer can have now, by their places.
    pub(crate) fn ready(&self, consumer: &Consumer, now: At) -> Vec<usize> {
        self.open[consumer.name].iter().filter(|open| open.visible_at <= now).map(|open| open.message).collect()
    }

    /// Brings a message: nobody else gets it before `ack_wait` is over.
    pub(crate) fn bring(&mut self, consumer: &Consumer, place: usize, now: At) -> Brought {
        let (message, came_at) = &self.messages[place];
        let wait = i64::try_from(consumer.ack_wait.as_millis()).unwrap();
        let open = self.open.get_mut(consumer.name).unwrap().iter_mut().find(|open| open.message == place).unwrap();
        open.deliveries += 1;
        open.visible_at = now.plus_ms(wait);
        Brought {
            subject: message.subject.clone(),
            body: message.body.clone(),
            said_at: *came_at,
            deliveries: open.deliveries,
        }
    }

    /// It is settled.
    pub(crate) fn settled(&mut self, consumer: &Consumer, place: usize) {
        self.open.get_mut(consumer.name).unwrap().retain(|open| open.message != place);
    }

    /// It comes again at `at`.
    pub(crate) fn again(&mut self, consumer: &Consumer, place: usize, at: At) {
        let open = self.open.get_mut(consumer.name).unwrap();
        open.iter_mut().filter(|open| open.message == place).for_each(|open| open.visible_at = at);
    }

    /// Brings something again that was settled, as a broker does that lost the word.
    pub(crate) fn forget(&mut self, consumer: &Consumer, place: usize, now: At) {
        let open = self.open.get_mut(consumer.name).unwrap();
        if open.iter().all(|open| open.message != place) {
            open.push(Open { message: place, deliveries: 1, visible_at: now });
        }
    }

    /// Every message that a consumer was ever offered.
    pub(crate) fn offered(&self, consumer: &Consumer) -> Vec<usize> {
        let fit = |subject: &str| consumer.filters.iter().any(|filter| fits(filter, subject));
        (0..self.messages.len()).filter(|place| fit(&self.messages[*place].0.subject)).collect()
    }

    /// When the next message can be had; nothing when all are settled.
    pub(crate) fn next(&self) -> Option<At> {
        self.open.values().flatten().map(|open| open.visible_at).min()
    }

    /// The id of the message at `place`.
    pub(crate) fn id(&self, place: usize) -> &str {
        &self.messages[place].0.message_id
    }
}
