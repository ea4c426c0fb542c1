//! All that crosses a process boundary: the CloudEvents envelope, the messages, the subjects, the HTTP bodies.
//!
//! A message only gains fields; a new meaning is a new message. Readers skip fields that they do not know and park types that
//! they do not know. `samples/v1` has one frozen message of each kind, which must decode for ever.

pub mod cdevents;
mod digest;
pub mod envelope;
mod exposure;
pub mod http;
pub mod instant;
pub mod internal;
mod message;
mod messages;
#[cfg(test)]
mod samples;
pub mod schemas;
pub mod serving;
pub mod subject;

pub use digest::digest;
pub use envelope::{Event, Malformed};
pub use exposure::{Exposed, ExposureLedger, Reached};
pub use message::{Message, NAME_BYTES_MAX, REASON_BYTES_MAX, Stamp, Unreadable};
pub use messages::{
    AnalysisRun, EvaluationFinished, EvaluationOutcome, ModelRegister, Outcome, OutcomeObserved, PolicySave,
    PromotionRequested, Replay, RequestsCounted, RolloutCommand, RolloutMoved, RolloutWaiting, RouteNews, Sampled,
    SplitAnswer, SplitApply, VerdictReached, VersionNews, VersionPromote, VersionRegister, WorkloadAnswer,
    WorkloadStart,
};
pub use subject::{Lane, Subject};
