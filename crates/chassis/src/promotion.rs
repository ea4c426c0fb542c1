//! Whether a version can be promoted, and with which plan: read by the api, to refuse at once, and by registry-writer, whose
//! word counts.

use std::fmt;

use judge::Resolved;
use proto::VersionPromote;
use rollout::{Bump, Model, Origin, Plan, Policy, PolicyName, RolloutId, Tenant, Version, WhenLive, Workload};
use serde_json::Value;
use store::Rows;

use crate::prometheus::Prometheus;

/// The policy of those who name none, where the versions do not say how far apart they are.
const DEFAULT_POLICY: &str = "agent-default";
/// The preset that gives a version everything at once.
const ACTIVATE: &str = "activate";

/// Largest plan: it travels in a message beside the workload, and a message has 64 KiB.
const PLAN_BYTES_MAX: usize = 48 * 1024;

/// A promotion with everything that it needs.
#[derive(Debug, Clone)]
pub struct Promotable {
    /// The version's servers.
    pub workload: Workload,
    /// The policy, resolved.
    pub plan: Plan,
    /// The policy as it was written.
    pub policy: Policy,
    /// Who chose it, and where it is kept.
    pub chosen: Chosen,
    /// What happens while another rollout is live.
    pub when_live: WhenLive,
}

/// Who chose a policy, and where it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The model was registered with it, and the promote names none.
    is_models: bool,
    /// A name; a whole policy has none but its own.
    name: Option<String>,
    /// Of a saved policy.
    revision: Option<i64>,
    /// Nobody named one: how far the version is from the one that it replaces.
    because: Option<Bump>,
}

impl Chosen {
    /// Where a value of the policy comes from, in the words of `tidegate lint --resolved`.
    #[must_use]
    pub fn origin(&self, origin: Origin) -> String {
        match origin {
            Origin::Policy if self.is_models => "model's policy".to_owned(),
            Origin::Policy if self.name.is_some() && self.revision.is_none() => "preset".to_owned(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.revision) {
            (Some(name), Some(revision)) => write!(f, "`{name}`, revision {revision}")?,
            (Some(name), None) => write!(f, "preset `{name}`")?,
            (None, _) => write!(f, "given whole")?,
        }
        match self.because {
            Some(bump) => write!(f, ", since it is {bump} and none was named"),
            None if self.is_models => write!(f, ", the model's own"),
            None => Ok(()),
        }
    }
}

/// Why a version can't be promoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody registered the model.
    #[error("model `{0}` is not registered; register it first")]
    UnknownModel(String),
    /// Nobody registered the version.
    #[error("version `{1}` of model `{0}` is not registered; register it first")]
    UnknownVersion(String, String),
    /// It serves already.
    #[error("version `{0}` is active already")]
    AlreadyActive(String),
    /// Its status does not allow it.
    #[error("version `{0}` is {1} and can't be promoted")]
    NotPromotable(String, String),
    /// A stage that is not there.
    #[error("target_stage `{0}` is not known; write `canary`")]
    TargetStage(String),
    /// Nobody saved the policy.
    #[error("policy `{0}` does not exist; see `tidegate policies`")]
    UnknownPolicy(String),
    /// The policy does not compile.
    #[error("policy: {0}")]
    BadPolicy(String),
    /// A check asks a Prometheus, and there is none.
    #[error("check `{0}` asks Prometheus, and none is configured; start Tidegate with {url}, or leave the query out", url = Prometheus::URL)]
    NoPrometheus(String),
}

impl Refused {
    /// The word that a rollout is rejected with.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownModel(_) => "unknown_model",
            Self::UnknownVersion(..) => "unknown_version",
            Self::AlreadyActive(_) => "already_active",
            Self::NotPromotable(..) => "not_promotable",
            Self::TargetStage(_) => "bad_target_stage",
            Self::UnknownPolicy(_) => "unknown_policy",
            Self::BadPolicy(_) => "bad_policy",
            Self::NoPrometheus(_) => "no_prometheus",
        }
    }
}

