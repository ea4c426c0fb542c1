//! The outbox as a relay sees it (RELIABILITY section 1.4): rows that wait to be published, who tries it now, and what the
//! stream said. Where a commit is a publication, its rows never wait, and nothing here finds them.

use std::collections::BTreeMap;

use rollout::At;

use crate::rows::Outgoing;
use crate::{Error, SWEEP, Store};

/// A message of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its place in the outbox.
    pub position: i64,
    /// How often it was tried in vain.
    pub tries: i64,
    /// What is said.
    pub message: Outgoing,
}

impl Placed {
    /// Of messages that were to be said, those that were not said before, by their ids; in the order of the messages.
    #[must_use]
    pub fn of(messages: Vec<Outgoing>, said: Vec<(i64, String)>) -> Vec<Self> {
        let mut positions: BTreeMap<_, _> = said.into_iter().map(|(position, id)| (id, position)).collect();
        let placed = |message: Outgoing| {
            let position = positions.remove(&message.message_id)?;
            Some(Self { position, tries: 0, message })
        };
        messages.into_iter().filter_map(placed).collect()
    }
}

impl Store {
    /// Claims rows of a service that wait, for the caller until `until`; in the order in which they were said.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn claim(&self, service: &'static str, (now, until): (At, At), limit: i64) -> Result<Vec<Placed>, Error> {
        let mut tx = self.begin().await?;
        let mut claimed = tx.claim(service, (now, until), limit).await?;
        tx.commit().await?;
        claimed.sort_by_key(|placed| placed.position);
        Ok(claimed)
    }

    /// Rows that could not be published: each is tried again from its instant on.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn postpone(&self, rows: &[(i64, At)]) -> Result<(), Error> {
        let mut tx = self.begin().await?;
        tx.postpone(rows).await?;
        tx.commit().await
    }

    /// Has everything of a service published again that was published since `since` and that is still kept, as far as its
    /// subjects begin with `lane`; gives how many rows that are.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn publish_again(&self, service: &str, lane: &str, since: At) -> Result<u64, Error> {
        let mut tx = self.begin().await?;
        let rows = tx.publish_again(service, lane, since).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// Takes rows of a service away that were published before `before`, [`SWEEP`] at most; gives how many.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn forget_published(&self, service: &str, before: At) -> Result<u64, Error> {
        let mut tx = self.begin().await?;
        let gone = tx.forget_published(service, before, i64::try_from(SWEEP).unwrap_or(i64::MAX)).await?;
        tx.commit().await?;
        Ok(gone)
    }
}
