//! Fields of a `Canary` that have no equal here, and what to do instead.

use crate::fields::Reasons;

const ROUTING: &str = "routes requests there; Tidegate's router does that by itself";

pub(super) const OF_SPEC: Reasons = &[
    (
        "targetRef",
        "is started and copied by Flagger; Tidegate starts nothing: register each version with its address (`tidegate versions add`)",
    ),
    (
        "service",
        "is made by Flagger; here the router serves the model, and a version's address says its port (`tidegate versions add --upstream`)",
    ),
    ("provider", ROUTING),
    ("ingressRef", ROUTING),
    ("routeRef", ROUTING),
    ("upstreamRef", ROUTING),
    ("autoscalerRef", "scales pods; Tidegate does not"),
    ("metricsServer", "is one for all policies here: `TIDEGATE_PROMETHEUS_URL`"),
    ("revertOnDeletion", "has no equal: nothing is changed that could be reverted"),
    ("suspend", "is a word to a rollout here: `tidegate pause`"),
    // What is left of it when it stands beside `analysis`.
    ("canaryAnalysis", "is the old name of `analysis`, which is there as well and goes before it"),
];

pub(super) const OF_ANALYSIS: Reasons = &[
    ("match", "does nothing without `iterations`, there as here"),
    (
        "stepWeightPromotion",
        "is how traffic goes back to a copy of the new version; here nothing is copied, so nothing goes back",
    ),
    ("alerts", "are receivers of the server here: `TIDEGATE_SLACK_WEBHOOK_FILE` and others, see docs/OPERATIONS.md"),
    ("canaryReadyThreshold", "counts pods; here a version is ready when its health is good (`prepare_limit`)"),
    ("primaryReadyThreshold", "counts pods; here a version is ready when its health is good (`prepare_limit`)"),
    ("sessionAffinity", "needs no cookie here: a session stays where its hash puts it while the share grows"),
    ("mirror", "has no equal: no request is sent twice"),
    ("mirrorWeight", "has no equal: no request is sent twice"),
];
