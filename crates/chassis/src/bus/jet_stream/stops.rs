//! Stops as they are published, heard over a plain subscription: nothing stands between whoever says one and the routers.

use std::sync::Arc;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::{Client, HeaderMap, Subject};
use futures_util::StreamExt as _;
use proto::Message;
use rollout::At;
use store::Outgoing;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::connection::{Connection, REQUEST_LIMIT};
use super::publish::{SERVICE, STRUCTURED};
use crate::bus::Error;
use crate::bus::stops::{Heard, STOPS_MAX, Stops as Listener};
use crate::consume::opened;

/// Every stop of every tenant.
pub(super) const SUBJECT: &str = "tg.cmd.*.*.rollout.stop";

/// Stops over a server.
#[derive(Debug, Clone)]
pub(super) struct Stops {
    client: Client,
    heard: broadcast::Sender<Heard>,
    _task: Option<Arc<AbortOnDropHandle<()>>>,
}

impl Stops {
    /// Hears them, if this process is to, as long as anybody holds it.
    pub(super) fn open(connection: &Connection, hears: bool) -> Self {
        let (heard, client) = (broadcast::channel(STOPS_MAX).0, connection.jetstream().client());
        let task = || AbortOnDropHandle::new(tokio::spawn(hear(connection.clone(), heard.clone())));
        let task = hears.then(|| Arc::new(task()));
        Self { client, heard, _task: task }
    }

    pub(super) fn listen(&self) -> Listener {
        Listener::new(self.heard.subscribe())
    }

    /// Publishes a stop. It lies in the stream as well, where the outbox finds its id again.
    pub(super) async fn say(&self, message: Outgoing) -> Result<(), Error> {
        const DOING: &str = "publish a stop";
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, message.message_id.as_str());
        headers.insert(STRUCTURED.0, STRUCTURED.1);
        headers.insert(SERVICE, message.service);
        let said = async {
            let sent = self.client.publish_with_headers(message.subject, headers, message.body.into()).await;
            sent.map_err(|cause| Error::nats(DOING, &cause))?;
            self.client.flush().await.map_err(|cause| Error::nats(DOING, &cause))
        };
        tokio::time::timeout(REQUEST_LIMIT, said).await.map_err(|late| Error::nats(DOING, &late))?
    }
}

/// Hears stops until the process ends. What was published while there was no server, or was dropped for want of room, nobody
/// hears: that is said in its place.
async fn hear(connection: Connection, heard: broadcast::Sender<Heard>) {
    let Ok(mut subscription) = connection.jetstream().client().subscribe(Subject::from_static(SUBJECT)).await else {
        tracing::error!("can't hear stops: the client is gone");
        return;
    };
    let mut gaps = connection.gaps();
    loop {
        let word = tokio::select! {
            message = subscription.next() => match message {
                Some(message) => read(&message),
                None => return,
            },
            _ = gaps.changed() => Some(Heard::Gap),
        };
        // Without a listener there is nobody to be told.
        word.map(|word| heard.send(word));
    }
}

fn read(message: &async_nats::Message) -> Option<Heard> {
    match opened(&message.subject, "{}", &message.payload, At(0)).map(|incoming| incoming.message) {
        Ok(Message::RolloutStop(command)) => Some(Heard::Stop(Box::new(command))),
        Ok(_) => None,
        Err(error) => {
            tracing::error!("a stop on {} does not decode: {error}", message.subject);
            None
        }
    }
}
