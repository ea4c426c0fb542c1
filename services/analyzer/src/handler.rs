//! One request, sample or tick in, one commit out.

use chassis::{Cause, Commit, Consumer, Failure, Handler, consumers};
use proto::Message;
use rollout::At;
use store::{Due, Rows, Store};

use crate::source::Source;
use crate::tick::Ledger;
use crate::{observed, opened, tick};

/// The handler.
pub(crate) struct Analyzer {
    /// What policies may ask; none if nothing is configured.
    pub(crate) source: Option<Source>,
}

impl Handler for Analyzer {
    const NAME: &'static str = "analyzer";
    const CONSUMERS: &'static [Consumer] = consumers::ANALYZER;
    /// One rollout's tick waits a moment for its source; others go on meanwhile. Rows are written by condition, so order is safe.
    const PARALLEL: usize = 8;
    type Seen = Ledger;

    /// Reads the ledger before the transaction: it can be long, and nobody else can write meanwhile.
    async fn act(&self, store: &Store, cause: &Cause, now: At) -> Result<Ledger, Failure> {
        match cause {
            Cause::Deadline(due) => tick::ledger(store, self.source.as_ref(), due, now).await,
            Cause::Message(_) => Ok(Ledger::default()),
        }
    }

    async fn handle(&self, mut rows: Rows<'_>, cause: &Cause, ledger: &Ledger, now: At) -> Result<Commit, Failure> {
        match cause {
            Cause::Deadline(due) => tick::closed(&mut rows, due, ledger, now).await,
            Cause::Message(incoming) => match &incoming.message {
                Message::AnalysisRun(run) => opened::opened(&mut rows, incoming, run, now).await,
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
