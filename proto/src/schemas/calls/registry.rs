//! Models, their versions, and policies.

use super::{CURSOR, Call, Content, LIMIT, READ, WRITE, json_of};
use crate::http::{ModelView, NewModel, NewVersion, Page, PolicyView, PromotionView, VersionView};

const MODELS: Call = Call { group: "models", ..READ };
const POLICIES: Call = Call { group: "policies", ..READ };

pub(super) const CALLS: &[Call] = &[
    Call {
        path: "/v1/models",
        id: "addModel",
        group: "models",
        does: "Registers a model. Again with the same content is fine, with other content a conflict.",
        body: json_of!(NewModel),
        answers: &[
            (201, "It is registered.", json_of!(ModelView)),
            (200, "It was there already.", json_of!(ModelView)),
        ],
        ..WRITE
    },
    Call {
        path: "/v1/models",
        id: "listModels",
        does: "The models by name.",
        parameters: &[LIMIT, CURSOR],
        answers: &[(200, "A page of models.", json_of!(Page<ModelView>))],
        refusals: &[403, 422, 503],
        ..MODELS
    },
    Call {
        path: "/v1/models/{model}",
        id: "showModel",
        does: "One model, its active version and its live rollout.",
        answers: &[(200, "The model.", json_of!(ModelView))],
        refusals: &[403, 404, 422, 503],
        ..MODELS
    },
    Call {
        path: "/v1/registry/{model}/versions",
        id: "addVersion",
        group: "models",
        does: "Registers a version, which never changes. The first one of a model becomes active when it is healthy.",
        body: json_of!(NewVersion),
        answers: &[
            (201, "It is registered.", json_of!(VersionView)),
            (200, "It was there already.", json_of!(VersionView)),
        ],
        ..WRITE
    },
    Call {
        path: "/v1/registry/{model}/versions",
        id: "listVersions",
        does: "The versions of a model, the newest first.",
        parameters: &[LIMIT, CURSOR],
        answers: &[(200, "A page of versions.", json_of!(Page<VersionView>))],
        refusals: &[403, 404, 422, 503],
        ..MODELS
    },
    Call {
        path: "/v1/registry/{model}/promotions",
        id: "listPromotions",
        does: "Every change of a version's status and the rollout that made it, the newest first.",
        parameters: &[LIMIT, CURSOR],
        answers: &[(200, "A page of the promotion history.", json_of!(Page<PromotionView>))],
        refusals: &[403, 404, 422, 503],
        ..MODELS
    },
    Call {
        method: "put",
        path: "/v1/policies/{name}",
        id: "savePolicy",
        group: "policies",
        does: "Saves a policy under a name. Running rollouts keep the text that they started with.",
        body: Some(Content::Policy),
        answers: &[(200, "The policy as it was saved.", json_of!(PolicyView))],
        ..WRITE
    },
    Call {
        path: "/v1/policies",
        id: "listPolicies",
        does: "The policies by name, the shipped presets among them.",
        parameters: &[LIMIT, CURSOR],
        answers: &[(200, "A page of policies, without their text.", json_of!(Page<PolicyView>))],
        refusals: &[403, 422, 503],
        ..POLICIES
    },
    Call {
        path: "/v1/policies/{name}",
        id: "showPolicy",
        does: "One policy with its text.",
        answers: &[(200, "The policy.", json_of!(PolicyView))],
        refusals: &[403, 404, 422, 503],
        ..POLICIES
    },
];
