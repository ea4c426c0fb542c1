//! Every message as one enum: its name, its lane, and how it gets into an envelope and out of one.

use rollout::{At, Model, Tenant};
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::envelope::{Event, Malformed};
use crate::messages::{
    AnalysisRun, EvaluationFinished, ModelRegister, OutcomeObserved, PolicySave, PromotionRequested, RequestsCounted,
    RolloutCommand, RolloutMoved, RolloutWaiting, RouteNews, SplitAnswer, SplitApply, VerdictReached, VersionNews,
    VersionPromote, VersionRegister, WorkloadAnswer, WorkloadStart,
};
use crate::subject::{Lane, Subject};

/// Longest name of a person or an evaluation, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// Longest reason that somebody gives, in bytes.
pub const REASON_BYTES_MAX: usize = 2_000;

/// A message that can never work, by the reason that it is parked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The envelope is wrong.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Nobody here knows the type; a newer release may.
    #[error("the type `{0}` is not known here")]
    UnknownType(String),
    /// The payload is not what the type says.
    #[error("the payload of {kind} does not decode: {cause}")]
    Payload {
        /// The type.
        kind: String,
        /// Names the field.
        cause: String,
    },
    /// The subject does not follow the grammar, or says something else than the body.
    #[error("the subject `{subject}` {what}")]
    Subject {
        /// The subject.
        subject: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Unreadable {
    /// The word that it is parked with.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(Malformed::TooLarge(_)) => "too_large",
            Self::Malformed(_) => "malformed",
            Self::UnknownType(_) => "unknown_type",
            Self::Payload { .. } => "bad_payload",
            Self::Subject { .. } => "bad_subject",
        }
    }
}

/// The name of a message, what it says, and the schema of its payload.
pub(crate) type Payload = (&'static str, &'static str, fn(&mut SchemaGenerator) -> Schema);

