//! The server that messages went over: what its streams hold, and what waits at its consumers.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, Stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use rollout::{At, Route};
use store::{Reader, Said};

/// Those of messages.
const STREAMS: [&str; 6] = ["TG_CMD", "TG_LOOP", "TG_NEWS", "TG_IN", "TG_OBS", "TG_OUT"];

/// A nats-server.
pub(crate) struct Server(Context);

impl Server {
    pub(crate) const fn at(context: Context) -> Self {
        Self(context)
    }

    /// What waits at durable consumers, or is in somebody's hand (I1).
    pub(crate) async fn waiting(&self) -> Vec<String> {
        let mut waiting = Vec::new();
        for name in STREAMS {
            let mut consumers = self.stream(name).await.consumers();
            while let Some(consumer) = consumers.try_next().await.unwrap() {
                let (before, in_hand) = (consumer.num_pending, consumer.num_ack_pending);
                if consumer.config.durable_name.is_some() && (before > 0 || in_hand > 0) {
                    waiting.push(format!("{} has {before} messages before it and {in_hand} in hand", consumer.name));
                }
            }
        }
        waiting
    }

    /// Adds what the streams hold and `said` does not: a router has no outbox. Whatever comes again comes last.
    pub(super) async fn and_what_it_was_told(&self, said: &mut Vec<Said>) {
        let mut known: BTreeSet<_> = said.iter().map(|said| said.message_id.clone()).collect();
        for name in STREAMS {
            let told = self.told(name).await;
            said.extend(told.into_iter().filter(|told| known.insert(told.message_id.clone())));
        }
        said.sort_by_key(|said| said.created_at);
    }

    /// The ids of all that services have said through an outbox.
    pub(crate) async fn ids(&self) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for stream in ["TG_CMD", "TG_LOOP", "TG_NEWS"] {
            ids.extend(self.ids_of(stream).await);
        }
        ids
    }

    /// The ids of what one stream holds.
    pub(crate) async fn ids_of(&self, stream: &str) -> BTreeSet<String> {
        self.told(stream).await.into_iter().map(|said| said.message_id).collect()
    }

    /// Has a stream forget all that it holds, by a message that nobody takes.
    pub(crate) async fn overwrite(&self, stream: &str, subject: &'static str) {
        let before = self.stream(stream).await.cached_info().config.clone();
        self.0.update_stream(Config { max_messages: 1, ..before.clone() }).await.unwrap();
        self.0.publish(subject, "".into()).await.unwrap().await.unwrap();
        self.0.update_stream(before).await.unwrap();
    }

    /// The server that leads a stream, if all that keep it are of one mind.
    pub(crate) async fn leader(&self, stream: &str) -> Option<String> {
        let cluster = self.0.get_stream(stream).await.ok()?.cached_info().cluster.clone()?;
        let is_well = cluster.replicas.iter().all(|replica| replica.current && !replica.offline);
        cluster.leader.filter(|_| is_well)
    }

    /// I1, I4, I13: nothing waits anywhere, and the routers follow what was wished for.
    pub(super) async fn violations(&self, reader: &mut Reader) -> Vec<String> {
        let mut wrong = self.waiting().await;
        for service in ["registry-writer", "stage-scheduler", "analyzer", "traffic-updater", "deployer", "api"] {
            let (count, _) = reader.rows().unpublished(service, 1_000).await.unwrap();
            if count > 0 {
                wrong.push(format!("{count} messages of {service} were never published"));
            }
        }
        wrong.extend(self.astray(reader).await);
        wrong
    }

    /// Where routers follow something else than what is wished for.
    pub(crate) async fn astray(&self, reader: &mut Reader) -> Vec<String> {
        let (mut wrong, routes) = (Vec::new(), self.0.get_key_value("tg_route").await.unwrap());
        for wish in reader.rows().routes().await.unwrap() {
            let key = proto::subject::key(&wish.tenant, &wish.model);
            let found = routes.get(&key).await.unwrap();
            let found = found.and_then(|value| serde_json::from_slice::<Route>(&value).ok());
            let served = found.as_ref().map(|route| (route.generation, &route.arms));
            if served != Some((wish.generation, &wish.arms)) {
                wrong.push(format!("the routers follow {found:?} where {wish:?} is wished for"));
            }
        }
        wrong
    }

    async fn stream(&self, name: &str) -> Stream {
        self.0.get_stream(name).await.unwrap()
    }

    async fn told(&self, name: &str) -> Vec<Said> {
        let mut stream = self.stream(name).await;
        let count = usize::try_from(stream.info().await.unwrap().state.messages).unwrap();
        let config = pull::Config {
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            memory_storage: true,
            ..pull::Config::default()
        };
        let reading = stream.create_consumer(config).await.unwrap();
        let messages = reading.messages().await.unwrap().take(count);
        messages.map(|message| said(&message.unwrap())).collect().await
    }
}

fn said(message: &async_nats::jetstream::Message) -> Said {
    let about = message.info().unwrap();
    let header = |name: &str, otherwise: &str| {
        let value = message.headers.as_ref().and_then(|headers: &HeaderMap| headers.get_last(name));
        value.map_or(otherwise, |value| value.as_str()).to_owned()
    };
    let place = format!("{} {}", about.stream, about.stream_sequence);
    Said {
        position: i64::try_from(about.stream_sequence).unwrap(),
        service: header("tidegate-service", "outside"),
        message_id: header(NATS_MESSAGE_ID.as_ref(), &place),
        subject: message.subject.to_string(),
        headers: "{}".to_owned(),
        body: String::from_utf8_lossy(&message.payload).into_owned(),
        created_at: At(i64::try_from(about.published.unix_timestamp_nanos() / 1_000_000).unwrap()),
    }
}
