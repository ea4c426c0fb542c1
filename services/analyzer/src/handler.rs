//! One request, sample or tick in, one commit out.

use std::collections::BTreeMap;

use chassis::{Cause, Commit, Consumer, Failure, Handler, consumers};
use judge::Signals;
use proto::{AnalysisRun, Message};
use rollout::At;
use store::{Due, Rows, Store};

use crate::source::Source;
use crate::tick::Ledger;
use crate::{hour, observed, opened, tick};

/// The handler.
pub(crate) struct Analyzer {
    /// What policies may ask; none if nothing is configured.
    pub(crate) source: Option<Source>,
}

/// What is read and asked before the transaction.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    ledger: Ledger,
    /// The stable arm's hour before the rollout, by minutes, as far as the source tells it.
    hour: BTreeMap<At, Signals>,
}

impl Handler for Analyzer {
    const NAME: &'static str = "analyzer";
    const CONSUMERS: &'static [Consumer] = consumers::ANALYZER;
    /// One rollout's tick waits a moment for its source; others go on meanwhile. Rows are written by condition, so order is safe.
    const PARALLEL: usize = 8;
    type Seen = Seen;

    /// Reads the ledger before the transaction: it can be long, and nobody else can write meanwhile. A source is asked then too.
    async fn act(&self, store: &Store, cause: &Cause, now: At) -> Result<Seen, Failure> {
        let source = self.source.as_ref();
        match cause {
            Cause::Deadline(due) => {
                Ok(Seen { ledger: tick::ledger(store, source, due, now).await?, ..Seen::default() })
            }
            Cause::Message(incoming) => match &incoming.message {
                Message::AnalysisRun(run) if is_first(store, run).await? => {
                    Ok(Seen { hour: hour::asked(source, run).await, ..Seen::default() })
                }
                _ => Ok(Seen::default()),
            },
        }
    }

    async fn handle(&self, mut rows: Rows<'_>, cause: &Cause, seen: &Seen, now: At) -> Result<Commit, Failure> {
        match cause {
            Cause::Deadline(due) => tick::closed(&mut rows, due, &seen.ledger, now).await,
            Cause::Message(incoming) => match &incoming.message {
                Message::AnalysisRun(run) => opened::opened(&mut rows, incoming, (run, &seen.hour), now).await,
                Message::RequestsCounted(sample) => observed::counted(&mut rows, sample).await,
                Message::OutcomeObserved(posted) => observed::posted(&mut rows, posted, now).await,
                _ => Err(Failure::never("unknown_type", "analyzer does not take this message")),
            },
        }
    }

    async fn due(&self, mut rows: Rows<'_>, before: At, limit: i64) -> Result<Vec<Due>, Failure> {
        Ok(rows.due_ticks(before, limit).await?)
    }
}

/// Whether nothing is known of the rollout yet.
async fn is_first(store: &Store, run: &AnalysisRun) -> Result<bool, Failure> {
    Ok(store.reader().await?.rows().judge(&run.rollout_id).await?.is_none())
}
