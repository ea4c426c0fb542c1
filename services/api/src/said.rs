//! A write as a message: said once for an `Idempotency-Key`, and waited for.

use std::time::{Duration, Instant};

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use chassis::{Core, Say, Stamped, Trace, say_now};
use proto::envelope::MESSAGE_BYTES_MAX;
use proto::{Message, Stamp};
use rollout::{RolloutId, Stage, Tenant};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use store::{Change, IdempotencyRow, Rows, Tx, Written};
use uuid::Uuid;

use crate::problem::{Answer, Refusal};

/// Who says it.
pub(crate) const SERVICE: &str = "api";
/// The source of its messages.
pub(crate) const SOURCE: &str = "/tidegate/api";
/// How long a write waits for its outcome before it answers 202.
pub(crate) const OUTCOME_LIMIT: Duration = Duration::from_secs(2);
/// After a look in vain comes a rest of so many times its own length, and no more than this.
const REST: u32 = 2;
const REST_MAX: Duration = Duration::from_millis(100);
/// What a trace adds to a message, with room to spare.
const STAMP_BYTES: usize = 512;
/// Longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 200;

/// A request as far as it decides whether another one is the same.
pub(crate) struct Asked<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) tenant: &'a Tenant,
    /// Method, path and body.
    pub(crate) what: String,
}

impl Asked<'_> {
    fn key(&self) -> Answer<Option<String>> {
        let Some(value) = self.headers.get("idempotency-key") else { return Ok(None) };
        let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
        key.map(|key| Some(key.to_owned())).ok_or_else(|| {
            Refusal::bad_request("Idempotency-Key must be 1 to 200 visible characters").field("Idempotency-Key")
        })
    }

    fn hash(&self) -> Vec<u8> {
        Sha256::digest(&self.what).to_vec()
    }

    /// The message that this request already became, if its key was used before; another request under the key is refused.
    pub(crate) async fn earlier(&self, core: &Core) -> Answer<Option<String>> {
        let Some(key) = self.key()? else { return Ok(None) };
        let Some(row) = core.store.page().await?.rows().answered(self.tenant, &key).await? else { return Ok(None) };
        if row.request_hash != self.hash() {
            return Err(Refusal::unprocessable(
                "idempotency_key_reused",
                "this Idempotency-Key was used for another request",
            )
            .field("Idempotency-Key"));
        }
        Ok(Some(row.message_id))
    }

    /// Does the work once for a key: an answer that was given under it is given again for as long as it is kept.
    pub(crate) async fn once<T: Serialize + DeserializeOwned>(
        &self,
        core: &Core,
        work: impl Future<Output = Answer<(StatusCode, Json<T>)>>,
    ) -> Answer<(StatusCode, Json<T>)> {
        let Some(key) = self.key()? else { return work.await };
        let known = core.store.page().await?.rows().answered(self.tenant, &key).await?;
        if let Some(row) = known
            && row.request_hash == self.hash()
            && let Ok((status, body)) = serde_json::from_value::<(u16, T)>(row.answer)
        {
            return Ok((StatusCode::from_u16(status).unwrap_or(StatusCode::OK), Json(body)));
        }
        let (status, Json(body)) = work.await?;
        // What is only on its way has another answer later.
        if status != StatusCode::ACCEPTED
            && let Ok(answer) = serde_json::to_value((status.as_u16(), &body))
        {
            let mut tx = core.store.begin().await?;
            // Where nothing was said there is no row: asking again finds the same.
            tx.apply(&Change::Answered { tenant: self.tenant.clone(), key, answer }).await?;
            tx.commit().await?;
        }
        Ok((status, Json(body)))
    }

    /// Remembers under the key, if there is one, what the request becomes; `false` when another one was quicker.
    pub(crate) async fn remember(&self, core: &Core, tx: &mut Tx, message_id: &str) -> Answer<bool> {
        let Some(key) = self.key()? else { return Ok(true) };
        let row = self.row(core, key, message_id);
        Ok(tx.apply(&Change::Idempotency(Box::new(row))).await? == Written::Done)
    }

    /// The row of the key that this request names, if it names one.
    pub(crate) fn key_row(&self, core: &Core) -> Answer<Option<IdempotencyRow>> {
        let id = format!("cmd.{}", Uuid::now_v7().simple());
        Ok(self.key()?.map(|key| self.row(core, key, &id)))
    }

    fn row(&self, core: &Core, key: String, id: &str) -> IdempotencyRow {
        IdempotencyRow {
            tenant: self.tenant.clone(),
            key,
            request_hash: self.hash(),
            message_id: id.to_owned(),
            answer: serde_json::Value::Null,
            created_at: core.clock.now(),
        }
    }

    /// Says the message and gives its id.
    pub(crate) async fn say(&self, core: &Core, message: Message) -> Answer<String> {
        Ok(self.say_all(core, vec![message]).await?.swap_remove(0))
    }

    /// Says what one request asks for, all of it or nothing, and gives the ids; the key remembers the first.
    pub(crate) async fn say_all(&self, core: &Core, messages: Vec<Message>) -> Answer<Vec<String>> {
        let id = format!("cmd.{}", Uuid::now_v7().simple());
        let mut says = Vec::with_capacity(messages.len());
        for message in messages {
            let id = if says.is_empty() { id.clone() } else { format!("cmd.{}", Uuid::now_v7().simple()) };
            let stamp = Stamp { id: id.clone(), source: SOURCE.to_owned(), at: core.clock.now(), traceparent: None };
            fits(&message, &stamp)?;
            says.push(Say { id, message });
        }
        let mut tx = core.store.begin().await?;
        if !self.remember(core, &mut tx, &id).await? {
            drop(tx);
            return Ok(vec![self.earlier(core).await?.unwrap_or(id)]);
        }
        let parent = self.headers.get("traceparent").and_then(|value| value.to_str().ok());
        let stamped = Stamped { service: SERVICE, at: core.clock.now(), trace: &Trace::from_parent(parent) };
        say_now(&core.bus, tx, &stamped, &says).await?;
        Ok(says.into_iter().map(|say| say.id).collect())
    }
}

