//! One request, sample or tick in, one commit out.

use chassis::{Cause, Commit, Failure, Handler};
use proto::Message;
use rollout::At;
use store::{Due, Rows, Store};

use crate::tick::Ledger;
use crate::{observed, opened, tick};

/// The handler.
pub(crate) struct Analyzer;

impl Handler for Analyzer {
    const NAME: &'static str = "analyzer";
    const CONSUMERS: &'static [(&'static str, &'static [&'static str])] =
        &[("analyzer", &["tg.normal.*.*.analysis.run"]), ("analyzer-obs", &["tg.obs.>"])];
    type Seen = Ledger;

    /// Reads the ledger before the transaction: it can be long, and nobody else can write meanwhile.
    async fn act(&self, store: &Store, cause: &Cause, _: At) -> Result<Ledger, Failure> {
        match cause {
            Cause::Deadline(due) => tick::ledger(&mut store.reader().await?.rows(), due).await,
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
