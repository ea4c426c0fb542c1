//! Fields of a `Rollout` and its analyses that have no equal here, and what to do instead.

use crate::fields::Reasons;

const PODS: &str =
    "is about pods; Tidegate starts none: register each version with its address (`tidegate versions add`)";
const ROUTING: &str = "routes requests there; Tidegate's router does that by itself, by sessions";
const HISTORY: &str = "is how much is remembered there; here everything is";

pub(super) const OF_SPEC: Reasons = &[
    ("replicas", PODS),
    ("selector", PODS),
    ("template", PODS),
    ("workloadRef", PODS),
    ("minReadySeconds", PODS),
    ("analysis", HISTORY),
    ("revisionHistoryLimit", HISTORY),
    ("paused", "is a word to a rollout here: `tidegate pause`"),
    ("restartAt", PODS),
    ("rollbackWindow", "has no equal: `tidegate promote` of a former version is a rollout like any other"),
];

pub(super) const OF_CANARY: Reasons = &[
    ("canaryService", ROUTING),
    ("stableService", ROUTING),
    ("trafficRouting", ROUTING),
    ("pingPong", ROUTING),
    ("canaryMetadata", PODS),
    ("stableMetadata", PODS),
    ("antiAffinity", PODS),
    ("maxSurge", PODS),
    ("maxUnavailable", PODS),
    ("dynamicStableScale", PODS),
    ("minPodsPerReplicaSet", PODS),
    ("replicaProgressThreshold", PODS),
    ("scaleDownDelayRevisionLimit", PODS),
    ("abortScaleDownDelaySeconds", "is how long pods stay; here servers are yours, and stay until you stop them"),
    (
        "scaleDownDelaySeconds",
        "is how long the former pods stay; `bake` is how long the former version is kept ready and watched for",
    ),
];

pub(super) const OF_STEP: Reasons = &[
    ("setCanaryScale", PODS),
    ("replicaProgressThreshold", PODS),
    ("setHeaderRoute", "has no equal step: a request chooses a version by itself where overrides are allowed"),
    ("setMirrorRoute", "has no equal: no request is sent twice"),
    ("experiment", "has no equal: the version that serves now is compared in every step, without one of its own"),
    ("plugin", "has no equal: no code of others runs in a step"),
];

pub(super) const OF_RUN: Reasons = &[
    ("startingStep", "has no equal: checks hold from the first step on"),
    ("measurementRetention", HISTORY),
    ("analysisRunMetadata", "is for Kubernetes, which Tidegate does not know"),
];

pub(super) const OF_TEMPLATE: Reasons = &[("measurementRetention", HISTORY)];

pub(super) const OF_METRIC: Reasons = &[
    ("initialDelay", "has no equal for one check: `warmup` is the time at the start of each step that is not judged"),
    ("inconclusiveLimit", "has no equal: what is inconclusive waits, see `inconclusive_budget` and `on_inconclusive`"),
    ("consecutiveErrorLimit", "has no equal: a source that fails holds the rollout, see `max_blind`"),
    ("consecutiveSuccessLimit", "has no equal: a step takes its time, and passes when its checks do"),
];

pub(super) const OF_PROMETHEUS: Reasons = &[
    ("address", "is one for all policies here: `TIDEGATE_PROMETHEUS_URL`"),
    ("authentication", "is one for all policies here, with the address"),
    ("headers", "is one for all policies here, with the address"),
    ("insecure", "has no equal: a certificate is always looked at"),
    ("timeout", "has no equal: a source that is slow is one that fails"),
    ("rangeQuery", "has no equal: a query gives one number"),
];
