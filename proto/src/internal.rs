//! Bodies under `/internal`: what passes between the control plane and routers in other processes.
//!
//! The two may be of different releases, so readers skip fields that they do not know. Routes travel as the text that is in the
//! bucket: one that a router does not understand must not cost it the others.

use std::collections::BTreeMap;

use rollout::{At, Model, RouterName, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::instant::rfc3339;
use crate::messages::RequestsCounted;
use crate::serving::Held;
use crate::subject::unescape;

/// The word of the problem when another live router has the name.
pub const NAME_TAKEN: &str = "name-taken";
/// The word of the problem when a router is not known, perhaps because the control plane was started again.
pub const NOT_INTRODUCED: &str = "not-introduced";

/// The header of the answer to a state: the beat of the control part.
pub const BEAT: &str = "x-tidegate-beat";
/// Routes in one state: as many models as one control plane is made for.
const ADOPTED_MAX: usize = 10_000;

/// `GET /internal/routes`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RouteTable {
    /// The route of each model as targets take it, salt included, by `<tenant>.<model>`, escaped.
    #[schemars(with = "BTreeMap<String, rollout::Route>")]
    pub routes: BTreeMap<String, Box<RawValue>>,
    /// The versions of each model that an override may name, by the same keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub choices: BTreeMap<String, Vec<Choice>>,
}

/// A version that an override may name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// The version.
    pub version: Version,
    /// Base URL of its servers.
    pub upstream: String,
    /// Headers that choose it inside its server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// `PUT /internal/routers/{name}`: a router says that it lives, and what is on its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouterState {
    /// Its process: a UUID of version 7, so that a later one is greater.
    pub boot: String,
    /// Its folder: two processes of one folder follow each other, they never run together.
    pub home: String,
    /// The generation that it serves and has on its disk, by `<tenant>.<model>`, escaped.
    pub adopted: BTreeMap<String, i64>,
    /// Of these, where it serves the stable arm alone, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<String, Held>,
    /// It has taken its last request: nobody needs to wait for it.
    #[serde(default)]
    pub leaves: bool,
}

impl RouterState {
    /// Says what is wrong with it, if anything: the field and a sentence.
    ///
    /// # Errors
    /// The field and the sentence.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        for (field, text) in [("boot", &self.boot), ("home", &self.home)] {
            if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err((field, format!("{field} is not a UUID of 32 hexadecimal digits")));
            }
        }
        if self.adopted.len() > ADOPTED_MAX {
            return Err(("adopted", format!("adopted has more than {ADOPTED_MAX} routes")));
        }
        let bad = self.adopted.keys().find(|key| {
            let parts: Vec<&str> = key.split('.').collect();
            parts.len() != 2 || parts.iter().any(|part| unescape(part).is_none())
        });
        match bad {
            Some(key) => Err(("adopted", format!("adopted: `{}` is not `<tenant>.<model>`", key.escape_default()))),
            None => Ok(()),
        }
    }
}

/// `POST /internal/routers/{name}/samples`: what a router has counted, as the message that it becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewSample {
    /// `ro.<router>.<boot>.<count>`.
    pub id: String,
    /// The sample.
    pub sample: RequestsCounted,
}

/// A router in `GET /v1/routers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouterView {
    /// Its name.
    pub name: RouterName,
    /// `live`, `vanished` or `left`.
    pub state: String,
    /// When it last said that it lives.
    #[serde(with = "rfc3339")]
    pub beat_at: At,
    /// The generation that it serves, by `<tenant>.<model>`, escaped.
    pub adopted: BTreeMap<String, i64>,
}

/// `GET /internal/models/active`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveModel {
    /// The model.
    pub model: Model,
    /// The version that serves.
    pub active: ActiveVersion,
    /// The version on trial; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryVersion>,
    /// When either last changed.
    #[serde(with = "rfc3339")]
    pub updated_at: At,
}

/// The version that serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveVersion {
    /// The version.
    pub version: Version,
    /// Base URL of its servers.
    pub upstream: String,
}

/// The version on trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryVersion {
    /// The version.
    pub version: Version,
    /// Its share in percent.
    pub traffic_pct: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> RouterState {
        let adopted = BTreeMap::from([("default.meta_2fllama".to_owned(), 7)]);
        RouterState { boot: "0".repeat(32), home: "f".repeat(32), adopted, held: BTreeMap::new(), leaves: false }
    }

    #[test]
    fn a_state_names_the_field_that_is_wrong() {
        assert_eq!(state().check(), Ok(()));
        let field = |state: RouterState| state.check().unwrap_err().0;
        assert_eq!(field(RouterState { boot: "x".to_owned(), ..state() }), "boot");
        assert_eq!(field(RouterState { home: "../etc".repeat(6), ..state() }), "home");
        for key in ["", "a", "a.b.c", "a.*", "_._", "a.B_zz"] {
            assert_eq!(
                field(RouterState { adopted: BTreeMap::from([(key.to_owned(), 1)]), ..state() }),
                "adopted",
                "{key}"
            );
        }
    }

    #[test]
    fn a_route_of_a_newer_release_does_not_cost_the_others() {
        let text = r#"{"routes": {"default.a": {"direction": "sideways"}, "default.b": {}}, "more": 1}"#;
        let table: RouteTable = serde_json::from_str(text).unwrap();
        assert_eq!(table.routes["default.a"].get(), r#"{"direction": "sideways"}"#);
        assert_eq!(table.routes.len(), 2);
    }
}