/// Reads what a promotion needs and resolves its plan.
///
/// # Errors
/// The store's, outside; why the version can't be promoted, inside.
pub async fn promotable(
    rows: &mut Rows<'_>,
    promote: &VersionPromote,
    prometheus: Option<&Prometheus>,
) -> Result<Result<Promotable, Refused>, store::Error> {
    if promote.target_stage != "canary" {
        return Ok(Err(Refused::TargetStage(promote.target_stage.clone())));
    }
    let Some(model) = rows.model(&promote.tenant, &promote.model).await? else {
        return Ok(Err(Refused::UnknownModel(promote.model.to_string())));
    };
    let Some(version) = rows.version(&promote.tenant, &promote.model, &promote.version).await? else {
        return Ok(Err(Refused::UnknownVersion(promote.model.to_string(), promote.version.to_string())));
    };
    match version.status.as_str() {
        "active" => return Ok(Err(Refused::AlreadyActive(promote.version.to_string()))),
        "revoked" => return Ok(Err(Refused::NotPromotable(promote.version.to_string(), version.status))),
        _ => {}
    }
    let is_models = promote.policy.is_none() && model.spec.policy.is_some();
    let named = promote.policy.clone().or(model.spec.policy);
    let served = served(rows, &promote.tenant, &promote.model).await?;
    let because = match (&named, &served) {
        (None, Served::By(stable)) => Bump::between(stable, &promote.version),
        _ => None,
    };
    let name = Value::from(because.map_or(DEFAULT_POLICY, Bump::preset));
    let (mut policy, mut chosen, mut plan) = match policy_of(rows, &promote.tenant, named.unwrap_or(name)).await? {
        Ok((policy, chosen, plan)) => (policy, Chosen { is_models, because, ..chosen }, plan),
        Err(refused) => return Ok(Err(refused)),
    };
    if matches!(served, Served::Nobody) {
        // Steps need a version that takes the rest of the traffic.
        let note =
            format!("no version serves yet, so this one gets everything at once, whatever `{}` says", plan.policy);
        (policy, chosen, plan) = match policy_of(rows, &promote.tenant, Value::from(ACTIVATE)).await? {
            Ok(activate) => activate,
            Err(refused) => return Ok(Err(refused)),
        };
        plan.notes = vec![note];
    }
    if prometheus.is_none()
        && let Some((check, _)) = plan.checks.iter().flat_map(Resolved::queries).next()
    {
        return Ok(Err(Refused::NoPrometheus(check.metric.clone())));
    }
    if serde_json::to_string(&plan).is_ok_and(|text| text.len() > PLAN_BYTES_MAX) {
        return Ok(Err(Refused::BadPolicy(format!(
            "resolved it is larger than {PLAN_BYTES_MAX} bytes; use fewer steps or checks"
        ))));
    }
    let when_live = promote.when_live.unwrap_or(plan.when_live);
    let (matches, health) = (model.spec.matches, model.spec.health);
    let workload = Workload { upstream: version.upstream, headers: version.headers, health, matches };
    Ok(Ok(Promotable { workload, plan, policy, chosen, when_live }))
}

/// Who serves a model.
enum Served {
    Nobody,
    /// Its first version, soon.
    Soon,
    By(Version),
}

/// The route says who serves a model, never the registry, which may lag.
async fn served(rows: &mut Rows<'_>, tenant: &Tenant, model: &Model) -> Result<Served, store::Error> {
    if let Some(route) = rows.route(tenant, model).await? {
        return Ok(Served::By(route.stable));
    }
    let is_soon = rows.live(tenant, model, &RolloutId::of("", "")).await?.is_some();
    Ok(if is_soon { Served::Soon } else { Served::Nobody })
}

/// A policy by name, saved or shipped, or whole.
async fn policy_of(
    rows: &mut Rows<'_>,
    tenant: &Tenant,
    policy: Value,
) -> Result<Result<(Policy, Chosen, Plan), Refused>, store::Error> {
    let chosen = |name: Option<&str>, revision| Chosen {
        is_models: false,
        name: name.map(str::to_owned),
        revision,
        because: None,
    };
    let name = match policy {
        Value::String(name) => name,
        whole => return Ok(compiled(&whole.to_string(), chosen(None, None))),
    };
    let Ok(known) = PolicyName::new(name.clone()) else { return Ok(Err(Refused::UnknownPolicy(name))) };
    if let Some(saved) = rows.policy(tenant, &known).await? {
        return Ok(compiled(&saved.spec.to_string(), chosen(Some(&name), Some(saved.revision))));
    }
    let Some(text) = Policy::preset(&name) else { return Ok(Err(Refused::UnknownPolicy(name))) };
    Ok(compiled(text, chosen(Some(&name), None)))
}

fn compiled(text: &str, chosen: Chosen) -> Result<(Policy, Chosen, Plan), Refused> {
    let read = Policy::from_yaml(text).and_then(|policy| Ok((policy.plan()?, policy)));
    let (plan, policy) = read.map_err(|error| Refused::BadPolicy(error.to_string()))?;
    Ok((policy, chosen, plan))
}