/// Refuses what would not fit into a message.
pub(crate) fn fits(message: &Message, stamp: &Stamp<'_>) -> Answer<()> {
    if message.event(stamp).to_json().len() > MESSAGE_BYTES_MAX - STAMP_BYTES {
        return Err(Refusal::unprocessable("too_large", "the request does not fit into a message of 64 KiB"));
    }
    Ok(())
}

/// What a write waits for.
pub(crate) enum Outcome<'a> {
    /// The service has settled the message.
    Settled { service: &'a str, id: &'a str },
    /// The traffic is back, and was read back from every live router.
    Back(&'a RolloutId),
    /// What was asked for a parked message is done.
    Unparked(&'a str),
}

impl Outcome<'_> {
    async fn is_there(&self, mut rows: Rows<'_>) -> Result<bool, store::Error> {
        match self {
            Self::Settled { service, id } => rows.is_settled(service, SOURCE, id).await,
            Self::Back(id) => {
                let row = rows.rollout(id).await?;
                Ok(row.is_some_and(|row| row.stage.is_final() && row.stage != Stage::Completed))
            }
            Self::Unparked(id) => Ok(rows.replay(id).await?.is_none()),
        }
    }

    /// Looks after each commit, at most as long as a write may wait; `false` when it is not there by then.
    pub(crate) async fn within_limit(self, core: &Core) -> Answer<bool> {
        let mut commits = core.bus.commits();
        let wait = async {
            loop {
                commits.borrow_and_update();
                let began = Instant::now();
                let mut reader = core.store.page().await?;
                if self.is_there(reader.rows()).await? {
                    return Ok::<_, store::Error>(true);
                }
                drop(reader);
                // Where hundreds commit in a second, most of the time is for them.
                tokio::time::sleep((began.elapsed() * REST).min(REST_MAX)).await;
                if commits.changed().await.is_err() {
                    return Ok(false);
                }
            }
        };
        tokio::time::timeout(OUTCOME_LIMIT, wait).await.map_or(Ok(false), |done| done.map_err(Refusal::from))
    }
}

/// Waits until `service` has settled the message; `false` when it has not within the limit.
pub(crate) async fn settled(core: &Core, service: &str, id: &str) -> Answer<bool> {
    Outcome::Settled { service, id }.within_limit(core).await
}
