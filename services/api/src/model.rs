//! Models.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use chassis::Core;
use proto::http::{ModelView, NewModel, Page};
use proto::{Message, ModelRegister};
use rollout::{Match, Model, Policy, PolicyError, PolicyName, RolloutId, Tenant};
use serde::Deserialize;
use serde_json::Value;
use store::{ModelRow, Rows};

use crate::problem::{Answer, Refusal, body, name};
use crate::said::{Asked, settled};

/// Items on a page unless said otherwise, and at most.
pub(crate) const PAGE: (i64, i64) = (50, 200);

/// Where a list begins and how much of it is shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Paging {
    #[serde(default)]
    limit: Option<i64>,
    #[serde(default)]
    pub(crate) cursor: Option<String>,
}

impl Paging {
    /// How many items to show.
    pub(crate) fn limit(&self) -> Answer<i64> {
        self.limit_or(PAGE.0)
    }

    /// How many items to show where nobody says.
    pub(crate) fn limit_or(&self, default: i64) -> Answer<i64> {
        match self.limit {
            None => Ok(default),
            Some(limit) if (1..=PAGE.1).contains(&limit) => Ok(limit),
            Some(limit) => {
                Err(Refusal::unprocessable("bad_limit", format!("limit {limit} is not between 1 and {}", PAGE.1))
                    .field("limit"))
            }
        }
    }
}

