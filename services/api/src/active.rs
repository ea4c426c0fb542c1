//! Which version of a model is active, and which one is on trial: for programs that choose their server themselves.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use chassis::Core;
use proto::internal::{ActiveModel, ActiveVersion, CanaryVersion};
use rollout::{Model, Tenant};
use serde::Deserialize;
use store::{Rows, VersionRow};

use crate::internal::{names, tag, tagged};
use crate::problem::{Answer, Refusal, name};

/// Which model is meant: by its name, or by a type that only one model has.
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    model: Option<String>,
    #[serde(rename = "type")]
    model_type: Option<String>,
}

pub(crate) async fn show(State(core): State<Core>, Query(which): Query<Which>, headers: HeaderMap) -> Answer<Response> {
    let mut reader = core.store.page().await?;
    let mut rows = reader.rows();
    let model = meant(&mut rows, &which).await?;
    let versions = rows.serving_versions(&Tenant::default(), &model).await?;
    let active = versions.iter().find(|row| row.status == "active");
    let active = active.ok_or_else(|| Refusal::not_found(format!("model `{model}` has no active version yet")))?;
    let canary = versions.iter().find(|row| row.status == "canary");
    let shown = shown(&model, active, canary);
    let body = serde_json::to_string(&shown).map_err(|cause| Refusal::unavailable(cause.to_string()))?;
    let (tag, known) = (tag(&body), headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()));
    if known.is_some_and(|known| names(known, &tag)) {
        return Ok(tagged(StatusCode::NOT_MODIFIED, &tag, String::new()));
    }
    Ok(tagged(StatusCode::OK, &tag, body))
}

fn shown(model: &Model, active: &VersionRow, canary: Option<&VersionRow>) -> ActiveModel {
    ActiveModel {
        model: model.clone(),
        active: ActiveVersion { version: active.version.clone(), upstream: active.upstream.clone() },
        canary: canary.map(|row| CanaryVersion { version: row.version.clone(), traffic_pct: row.traffic_pct }),
        updated_at: canary.map_or(active.updated_at, |row| row.updated_at.max(active.updated_at)),
    }
}

async fn meant(rows: &mut Rows<'_>, which: &Which) -> Answer<Model> {
    let tenant = Tenant::default();
    match (&which.model, &which.model_type) {
        (Some(text), None) => {
            let model: Model = name("model", text)?;
            rows.model(&tenant, &model).await?.map(|row| row.name).ok_or_else(|| unknown("model", text).field("model"))
        }
        (None, Some(text)) => {
            let models = rows.models_of_type(&tenant, text).await?;
            match models.as_slice() {
                [] => Err(unknown("model of type", text).field("type")),
                [model] => Ok(model.clone()),
                _ => {
                    let detail =
                        format!("several models are of this type; ask with ?model= for one of {}", listed(&models));
                    Err(Refusal::conflict("several_models", detail).field("type"))
                }
            }
        }
        _ => Err(Refusal::bad_request("name either ?model= or ?type=")),
    }
}

fn unknown(what: &str, text: &str) -> Refusal {
    Refusal::not_found(format!("there is no {what} `{}`", text.escape_default()))
}

fn listed(models: &[Model]) -> String {
    models.iter().take(5).map(Model::as_str).collect::<Vec<_>>().join(", ")
}