macro_rules! catalogue {
    ($($(#[doc = $doc:literal])* $variant:ident($body:ty) = $name:literal),+ $(,)?) => {
        /// All messages.
        #[expect(clippy::large_enum_variant, reason = "a message is made, read and dropped; where it is kept it is boxed whole")]
        #[derive(Debug, Clone, PartialEq)]
        pub enum Message { $($(#[doc = $doc])* $variant($body)),+ }

        impl Message {
            /// The names of all messages.
            pub const NAMES: &[&str] = &[$($name),+];

            /// `noun.verb`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name),+ }
            }

            /// The name of each message, what it says, and the schema of its payload.
            pub(crate) const PAYLOADS: &[Payload] = &[$(($name, concat!($($doc),*), |generator| generator.subschema_for::<$body>())),+];

            fn of(name: &str, kind: &str, data: Value) -> Result<Self, Unreadable> {
                match name { $($name => body(kind, data).map(Self::$variant),)+ _ => Err(Unreadable::UnknownType(kind.to_owned())) }
            }

            fn data(&self) -> Value {
                match self { $(Self::$variant(body) => value(body)),+ }
            }

            /// Whose it is about, and which model; policies belong to none.
            #[must_use]
            pub fn about(&self) -> (&Tenant, Option<&Model>) {
                match self { $(Self::$variant(body) => (&body.tenant, body.model.named())),+ }
            }
        }
    };
}

catalogue! {
    /// A model is to be registered.
    ModelRegister(ModelRegister) = "model.register",
    /// A version is to be registered.
    VersionRegister(VersionRegister) = "version.register",
    /// A policy is to be saved.
    PolicySave(PolicySave) = "policy.save",
    /// A version is to be promoted.
    VersionPromote(VersionPromote) = "version.promote",
    /// Another system has evaluated a candidate.
    EvaluationFinished(EvaluationFinished) = "evaluation.finished",
    /// A rollout is asked for, with everything resolved.
    PromotionRequested(PromotionRequested) = "promotion.requested",
    /// `advance` said to a rollout.
    RolloutAdvance(RolloutCommand) = "rollout.advance",
    /// `pause` said to a rollout.
    RolloutPause(RolloutCommand) = "rollout.pause",
    /// `resume` said to a rollout.
    RolloutResume(RolloutCommand) = "rollout.resume",
    /// `approve` said to a rollout.
    RolloutApprove(RolloutCommand) = "rollout.approve",
    /// `reject` said to a rollout.
    RolloutReject(RolloutCommand) = "rollout.reject",
    /// `promote` said to a rollout.
    RolloutPromote(RolloutCommand) = "rollout.promote",
    /// `rollback` or `cancel` said to a rollout.
    RolloutStop(RolloutCommand) = "rollout.stop",
    /// A candidate is to be brought up and probed.
    WorkloadStart(WorkloadStart) = "workload.start",
    /// A candidate is ready.
    WorkloadReady(WorkloadAnswer) = "workload.ready",
    /// A candidate is not ready.
    WorkloadFailed(WorkloadAnswer) = "workload.failed",
    /// The wished route is to be applied.
    SplitApply(SplitApply) = "split.apply",
    /// The wished route was applied and read back.
    SplitApplied(SplitAnswer) = "split.applied",
    /// The wished route could not be applied yet.
    SplitFailed(SplitAnswer) = "split.failed",
    /// A target had no beat for as long as the lease, and serves the stable arm.
    RouteExpired(RouteNews) = "route.expired",
    /// A target served something else than it was told.
    RouteDrifted(RouteNews) = "route.drifted",
    /// An analysis is to be opened, or answered with its latest verdict.
    AnalysisRun(AnalysisRun) = "analysis.run",
    /// The judge has spoken.
    VerdictReached(VerdictReached) = "verdict.reached",
    /// A rollout moved.
    RolloutMoved(RolloutMoved) = "rollout.moved",
    /// A rollout waits for somebody.
    RolloutWaiting(RolloutWaiting) = "rollout.waiting",
    /// A version was registered.
    VersionRegistered(VersionNews) = "version.registered",
    /// A version was refused.
    VersionRefused(VersionNews) = "version.refused",
    /// A version became active.
    VersionActivated(VersionNews) = "version.activated",
    /// A version gave its place to another.
    VersionRetired(VersionNews) = "version.retired",
    /// A router has counted.
    RequestsCounted(RequestsCounted) = "requests.counted",
    /// A caller has posted an outcome.
    OutcomeObserved(OutcomeObserved) = "outcome.observed",
}

/// What goes around a message into its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The id within the source.
    pub id: String,
    /// `/tidegate/<service>`.
    pub source: String,
    /// When.
    pub at: At,
    /// W3C trace context.
    pub traceparent: Option<&'a str>,
}

impl Message {
    /// The lane: urgent is what can only take traffic away from a candidate.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::ModelRegister(_)
            | Self::VersionRegister(_)
            | Self::PolicySave(_)
            | Self::EvaluationFinished(_)
            | Self::VersionPromote(_)
            | Self::PromotionRequested(_) => Lane::Cmd,
            Self::RolloutAdvance(_) | Self::RolloutPause(_) | Self::RolloutResume(_) | Self::RolloutApprove(_) => {
                Lane::Cmd
            }
            Self::RolloutReject(_) | Self::RolloutPromote(_) | Self::RolloutStop(_) => Lane::Cmd,
            Self::WorkloadStart(_) | Self::WorkloadReady(_) | Self::AnalysisRun(_) => Lane::Normal,
            Self::WorkloadFailed(_) | Self::RouteExpired(_) | Self::RouteDrifted(_) => Lane::Urgent,
            Self::SplitApply(SplitApply { direction, .. })
            | Self::SplitApplied(SplitAnswer { direction, .. })
            | Self::SplitFailed(SplitAnswer { direction, .. }) => {
                if *direction == rollout::Direction::Back {
                    Lane::Urgent
                } else {
                    Lane::Normal
                }
            }
            Self::VerdictReached(verdict) if verdict.is_urgent() => Lane::Urgent,
            Self::VerdictReached(_) => Lane::Normal,
            Self::RolloutMoved(_) | Self::RolloutWaiting(_) => Lane::News,
            Self::VersionRegistered(_)
            | Self::VersionRefused(_)
            | Self::VersionActivated(_)
            | Self::VersionRetired(_) => Lane::News,
            Self::RequestsCounted(_) | Self::OutcomeObserved(_) => Lane::Obs,
        }
    }

    /// Where it goes.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let (tenant, model) = self.about();
        Subject { lane: self.lane(), tenant: Some(tenant.clone()), model: model.cloned(), name: self.name().to_owned() }
    }

    /// The message in its envelope.
    #[must_use]
    pub fn event(&self, stamp: &Stamp<'_>) -> Event {
        let (tenant, model) = self.about();
        let data = self.data();
        let field = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
        Event {
            id: stamp.id.clone(),
            source: stamp.source.clone(),
            kind: format!("dev.tidegate.{}.v1", self.name()),
            time: Some(stamp.at),
            subject: model.map(ToString::to_string),
            tenant: Some(tenant.to_string()),
            rollout_id: field("rollout_id"),
            attempt: data.get("attempt").and_then(Value::as_i64),
            traceparent: stamp.traceparent.map(str::to_owned),
            tracestate: None,
            data,
        }
    }

    /// Whether other systems may say it.
    #[must_use]
    pub const fn is_taken_from_others(&self) -> bool {
        matches!(self, Self::VersionPromote(_) | Self::EvaluationFinished(_))
    }

    /// The field whose words would not fit into the messages that are made from it, and how long they may be.
    fn too_long(&self) -> Option<(&'static str, usize)> {
        let words = match self {
            Self::VersionPromote(asked) => [
                ("requested_by", asked.requested_by.as_deref(), NAME_BYTES_MAX),
                ("reason", asked.reason.as_deref(), REASON_BYTES_MAX),
            ],
            Self::EvaluationFinished(evaluated) => [("name", Some(&*evaluated.name), NAME_BYTES_MAX), ("", None, 0)],
            _ => return None,
        };
        let too_long = words.into_iter().find(|(_, text, max)| text.is_some_and(|text| text.len() > *max));
        too_long.map(|(field, _, max)| (field, max))
    }

    /// Takes the message out of an envelope that arrived on `subject`.
    ///
    /// # Errors
    /// [`Unreadable`], with the reason to park it with.
    pub fn read(subject: &str, event: Event) -> Result<Self, Unreadable> {
        let mut event = event.in_our_words()?;
        let wrong = |what| Unreadable::Subject { subject: subject.escape_default().to_string(), what };
        let place = Subject::parse(subject).ok_or_else(|| wrong("does not follow the grammar"))?;
        // Whoever spoke for one of our services could have its next message taken for a repetition.
        if place.lane == Lane::In && event.is_ours() {
            return Err(Malformed::Attribute("source", "that of another system").into());
        }
        if event.tenant.as_deref().is_some_and(|tenant| place.tenant.as_ref().map(Tenant::as_str) != Some(tenant)) {
            return Err(wrong("names another tenant than the attribute `tenant`"));
        }
        let name = event.kind.strip_prefix("dev.tidegate.").and_then(|kind| kind.strip_suffix(".v1"));
        let name = name.ok_or_else(|| Unreadable::UnknownType(event.kind.clone()))?.to_owned();
        // Tenant and model may stand in the subject alone.
        if let Value::Object(fields) = &mut event.data {
            for (field, known) in [
                ("tenant", place.tenant.as_ref().map(Tenant::as_str)),
                ("model", place.model.as_ref().map(Model::as_str)),
            ] {
                if let Some(known) = known {
                    fields.entry(field).or_insert_with(|| known.into());
                }
            }
        }
        let message = Self::of(&name, &event.kind, event.data)?;
        let (tenant, model) = message.about();
        if place.lane == Lane::In && !message.is_taken_from_others() {
            return Err(wrong("is not taken from other systems"));
        }
        if place.name != name {
            return Err(wrong("names something else than the attribute `type`"));
        }
        if place.tenant.as_ref() != Some(tenant) {
            return Err(wrong("names another tenant than the field `tenant`"));
        }
        if place.model.as_ref() != model {
            return Err(wrong("names another model than the field `model`"));
        }
        match message.too_long() {
            Some((field, bytes_max)) if place.lane == Lane::In => {
                let cause = format!("the field `{field}` is longer than {bytes_max} bytes");
                Err(Unreadable::Payload { kind: event.kind, cause })
            }
            _ => Ok(message),
        }
    }
}

/// A payload's model, which may be none.
trait Named {
    fn named(&self) -> Option<&Model>;
}

impl Named for Model {
    fn named(&self) -> Option<&Model> {
        Some(self)
    }
}

impl Named for Option<Model> {
    fn named(&self) -> Option<&Model> {
        self.as_ref()
    }
}

fn body<T: DeserializeOwned>(kind: &str, data: Value) -> Result<T, Unreadable> {
    serde_json::from_value(data)
        .map_err(|cause| Unreadable::Payload { kind: kind.to_owned(), cause: cause.to_string() })
}

/// Our own types are maps of texts, finite numbers and lists: there is nothing in them that JSON can't say.
fn value(body: &impl Serialize) -> Value {
    serde_json::to_value(body).unwrap_or(Value::Null)
}
