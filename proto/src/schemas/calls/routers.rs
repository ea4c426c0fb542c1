//! Routers in other processes, and programs that choose their server themselves.

use super::{Call, Parameter, READ, WRITE, json_of};
use crate::http::Page;
use crate::internal::{ActiveModel, NewSample, RouteTable, RouterState, RouterView};

const fn query(name: &'static str, does: &'static str) -> Parameter {
    Parameter { place: "query", name, kind: "string", does }
}

const TAG: Parameter = Parameter {
    place: "header",
    name: "If-None-Match",
    kind: "string",
    does: "The ETag of the answer before: 304 while nothing is new.",
};

pub(super) const CALLS: &[Call] = &[
    Call {
        path: "/v1/routers",
        id: "listRouters",
        group: "routers",
        does: "The routers, and what each of them serves.",
        answers: &[(200, "The routers.", json_of!(Page<RouterView>))],
        refusals: &[403, 503],
        ..READ
    },
    Call {
        path: "/internal/models/active",
        id: "showActive",
        group: "routers",
        does: "The active version of a model and the one on trial.",
        parameters: &[query("model", "The model."), query("type", "Or its type, where only one model has it."), TAG],
        answers: &[(200, "The versions.", json_of!(ActiveModel)), (304, "Nothing is new.", None)],
        refusals: &[400, 403, 404, 409, 422, 503],
        ..READ
    },
    Call {
        path: "/internal/routes",
        id: "listRoutes",
        group: "routers",
        does: "The applied route of every model, salts included: for routers alone.",
        parameters: &[
            query("router", "Who asks: it must have introduced itself."),
            query("boot", "Of which process."),
            query("wait", "How long the answer may wait for a change, at most 20 s."),
            TAG,
        ],
        answers: &[(200, "The routes.", json_of!(RouteTable)), (304, "Nothing is new.", None)],
        refusals: &[400, 403, 409, 422, 503],
        ..READ
    },
    Call {
        method: "put",
        path: "/internal/routers/{name}",
        id: "introduceRouter",
        group: "routers",
        does: "A router says that it lives, and what is on its disk.",
        parameters: &[],
        body: json_of!(RouterState),
        answers: &[(204, "It is known.", None)],
        ..WRITE
    },
    Call {
        path: "/internal/routers/{name}/samples",
        id: "sendSample",
        group: "routers",
        does: "A router sends what it counted.",
        parameters: &[],
        body: json_of!(NewSample),
        answers: &[(204, "It is counted.", None)],
        ..WRITE
    },
];
