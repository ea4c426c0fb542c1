//! Reads, each one named statement, on a reader or inside a transaction.

use rollout::{At, Model, PolicyName, Rollout, RolloutId, Route, Tenant, Version};

use crate::Error;
use crate::delivery::Delivery;
use crate::known::Known;
use crate::parking::{ReplayRow, UnparkedEntry};
use crate::postgres::{answered, statements as postgres};
use crate::rows::{
    BaselineRow, BeatRow, BusValue, Due, FactRow, FactsOf, IdempotencyRow, JudgeRow, Live, ModelRow, ObservationRow,
    Parked, Place, PolicyRow, PromotionRow, RefusalRow, Said, Scene, TargetRow, TickRow, Transition, VersionRow,
    WorkloadRow,
};
use crate::sqlite::statements as sqlite;
use crate::standing::Standing;

/// A connection that only reads.
#[derive(Debug)]
pub enum Reader {
    /// One of the reading connections.
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    /// One of the pool's.
    Postgres(sqlx::pool::PoolConnection<sqlx::Postgres>),
}

impl Reader {
    /// The reads.
    pub fn rows(&mut self) -> Rows<'_> {
        match self {
            Self::Sqlite(connection) => Rows::Sqlite(connection, None),
            Self::Postgres(connection) => Rows::Postgres(connection, None),
        }
    }
}

/// What can be read, wherever one stands.
#[derive(Debug)]
pub enum Rows<'c> {
    /// A connection of the SQLite arm, and what its transaction knows.
    Sqlite(&'c mut sqlx::SqliteConnection, Option<&'c mut Known>),
    /// A connection of the PostgreSQL arm, and what its transaction knows.
    Postgres(&'c mut sqlx::PgConnection, Option<&'c mut Known>),
}

macro_rules! reads {
    ($($(#[$doc:meta])* $module:ident :: $statement:ident as $name:ident ( $($argument:ident : $type:ty),* ) -> $result:ty;)+) => {
        impl Rows<'_> {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// When the database does not answer, or a stored value does not decode.
                pub async fn $name(&mut self, $($argument: $type),*) -> Result<$result, Error> {
                    match self {
                        Self::Sqlite(on, _) => sqlite::$module::$statement(on, $($argument),*).await,
                        Self::Postgres(on, _) => answered(postgres::$module::$statement(on, $($argument),*)).await,
                    }
                }
            )+
        }
    };
}