pub(crate) async fn add(
    State(core): State<Core>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer<(StatusCode, Json<ModelView>)> {
    let new: NewModel = body(&bytes)?;
    let register = checked(new)?;
    let tenant = register.tenant.clone();
    let asked = Asked {
        headers: &headers,
        tenant: &tenant,
        what: format!("POST /v1/models {}", String::from_utf8_lossy(&bytes)),
    };
    asked.once(&core, added(&core, &asked, &register)).await
}

async fn added(core: &Core, asked: &Asked<'_>, register: &ModelRegister) -> Answer<(StatusCode, Json<ModelView>)> {
    let id = match asked.earlier(core).await? {
        Some(id) => id,
        None => match known(core, register).await? {
            Some(view) => return Ok((StatusCode::OK, Json(view))),
            None => asked.say(core, Message::ModelRegister(register.clone())).await?,
        },
    };
    if !settled(core, "registry-writer", &id).await? {
        return Err(Refusal::unavailable("the registry has not answered yet; ask again"));
    }
    // Somebody else may have been quicker with other content: that is a conflict, as it would have been before.
    let view = known(core, register).await?;
    let view = view.ok_or_else(|| Refusal::unavailable("the registry did not take the model; ask again"))?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// What stands in a request, checked and with defaults filled in.
fn checked(new: NewModel) -> Answer<ModelRegister> {
    let tenant = new.tenant.unwrap_or_default();
    let kind = new.kind.unwrap_or_else(|| "model".to_owned());
    if !matches!(kind.as_str(), "model" | "agent" | "prompt") {
        return Err(Refusal::unprocessable(
            "bad_kind",
            format!("kind `{}` is not model, agent or prompt", kind.escape_default()),
        )
        .field("kind"));
    }
    let is_word = |text: &str| {
        !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    if !is_word(&new.model_type) {
        return Err(Refusal::unprocessable(
            "bad_type",
            "type must be 1 to 64 letters, digits, `_` or `-`, such as RERANKER",
        )
        .field("type"));
    }
    let matches = new.matches.unwrap_or_else(|| Match::default_for(&tenant, &new.name));
    matches.check().map_err(|what| Refusal::unprocessable("bad_match", what).field("match"))?;
    if let Some(policy) = &new.policy {
        check_policy(policy)?;
    }
    Ok(ModelRegister {
        tenant,
        model: new.name,
        model_type: new.model_type,
        kind,
        matches,
        policy: new.policy,
        health: new.health.unwrap_or_default(),
    })
}

pub(crate) fn bad_cursor() -> Refusal {
    Refusal::unprocessable("bad_cursor", "the cursor is not one that this list gave").field("cursor")
}

/// A policy that stands in a request: a name of the right form, or a whole policy that compiles.
pub(crate) fn check_policy(policy: &Value) -> Answer<()> {
    match policy {
        Value::String(text) => name::<PolicyName>("policy", text).map(drop),
        Value::Object(_) => {
            let compiled = Policy::from_yaml(&policy.to_string()).and_then(|policy| policy.plan());
            compiled.map(drop).map_err(|error| bad_policy(&error))
        }
        _ => {
            Err(Refusal::unprocessable("bad_policy", "policy must be a policy's name or a whole policy")
                .field("policy"))
        }
    }
}

/// Every problem of a policy, each with its line; the first one's field is named.
pub(crate) fn bad_policy(error: &PolicyError) -> Refusal {
    let field = error.problems.first().map(|problem| problem.path.as_str()).filter(|path| !path.is_empty());
    Refusal::unprocessable("bad_policy", error.to_string()).field(field.unwrap_or("policy"))
}

/// The model if it stands there with the same content; another content, or another model with its match, is a conflict.
async fn known(core: &Core, register: &ModelRegister) -> Answer<Option<ModelView>> {
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    if let Some(row) = rows.model(&register.tenant, &register.model).await? {
        let same = row.spec.matches == register.matches
            && row.spec.policy == register.policy
            && row.spec.health == register.health
            && row.model_type == register.model_type
            && row.kind == register.kind;
        let other = || {
            Refusal::conflict("model_exists", format!("model `{}` is registered with other content", register.model))
                .field("name")
        };
        return if same { view(&mut rows, row).await.map(Some) } else { Err(other()) };
    }
    if let Some((_, owner)) = rows.match_owner(&register.matches.key()).await? {
        return Err(Refusal::conflict(
            "match_taken",
            format!("model `{owner}` has the match `{}`", register.matches.key()),
        )
        .field("match"));
    }
    Ok(None)
}

pub(crate) async fn list(State(core): State<Core>, Query(paging): Query<Paging>) -> Answer<Json<Page<ModelView>>> {
    let limit = paging.limit()?;
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let models = rows.models(&Tenant::default(), paging.cursor.as_deref().unwrap_or_default(), limit).await?;
    let full = i64::try_from(models.len()).is_ok_and(|length| length == limit);
    let cursor = models.last().filter(|_| full).map(|row| row.name.to_string());
    let mut items = Vec::with_capacity(models.len());
    for row in models {
        items.push(view(&mut rows, row).await?);
    }
    Ok(Json(Page { items, cursor }))
}

pub(crate) async fn show(State(core): State<Core>, Path(model): Path<String>) -> Answer<Json<ModelView>> {
    let model: Model = name("model", &model)?;
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let row = registered(&mut rows, &model).await?;
    Ok(Json(view(&mut rows, row).await?))
}

/// The model, or the refusal that says how to register it.
pub(crate) async fn registered(rows: &mut Rows<'_>, model: &Model) -> Answer<ModelRow> {
    let row = rows.model(&Tenant::default(), model).await?;
    row.ok_or_else(|| {
        Refusal::not_found(format!("model `{model}` is not registered; register it first")).field("model")
    })
}

async fn view(rows: &mut Rows<'_>, row: ModelRow) -> Answer<ModelView> {
    let versions = rows.serving_versions(&row.tenant, &row.name).await?;
    let nobody = RolloutId::of("", "");
    let live = rows.live(&row.tenant, &row.name, &nobody).await?;
    Ok(ModelView {
        tenant: row.tenant,
        name: row.name,
        model_type: row.model_type,
        kind: row.kind,
        matches: row.spec.matches,
        policy: row.spec.policy,
        health: row.spec.health,
        active: versions.into_iter().find(|version| version.status == "active").map(|version| version.version),
        rollout: live.map(|(id, _)| id),
        created_at: row.created_at,
    })
}
