//! What whoever runs it asks.

use super::{Call, Content, READ};

const OPERATING: Call = Call { group: "operating", refusals: &[403], ..READ };

pub(super) const CALLS: &[Call] = &[
    Call {
        path: "/livez",
        id: "isAlive",
        does: "Whether the process runs.",
        answers: &[(200, "It does.", None)],
        ..OPERATING
    },
    Call {
        path: "/readyz",
        id: "isReady",
        does: "Whether it takes requests and its database answers.",
        answers: &[(200, "It does.", None), (503, "Not now.", None)],
        ..OPERATING
    },
    Call {
        path: "/metrics",
        id: "metrics",
        does: "What is counted, for Prometheus.",
        answers: &[(200, "The metrics.", Some(Content::Other("text/plain")))],
        ..OPERATING
    },
    Call {
        path: "/openapi.json",
        id: "openapi",
        does: "This document.",
        answers: &[(200, "OpenAPI 3.1.", Some(Content::Other("application/json")))],
        ..OPERATING
    },
];
