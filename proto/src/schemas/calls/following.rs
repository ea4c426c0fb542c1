//! Following along, and telling what only others know.

use super::{CURSOR, Call, Content, KEY, LIMIT, Parameter, READ, WRITE, json_of};
use crate::http::{Command, EventsTaken, Observation, Page, ParkedView, ParkedWhole, Unparked};

const EVENTS: &[Parameter] = &[
    Parameter { place: "query", name: "rollout", kind: "string", does: "One rollout alone: its id, or its model." },
    Parameter { place: "query", name: "tenant", kind: "string", does: "One tenant alone." },
    Parameter {
        place: "header",
        name: "Last-Event-ID",
        kind: "string",
        does: "Resumes behind the event of that id, `<decided_at>.<rollout>.<version>`; goes back 5 s more, so an event may come twice.",
    },
];

pub(super) const CALLS: &[Call] = &[
    Call {
        path: "/v1/events",
        id: "followEvents",
        group: "events",
        does: "Every move of the rollouts as server-sent events named `rollout.moved`, whose data is a RolloutFact. A comment comes after 15 s without an event.",
        parameters: EVENTS,
        answers: &[(200, "The stream; it ends when the server stops.", Some(Content::Other("text/event-stream")))],
        refusals: &[400, 403, 404, 422, 429, 503],
        ..READ
    },
    Call {
        path: "/v1/events",
        id: "takeEvents",
        group: "events",
        does: "Takes CloudEvents of the types `dev.tidegate.version.promote.v1` and `dev.tidegate.evaluation.finished.v1` from other systems, and CDEvents' `dev.cdevents.testsuiterun.finished`, whose `customData` says the model and the version or the rollout_id: structured, a batch, or binary with headers such as ce-id. The same source and id are one rollout, however often and on whatever road they come.",
        parameters: &[],
        body: Some(Content::Events),
        answers: &[(202, "They are on their way, or were taken before.", json_of!(EventsTaken))],
        ..WRITE
    },
    Call {
        path: "/v1/observations",
        id: "observe",
        group: "events",
        does: "Posts outcomes that only the caller knows, such as task success or cost; at most 500 at once.",
        body: json_of!(Vec<Observation>),
        answers: &[(202, "They are counted.", None)],
        ..WRITE
    },
    Call {
        path: "/v1/parked",
        id: "listParked",
        group: "parked",
        does: "Messages that could not be handled, with their reason.",
        parameters: &[LIMIT, CURSOR],
        answers: &[(200, "The messages, the newest first.", json_of!(Page<ParkedView>))],
        refusals: &[403, 422, 503],
        ..READ
    },
    Call {
        path: "/v1/parked/{id}",
        id: "showParked",
        group: "parked",
        does: "One message whole, and what was done with it so far.",
        answers: &[(200, "The message.", json_of!(ParkedWhole))],
        ..READ
    },
    Call {
        path: "/v1/parked/{id}/{action}",
        id: "unpark",
        group: "parked",
        does: "Does something with a parked message: replay or drop. The service that parked it does it.",
        parameters: &[KEY],
        body: json_of!(Command),
        is_body_required: false,
        answers: &[(200, "It is done.", json_of!(Unparked)), (202, "It is on its way.", json_of!(Unparked))],
        ..WRITE
    },
];