reads! {
    /// A rollout.
    rollouts::by_id as rollout(id: &RolloutId) -> Option<Rollout>;
    /// What a new rollout of the model finds there; nothing when it is there itself.
    rollouts::place_of as place_of(tenant: &Tenant, model: &Model, id: &RolloutId) -> Option<Place>;
    /// The model's live rollout, else its latest.
    rollouts::of_model as rollout_of(tenant: &Tenant, model: &Model) -> Option<Rollout>;
    /// Rollouts, newest first, behind the one made at `before`.
    rollouts::page as rollouts(tenant: &Tenant, before: (At, &str), limit: i64) -> Vec<Rollout>;
    /// The model's live rollout, other than `but`.
    rollouts::live as live(tenant: &Tenant, model: &Model, but: &RolloutId) -> Option<Live>;
    /// The model's queued rollouts, oldest first.
    queue::queued as queued(tenant: &Tenant, model: &Model) -> Vec<Rollout>;
    /// Rollouts whose deadline comes before `before`.
    rollouts::due as due_rollouts(before: At, limit: i64) -> Vec<Due>;
    /// The salt of a rollout.
    rollouts::salt as salt(id: &RolloutId) -> Option<String>;
    /// The log behind version `after`.
    log::history as history(id: &RolloutId, after: i64, limit: i64) -> Vec<Transition>;
    /// The log of all rollouts, or of those meant, behind an entry (instant, rollout, version).
    facts::after as facts(after: (At, &str, i64), of: FactsOf<'_>, limit: i64) -> Vec<FactRow>;
    /// The first version of the log whose hash does not follow from the entry before it.
    chain::broken_link as broken_link(id: &RolloutId) -> Option<i64>;
    /// Facts that changed nothing.
    rollouts::refusals as refusals(id: &RolloutId) -> Vec<RefusalRow>;
    /// The wished route of a model.
    rollouts::route as route(tenant: &Tenant, model: &Model) -> Option<Route>;
    /// All wished routes.
    rollouts::routes as routes() -> Vec<Route>;
    /// A model.
    registry::model as model(tenant: &Tenant, model: &Model) -> Option<ModelRow>;
    /// A model that nobody else changes until the transaction ends.
    registry::model_held as model_held(tenant: &Tenant, model: &Model) -> Option<ModelRow>;
    /// Models by name, behind `after`.
    registry::models as models(tenant: &Tenant, after: &str, limit: i64) -> Vec<ModelRow>;
    /// Who has this match.
    registry::match_owner as match_owner(key: &str) -> Option<(Tenant, Model)>;
    /// A version.
    registry::version as version(tenant: &Tenant, model: &Model, version: &Version) -> Option<VersionRow>;
    /// The versions of a model, newest first, behind the one made at `before`.
    registry::versions as versions(tenant: &Tenant, model: &Model, before: (At, &str), limit: i64) -> Vec<VersionRow>;
    /// The versions of a model that are active or on trial.
    registry::serving as serving_versions(tenant: &Tenant, model: &Model) -> Vec<VersionRow>;
    /// The versions that a request may name: all but those that were revoked or turned back.
    registry::choices as choices() -> Vec<VersionRow>;
    /// The models of a type, by name.
    registry::models_of_type as models_of_type(tenant: &Tenant, model_type: &str) -> Vec<Model>;
    /// The promotion history of a model, newest first, behind the entry `before`, each with its number.
    registry::promotions as promotions(tenant: &Tenant, model: &Model, before: i64, limit: i64) -> Vec<(i64, PromotionRow)>;
    /// The latest revision of a policy.
    registry::policy as policy(tenant: &Tenant, policy: &PolicyName) -> Option<PolicyRow>;
    /// The latest revision of each policy, by name, behind `after`.
    registry::policies as policies(tenant: &Tenant, after: &str, limit: i64) -> Vec<PolicyRow>;
    /// An analysis.
    judging::judge as judge(id: &RolloutId) -> Option<JudgeRow>;
    /// Analyses whose tick is due before `before`.
    judging::due as due_ticks(before: At, limit: i64) -> Vec<Due>;
    /// The ledger behind tick `after`.
    judging::ticks as ticks(id: &RolloutId, range: (i64, i64)) -> Vec<TickRow>;
    /// What each arm has served in the ledger (arm, requests, errors), in one step if one is named.
    judging::exposure as exposure(id: &RolloutId, step: Option<u32>) -> Vec<(String, f64, f64)>;
    /// What the sources of a model have counted.
    judging::observations as observations(tenant: &Tenant, model: &Model) -> Vec<ObservationRow>;
    /// The minutes of a version since `since`.
    judging::baselines as baselines(key: (&Tenant, &Model, &Version), since: At) -> Vec<BaselineRow>;
    /// What a target serves.
    serving::target as target(id: &str) -> Option<TargetRow>;
    /// A candidate's servers.
    serving::workload as workload(id: &RolloutId) -> Option<WorkloadRow>;
    /// Workloads whose probe is due before `before`.
    serving::due_workloads as due_workloads(before: At, limit: i64) -> Vec<Due>;
    /// What every target serves.
    standing::targets as targets() -> Vec<TargetRow>;
    /// Where rollouts stand that are not over.
    standing::standings as standings() -> Vec<Standing>;
    /// How many messages are parked.
    standing::parked_count as parked_count() -> i64;
    /// Position, subject and age of what was said behind `position`.
    standing::subjects_after as subjects_after(position: i64, limit: i64) -> Vec<(i64, String, At)>;
    /// The last beat.
    safety::beat as beat() -> BeatRow;
    /// The stopped rollouts among those that a wished route still belongs to.
    safety::stopped as stopped() -> Vec<RolloutId>;
    /// A delivery.
    notifying::delivery as delivery(channel: &str, about: &str, version: i64) -> Option<Delivery>;
    /// The delivery of a channel that is tried next, whenever that is.
    notifying::next as next_delivery(channel: &str) -> Option<Delivery>;
    /// The latest of a rollout that a receiver took: its version, and what the receiver calls it.
    notifying::receipt as receipt(channel: &str, about: &str) -> Option<(i64, String)>;
    /// The triggers of a rollout at a channel: how many there are, and how many the receiver took or may have taken.
    notifying::triggers as triggers(channel: &str, about: &str) -> (i64, i64);
    /// The log's entry with which a rollout turned back.
    notifying::turned_back as turned_back(id: &RolloutId) -> Option<Transition>;
    /// Whether a service has settled a message.
    chassis::is_settled as is_settled(service: &str, source: &str, message_id: &str) -> bool;
    /// What became of a message (`applied`, `refused`, `parked`), and why, if a service has settled it.
    chassis::outcome as outcome(service: &str, source: &str, message_id: &str) -> Option<(String, Option<String>)>;
    /// The stream behind `position`, as far as its subjects begin with `lane`; all of it for an empty one.
    chassis::said_after as said_after(position: i64, lane: &str, limit: i64) -> Vec<Said>;
    /// The last position of the stream; 0 when it is empty.
    chassis::last_position as last_position() -> i64;
    /// How many messages stand behind `position`, counted up to `most`, and when the first of them was said.
    chassis::waiting as waiting(position: i64, most: i64) -> (i64, Option<At>);
    /// Whether a service here has said this message, as far as that is kept.
    relay::is_said as is_said(message_id: &str) -> bool;
    /// How many rows of a service wait for a relay, counted up to `most`, and when the first of them was said.
    relay::unpublished as unpublished(service: &str, most: i64) -> (i64, Option<At>);
    /// The last place in its stream of what a service has published, as far as its subjects begin with `lane`.
    relay::last_sequence as last_sequence(service: &str, lane: &str) -> Option<(i64, String)>;
    /// The keys of a bucket.
    chassis::bus_values as bus_values(bucket: &str) -> Vec<BusValue>;
    /// Messages that can never work, newest first, behind the one parked at `after` with that id.
    parking::page as parked(after: (At, &str), limit: i64) -> Vec<Parked>;
    /// A parked message, whether or not it was replayed since.
    parking::one as parked_one(id: &str) -> Option<Parked>;
    /// What a service parked because it did not know its type.
    parking::unknown as parked_as_unknown(service: &str) -> Vec<Parked>;
    /// What is asked for a parked message and not done yet.
    parking::asked as replay(parked_id: &str) -> Option<ReplayRow>;
    /// What is asked for messages that a service parked.
    parking::asked_of as replays(service: &str) -> Vec<(ReplayRow, Parked)>;
    /// What became of a parked message so far, the latest first.
    parking::done as unparked(parked_id: &str) -> Vec<UnparkedEntry>;
    /// The answer to a write that named a key.
    serving::answered as answered(tenant: &Tenant, key: &str) -> Option<IdempotencyRow>;
}

impl Rows<'_> {
    /// A rollout with all that a step sees beside it.
    ///
    /// # Errors
    /// When the database does not answer, or a stored value does not decode.
    pub async fn scene(&mut self, id: &RolloutId) -> Result<Option<Scene>, Error> {
        match self {
            Self::Sqlite(on, known) => sqlite::rollouts::scene(on, known.as_deref_mut(), id).await,
            Self::Postgres(on, known) => answered(postgres::rollouts::scene(on, known.as_deref_mut(), id)).await,
        }
    }

    /// Reads the scenes of several rollouts at once, for those who will ask for them one by one in this transaction.
    ///
    /// # Errors
    /// When the database does not answer, or a stored value does not decode.
    pub async fn foresee(&mut self, ids: &[RolloutId]) -> Result<(), Error> {
        match self {
            Self::Sqlite(on, known) => sqlite::rollouts::foresee(on, known.as_deref_mut(), ids).await,
            Self::Postgres(on, known) => answered(postgres::rollouts::foresee(on, known.as_deref_mut(), ids)).await,
        }
    }
}
