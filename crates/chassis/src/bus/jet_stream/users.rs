//! Who may do what on a nats-server (RELIABILITY section 2.6): a user for each service, with exactly what it publishes and hears.
//! It follows from the table of services. The server's configuration is made of it, and tests hold a real server against it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::streams::Stream;
use super::{messages, stops};
use crate::bus::Bucket;
use crate::consumers::Consumer;
use crate::services::{ALL, Service};

/// Who may do everything: `tidegate init`, `doctor` and `restore`.
pub const ADMIN: &str = "admin";

/// A user of a nats-server, and all that he may do. Subjects may have wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Whose it is.
    pub name: &'static str,
    /// What he may publish.
    pub publish: BTreeSet<String>,
    /// What he may hear.
    pub subscribe: BTreeSet<String>,
}

/// All users but the admin, who may do everything, and is `tidegate init` alone.
#[must_use]
pub fn users() -> Vec<User> {
    ALL.iter().map(|service| User::of(service)).collect()
}

impl User {
    fn of(service: &Service) -> Self {
        let mut publish: BTreeSet<_> = service.says.iter().map(|&subject| subject.to_owned()).collect();
        publish.extend(service.needs().into_iter().map(|stream| format!("$JS.API.STREAM.INFO.{stream}")));
        if !service.says_as.is_empty() {
            // A server may have lost what it acknowledged: what stands in its place is compared.
            let said = service.says.iter().filter_map(|subject| Stream::of(subject));
            publish.extend(said.map(|stream| format!("$JS.API.STREAM.MSG.GET.{}", stream.name)));
        }
        publish.extend(service.hears.iter().flat_map(taking));
        publish.extend(service.watches.iter().flat_map(watching));
        let plain = [(service.hears_stops, stops::SUBJECT), (service.hears_news, messages::NEWS)];
        let plain = plain.into_iter().filter(|(hears, _)| *hears).map(|(_, subject)| subject.to_owned());
        let subscribe = plain.chain([format!("_INBOX.{}.>", service.name)]).collect();
        Self { name: service.name, publish, subscribe }
    }

    fn configured(&self, credential: &str) -> String {
        let list = |subjects: &BTreeSet<String>| {
            subjects.iter().fold(String::new(), |mut text, subject| {
                let _ = write!(text, "\n      {subject:?}");
                text
            })
        };
        let (publish, subscribe) = (list(&self.publish), list(&self.subscribe));
        format!(
            "  # {}\n  {{{credential}, permissions: {{\n    publish: {{allow: [{publish}\n    ]}}\n    subscribe: {{allow: [{subscribe}\n    ]}}\n  }}}}\n",
            self.name
        )
    }
}

/// Taking messages from a consumer of one's own, and saying what became of them; never making one, or changing it.
fn taking(consumer: &Consumer) -> Vec<String> {
    let (name, stream) = (consumer.name, consumer.filters.first().and_then(|filter| Stream::of(filter)));
    let stream = stream.map_or("", |stream| stream.name);
    vec![
        format!("$JS.API.CONSUMER.INFO.{stream}.{name}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"),
        format!("$JS.ACK.{stream}.{name}.>"),
        // As newer servers have it, with a domain and an account in front.
        format!("$JS.ACK.*.*.{stream}.{name}.>"),
    ]
}

/// Reading a bucket and following what changes there.
fn watching(bucket: &Bucket) -> Vec<String> {
    let stream = Stream::of_bucket(*bucket).map_or("", |stream| stream.name);
    vec![
        format!("$JS.API.STREAM.MSG.GET.{stream}"),
        // Which of the two it is depends on whether the watcher names itself.
        format!("$JS.API.CONSUMER.CREATE.{stream}"),
        format!("$JS.API.CONSUMER.CREATE.{stream}.>"),
        format!("$JS.API.CONSUMER.INFO.{stream}.*"),
        format!("$JS.API.CONSUMER.DELETE.{stream}.*"),
        format!("$JS.FC.{stream}.>"),
    ]
}

/// The users of tidegate's account, as a server's configuration includes them; `credential` is how the server knows a user by name:
/// `nkey: U…`, or `user: …, password: …`.
#[must_use]
pub fn configuration(credential: impl Fn(&str) -> String) -> String {
    let mut text = format!("users: [\n  # {ADMIN}: everything\n  {{{}}}\n", credential(ADMIN));
    users().iter().for_each(|user| text.push_str(&user.configured(&credential(user.name))));
    text + "]\n"
}
