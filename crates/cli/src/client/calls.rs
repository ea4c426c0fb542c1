//! One function for each call that this program makes.

use proto::http::{
    Command, Commanded, DryRun, HistoryEntry, LedgerTick, ModelView, NewModel, NewPromotion, NewVersion, Observation,
    ParkedView, ParkedWhole, PolicyView, Promoted, RolloutView, SloView, Unparked, VersionView,
};
use proto::internal::RouterView;
use reqwest::Method;
use rollout::{Model, PolicyName, RolloutId, Verb, Version};

use super::{Client, Error, Written, escaped};

/// Items of a listing that are not asked to be fewer.
const ITEMS_MAX: usize = 1_000;

/// Ticks of a ledger: five weeks of them, one each 15 s.
const TICKS_MAX: usize = 200_000;
/// Objectives of a policy, in both arms.
const SLOS_MAX: usize = 40;

impl Client {
    /// Whether the server can be given work.
    pub(crate) async fn readiness(&self) -> Result<(), Error> {
        self.send(self.request(Method::GET, "/readyz")).await.map(drop)
    }

    pub(crate) async fn routers(&self) -> Result<Vec<RouterView>, Error> {
        self.list("/v1/routers", ITEMS_MAX).await
    }

    pub(crate) async fn models(&self) -> Result<Vec<ModelView>, Error> {
        self.list("/v1/models", ITEMS_MAX).await
    }

    pub(crate) async fn model(&self, model: &Model) -> Result<ModelView, Error> {
        self.get(&format!("/v1/models/{}", escaped(model.as_str()))).await
    }

    pub(crate) async fn add_model(&self, new: &NewModel) -> Result<Written<ModelView>, Error> {
        self.post("/v1/models", new).await
    }

    pub(crate) async fn versions(&self, model: &Model) -> Result<Vec<VersionView>, Error> {
        self.list(&versions_of(model), ITEMS_MAX).await
    }

    pub(crate) async fn add_version(&self, model: &Model, new: &NewVersion) -> Result<Written<VersionView>, Error> {
        self.post(&versions_of(model), new).await
    }

    pub(crate) async fn policies(&self) -> Result<Vec<PolicyView>, Error> {
        self.list("/v1/policies", ITEMS_MAX).await
    }

    pub(crate) async fn policy(&self, name: &PolicyName) -> Result<PolicyView, Error> {
        self.get(&policy_at(name)).await
    }

    /// Saves a policy as it was written: YAML or JSON.
    pub(crate) async fn save_policy(&self, name: &PolicyName, text: String) -> Result<Written<PolicyView>, Error> {
        let path = policy_at(name);
        let request = self.request(Method::PUT, &path).header("content-type", "application/yaml").body(text);
        self.write(request, &path).await
    }

    /// Asks for a promotion. The rollout's row may follow a moment later.
    pub(crate) async fn promote(
        &self,
        model: &Model,
        version: &Version,
        new: &NewPromotion,
    ) -> Result<RolloutId, Error> {
        let path = format!("/v1/registry/{}/{}/promote", escaped(model.as_str()), escaped(version.as_str()));
        let (_, body) = self.send_write(self.request(Method::POST, &path).json(new)).await?;
        let promoted: Promoted = self.read(&path, &body)?;
        Ok(promoted.rollout_id)
    }

    /// What a promotion would come to; nothing is changed.
    pub(crate) async fn dry_run(&self, model: &Model, version: &Version, new: &NewPromotion) -> Result<DryRun, Error> {
        let path =
            format!("/v1/registry/{}/{}/promote?dry_run=true", escaped(model.as_str()), escaped(version.as_str()));
        let (_, body) = self.send_write(self.request(Method::POST, &path).json(new)).await?;
        self.read(&path, &body)
    }

    /// Posts outcomes.
    pub(crate) async fn observe(&self, observations: &[Observation]) -> Result<(), Error> {
        self.send_write(self.request(Method::POST, "/v1/observations").json(observations)).await.map(drop)
    }

    pub(crate) async fn rollouts(&self, items_max: usize) -> Result<Vec<RolloutView>, Error> {
        self.list("/v1/rollouts", items_max).await
    }

    /// The rollout of an id; of a model its live rollout, else its last.
    pub(crate) async fn rollout(&self, id_or_model: &str) -> Result<RolloutView, Error> {
        self.get(&format!("/v1/rollouts/{}", escaped(id_or_model))).await
    }

    pub(crate) async fn history(&self, id: &RolloutId) -> Result<Vec<HistoryEntry>, Error> {
        self.list(&format!("/v1/rollouts/{id}/history"), ITEMS_MAX).await
    }

    /// The ledger, oldest first.
    pub(crate) async fn ticks(&self, id: &RolloutId) -> Result<Vec<LedgerTick>, Error> {
        self.list(&format!("/v1/rollouts/{id}/ticks"), TICKS_MAX).await
    }

    /// How the objectives of a rollout stand.
    pub(crate) async fn slos(&self, id: &RolloutId) -> Result<Vec<SloView>, Error> {
        self.list(&format!("/v1/rollouts/{id}/slos"), SLOS_MAX).await
    }

    /// Says a verb. `if_match` is the row's version that the speaker has seen; a rollback must not lose a race and names none.
    pub(crate) async fn say(
        &self,
        id: &RolloutId,
        verb: Verb,
        command: &Command,
        if_match: Option<i64>,
    ) -> Result<Commanded, Error> {
        let path = format!("/v1/rollouts/{id}/{}", verb.name());
        let mut request = self.request(Method::POST, &path).json(command);
        if let Some(version) = if_match {
            request = request.header("if-match", version.to_string());
        }
        let (_, body) = self.send_write(request).await?;
        self.read(&path, &body)
    }

    pub(crate) async fn parked(&self) -> Result<Vec<ParkedView>, Error> {
        self.list("/v1/parked", ITEMS_MAX).await
    }

    pub(crate) async fn parked_one(&self, id: &str) -> Result<ParkedWhole, Error> {
        self.get(&format!("/v1/parked/{}", escaped(id))).await
    }

    /// Has a parked message replayed or dropped.
    pub(crate) async fn unpark(&self, id: &str, action: &str, command: &Command) -> Result<Unparked, Error> {
        let path = format!("/v1/parked/{}/{action}", escaped(id));
        let (_, body) = self.send_write(self.request(Method::POST, &path).json(command)).await?;
        self.read(&path, &body)
    }
}

fn versions_of(model: &Model) -> String {
    format!("/v1/registry/{}/versions", escaped(model.as_str()))
}

fn policy_at(name: &PolicyName) -> String {
    format!("/v1/policies/{}", escaped(name.as_str()))
}
