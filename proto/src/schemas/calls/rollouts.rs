//! Rollouts: begun, looked at, and spoken to.

use schemars::JsonSchema;

use super::{CURSOR, Call, KEY, LIMIT, Parameter, READ, WRITE, json_of};
use crate::http::{
    CanaryDeployment, Command, Commanded, DryRun, HistoryEntry, LedgerTick, NewPromotion, Page, Promoted, RolloutView,
    SloView,
};

/// The shapes of a rollout, for their schema alone.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it stands for what is answered and is never made")]
enum Shown {
    Ours(Box<RolloutView>),
    Theirs(CanaryDeployment),
}

const ROLLOUTS: Call = Call { group: "rollouts", ..READ };

pub(super) const CALLS: &[Call] = &[
    Call {
        path: "/v1/registry/{model}/{version}/promote",
        id: "promote",
        group: "rollouts",
        does: "Begins to roll out a version. While a backlog is worked off it is refused with 503.",
        parameters: &[
            KEY,
            Parameter {
                place: "query",
                name: "dry_run",
                kind: "boolean",
                does: "Only say what would apply, and where each value comes from.",
            },
        ],
        body: json_of!(NewPromotion),
        is_body_required: false,
        answers: &[
            (202, "It is on its way; its row may follow a moment later.", json_of!(Promoted)),
            (200, "With `dry_run`: what would apply.", json_of!(DryRun)),
        ],
        ..WRITE
    },
    Call {
        path: "/v1/rollouts",
        id: "listRollouts",
        does: "The rollouts, the newest first.",
        parameters: &[LIMIT, CURSOR],
        answers: &[(200, "A page of rollouts.", json_of!(Page<RolloutView>))],
        refusals: &[403, 422, 503],
        ..ROLLOUTS
    },
    Call {
        path: "/v1/rollouts/{id}",
        id: "showRollout",
        does: "One rollout with its plan, split and verdict; by its id, or by its model: the live one, else the last.",
        parameters: &[Parameter {
            place: "query",
            name: "as",
            kind: "string",
            does: "`canary-deployment`: in the shape of a CanaryDeployment.",
        }],
        answers: &[(200, "The rollout.", json_of!(Shown))],
        refusals: &[403, 404, 422, 503],
        ..ROLLOUTS
    },
    Call {
        path: "/v1/rollouts/{id}/history",
        id: "showHistory",
        does: "Every move of a rollout and everything that was refused: when, by whom, why, on what evidence.",
        parameters: &[LIMIT, CURSOR],
        answers: &[(200, "A page of entries in their order.", json_of!(Page<HistoryEntry>))],
        refusals: &[403, 404, 422, 503],
        ..ROLLOUTS
    },
    Call {
        path: "/v1/rollouts/{id}/slos",
        id: "showSlos",
        does: "How the objectives of its policy stand in each arm, over the last 5,760 ticks (a day at ticks of 15 s) and the hour before the rollout: what is left of each error budget, and how fast it is spent. They never take a version back.",
        answers: &[(200, "One entry for each objective and arm.", json_of!(Page<SloView>))],
        refusals: &[403, 404, 503],
        ..ROLLOUTS
    },
    Call {
        path: "/v1/rollouts/{id}/ticks",
        id: "showTicks",
        does: "What each arm did in each tick, oldest first: from it every verdict can be computed again. Tick 0 is the hour before.",
        parameters: &[LIMIT, CURSOR],
        answers: &[(200, "A page of ticks.", json_of!(Page<LedgerTick>))],
        refusals: &[403, 404, 422, 503],
        ..ROLLOUTS
    },
    Call {
        path: "/v1/rollouts/{id}/{verb}",
        id: "sayToRollout",
        group: "rollouts",
        does: "Says a word to a rollout: advance, pause, resume, approve, reject, promote, rollback or cancel. Said again it changes nothing.",
        parameters: &[
            KEY,
            Parameter {
                place: "header",
                name: "If-Match",
                kind: "string",
                does: "The rollout's version: refused if it has moved since. Never honoured for rollback and cancel.",
            },
        ],
        body: json_of!(Command),
        is_body_required: false,
        refusals: &[400, 403, 404, 409, 412, 422, 503],
        answers: &[
            (200, "It is done.", json_of!(Commanded)),
            (202, "It is on its way. Without a rollout, the database can't be read just now.", json_of!(Commanded)),
        ],
        ..WRITE
    },
];
