//! Reads, each one named statement, on a reader or inside a transaction.

use rollout::{At, Model, PolicyName, Rollout, RolloutId, Route, Tenant, Version};

use crate::Error;
use crate::delivery::Delivery;
use crate::known::Known;
use crate::rows::{
    BaselineRow, BeatRow, BusValue, Due, FactRow, FactsOf, IdempotencyRow, JudgeRow, Live, ModelRow, ObservationRow,
    Place, PolicyRow, PromotionRow, RefusalRow, Said, Scene, TargetRow, TickRow, Transition, VersionRow, WorkloadRow,
};
use crate::sqlite::{
    chain, chassis, facts, judging, log, notifying, queue, registry, rollouts, safety, serving, standing,
};
use crate::standing::Standing;

/// A connection that only reads.
#[derive(Debug)]
pub enum Reader {
    /// One of the reading connections.
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
}

impl Reader {
    /// The reads.
    pub fn rows(&mut self) -> Rows<'_> {
        match self {
            Self::Sqlite(connection) => Rows::Sqlite(connection, None),
        }
    }
}

/// What can be read, wherever one stands.
#[derive(Debug)]
pub enum Rows<'c> {
    /// A connection of the SQLite arm, and what its transaction knows.
    Sqlite(&'c mut sqlx::SqliteConnection, Option<&'c mut Known>),
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
                        Self::Sqlite(on, _) => $module::$statement(on, $($argument),*).await,
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
    judging::ticks as ticks(id: &RolloutId, after: i64) -> Vec<TickRow>;
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
    /// The answer to a write that named a key.
    serving::answered as answered(tenant: &Tenant, key: &str) -> Option<IdempotencyRow>;
}

impl Rows<'_> {
    /// A rollout with all that a step sees beside it.
    ///
    /// # Errors
    /// When the database does not answer, or a stored value does not decode.
    pub async fn scene(&mut self, id: &RolloutId) -> Result<Option<Scene>, Error> {
        let Self::Sqlite(on, known) = self;
        if let Some(scene) = known.as_mut().and_then(|known| known.scene(id)) {
            return Ok(Some(scene));
        }
        let read = rollouts::scene(on, id).await?;
        Ok(read.map(|(scene, log_end)| {
            if let Some(known) = known {
                known.log_ends_with(id, scene.rollout.version, log_end);
            }
            scene
        }))
    }

    /// Reads the scenes of several rollouts at once, for those who will ask for them one by one in this transaction.
    ///
    /// # Errors
    /// When the database does not answer, or a stored value does not decode.
    pub async fn foresee(&mut self, ids: &[RolloutId]) -> Result<(), Error> {
        let Self::Sqlite(on, known) = self;
        let Some(known) = known else { return Ok(()) };
        for (scene, log_end) in rollouts::scenes(on, ids).await? {
            known.foreseen(scene, log_end);
        }
        Ok(())
    }

    /// Whether a service has settled a message.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_settled(&mut self, service: &str, source: &str, message_id: &str) -> Result<bool, Error> {
        let Self::Sqlite(on, _) = self;
        chassis::is_settled(on, service, source, message_id).await.map_err(Error::of("read a mark"))
    }

    /// What became of a message (`applied`, `refused`, `parked`), and why, if a service has settled it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn outcome(
        &mut self,
        service: &str,
        source: &str,
        message_id: &str,
    ) -> Result<Option<(String, Option<String>)>, Error> {
        let Self::Sqlite(on, _) = self;
        chassis::outcome(on, service, source, message_id).await.map_err(Error::of("read a mark"))
    }

    /// The stream behind `position`, as far as its subjects begin with `lane`; all of it for an empty one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn said_after(&mut self, position: i64, lane: &str, limit: i64) -> Result<Vec<Said>, Error> {
        let Self::Sqlite(on, _) = self;
        chassis::said_after(on, position, lane, limit).await.map_err(Error::of("read the stream"))
    }

    /// The last position of the stream; 0 when it is empty.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_position(&mut self) -> Result<i64, Error> {
        let Self::Sqlite(on, _) = self;
        chassis::last_position(on).await.map_err(Error::of("read the stream's end"))
    }

    /// How many messages stand behind `position`, counted up to `most`, and when the first of them was said.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn waiting(&mut self, position: i64, most: i64) -> Result<(i64, Option<At>), Error> {
        let Self::Sqlite(on, _) = self;
        chassis::waiting(on, position, most).await.map_err(Error::of("read what waits"))
    }

    /// The keys of a bucket.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn bus_values(&mut self, bucket: &str) -> Result<Vec<BusValue>, Error> {
        let Self::Sqlite(on, _) = self;
        chassis::bus_values(on, bucket).await.map_err(Error::of("read a bucket"))
    }
}
