//! Events for services, as other processes would publish them.

use std::time::{SystemTime, UNIX_EPOCH};

use proto::{Message, Stamp};
use rollout::At;

use crate::steps;

/// Subject and body: a rollout is asked for.
pub(super) fn asked(number: usize) -> anyhow::Result<(String, String)> {
    let say = steps::asked(&number.to_string())?;
    Ok(published("/tidegate/registry-writer", say.id, &say.message))
}

/// Subject and body: its candidate is ready.
pub(super) fn ready(number: usize) -> anyhow::Result<(String, String)> {
    let say = steps::ready(&number.to_string())?;
    Ok(published("/tidegate/deployer", say.id, &say.message))
}

/// Subject and body of a message.
pub(super) fn published(source: &str, id: String, message: &Message) -> (String, String) {
    let stamp = Stamp { id, source: source.to_owned(), at: now(), traceparent: None };
    (message.subject().to_string(), message.event(&stamp).to_json())
}

fn now() -> At {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    At(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
