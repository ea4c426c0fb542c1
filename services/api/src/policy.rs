//! Named policies, beside the shipped presets.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use chassis::Core;
use proto::http::{Page, PolicyView};
use proto::{Message, PolicySave};
use rollout::{Policy, PolicyName, Tenant};

use crate::model::{Paging, bad_policy};
use crate::problem::{Answer, Refusal, name};
use crate::said::{Asked, settled};

pub(crate) async fn save(
    State(core): State<Core>,
    Path(policy): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer<(StatusCode, Json<PolicyView>)> {
    let (tenant, policy): (_, PolicyName) = (Tenant::default(), name("name", &policy)?);
    if Policy::preset(policy.as_str()).is_some() {
        return Err(Refusal::conflict(
            "preset",
            format!("`{policy}` is a shipped preset; save yours under another name"),
        )
        .field("name"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::bad_request("the policy is not UTF-8"))?;
    let parsed = Policy::from_yaml(text).map_err(|error| bad_policy(&error))?.with_name(policy.clone());
    parsed.plan().map_err(|error| bad_policy(&error))?;
    let spec =
        serde_json::to_value(&parsed).map_err(|cause| Refusal::unprocessable("bad_policy", cause.to_string()))?;
    let message =
        PolicySave { tenant: tenant.clone(), model: None, name: policy.clone(), spec, created_by: "local".to_owned() };
    let asked = Asked { headers: &headers, tenant: &tenant, what: format!("PUT /v1/policies/{policy} {text}") };
    let saved = async {
        let id = match asked.earlier(&core).await? {
            Some(id) => id,
            None => asked.say(&core, Message::PolicySave(message)).await?,
        };
        if !settled(&core, "registry-writer", &id).await? {
            return Err(Refusal::unavailable("the registry has not answered yet; ask again"));
        }
        Ok((StatusCode::OK, Json(found(&core, &policy).await?)))
    };
    asked.once(&core, saved).await
}

/// By name: what is saved, with the presets between.
pub(crate) async fn list(State(core): State<Core>, Query(paging): Query<Paging>) -> Answer<Json<Page<PolicyView>>> {
    let (limit, after) = (paging.limit()?, paging.cursor.as_deref().unwrap_or_default());
    let saved = core.store.page().await?.rows().policies(&Tenant::default(), after, limit).await?;
    let saved = saved.into_iter().map(|row| (row.name.to_string(), row.revision, "saved"));
    let presets = Policy::PRESETS.iter().filter(|preset| **preset > after);
    let presets = presets.map(|preset| ((*preset).to_owned(), 0, "preset"));
    let mut all: Vec<_> = saved.chain(presets).collect();
    all.sort();
    all.truncate(usize::try_from(limit).unwrap_or_default());
    let full = i64::try_from(all.len()).is_ok_and(|length| length == limit);
    let cursor = all.last().filter(|_| full).map(|(name, ..)| name.clone());
    let view = |(name, revision, origin): (String, i64, &str)| PolicyView {
        name,
        revision,
        origin: origin.to_owned(),
        spec: None,
    };
    Ok(Json(Page { items: all.into_iter().map(view).collect(), cursor }))
}

pub(crate) async fn show(State(core): State<Core>, Path(policy): Path<String>) -> Answer<Json<PolicyView>> {
    Ok(Json(found(&core, &name("name", &policy)?).await?))
}

async fn found(core: &Core, policy: &PolicyName) -> Answer<PolicyView> {
    if let Some(row) = core.store.page().await?.rows().policy(&Tenant::default(), policy).await? {
        return Ok(PolicyView {
            name: row.name.to_string(),
            revision: row.revision,
            origin: "saved".to_owned(),
            spec: Some(row.spec),
        });
    }
    let text = Policy::preset(policy.as_str());
    let text = text.ok_or_else(|| Refusal::not_found(format!("policy `{policy}` does not exist")).field("name"))?;
    let spec = Policy::from_yaml(text).ok().and_then(|policy| serde_json::to_value(policy).ok());
    Ok(PolicyView { name: policy.to_string(), revision: 0, origin: "preset".to_owned(), spec })
}
