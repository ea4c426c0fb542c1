//! Every call of the HTTP API: what it takes and what it answers. A test compares the list with the routes that are served.

mod following;
mod operating;
mod registry;
mod rollouts;
mod routers;

use schemars::{Schema, SchemaGenerator};

/// One call.
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) group: &'static str,
    pub(super) does: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Option<Content>,
    pub(super) is_body_required: bool,
    pub(super) answers: &'static [Given],
    /// Statuses that come with a problem document.
    pub(super) refusals: &'static [u16],
}

/// Status, what it means, and what comes with it.
pub(super) type Given = (u16, &'static str, Option<Content>);

/// Something in the query or the headers.
pub(super) struct Parameter {
    pub(super) place: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) does: &'static str,
}

/// What a body holds.
pub(super) enum Content {
    /// JSON of a type.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// A policy, YAML or JSON.
    Policy,
    /// CloudEvents of other systems.
    Events,
    /// Text of another media type.
    Other(&'static str),
}

/// JSON of a type.
macro_rules! json_of {
    ($type:ty) => {
        Some($crate::schemas::calls::Content::Json(|generator| generator.subschema_for::<$type>()))
    };
}
use json_of;

/// A call that only reads and takes nothing but its path.
const READ: Call = Call {
    method: "get",
    path: "",
    id: "",
    group: "",
    does: "",
    parameters: &[],
    body: None,
    is_body_required: false,
    answers: &[],
    refusals: &[403, 404, 503],
};

/// A call that changes something.
const WRITE: Call = Call {
    method: "post",
    parameters: &[KEY],
    is_body_required: true,
    refusals: &[400, 403, 404, 409, 422, 503],
    ..READ
};

const KEY: Parameter = Parameter {
    place: "header",
    name: "Idempotency-Key",
    kind: "string",
    does: "The same request under the same key is done once; another one is refused.",
};
const LIMIT: Parameter =
    Parameter { place: "query", name: "limit", kind: "integer", does: "Items on a page: 50 unless said, at most 200." };
const CURSOR: Parameter = Parameter {
    place: "query",
    name: "cursor",
    kind: "string",
    does: "Where the page begins: the `cursor` of the one before.",
};

/// Every call, in the order in which people need them.
pub(super) fn all() -> impl Iterator<Item = &'static Call> {
    [registry::CALLS, rollouts::CALLS, following::CALLS, routers::CALLS, operating::CALLS].into_iter().flatten()
}
