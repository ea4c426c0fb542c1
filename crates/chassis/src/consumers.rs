//! Who hears what: every durable consumer of every service, in one table. The in-process bus reads its filters; `tidegate init`
//! makes the same consumers on a server.
//!
//! A consumer's filters belong to one stream. What can only take traffic away has consumers of its own, so that no storm of
//! another kind is in front of it.

use std::time::Duration;

/// A message that is in hand for longer without a sign of life is handed to another replica: so the death of one is bridged
/// within 5 s.
const ACK_WAIT: Duration = Duration::from_secs(4);
/// Messages in hand at once, over all replicas.
const IN_HAND_MAX: i64 = 256;
/// A message that has to wait for something is kept in hand this long, and tried again; then it comes again later.
const PATIENCE: Duration = Duration::from_secs(60);

/// A durable consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: &'static str,
    /// The subjects that it takes.
    pub filters: &'static [&'static str],
    /// How long a message may be in hand without a sign of life.
    pub ack_wait: Duration,
    /// How many messages may be in hand at once, over all replicas.
    pub in_hand_max: i64,
    /// How long a message that can't be settled yet is kept in hand and tried again before it is given back.
    pub patience: Duration,
}

impl Consumer {
    /// A consumer with the usual limits.
    #[must_use]
    pub const fn new(name: &'static str, filters: &'static [&'static str]) -> Self {
        Self { name, filters, ack_wait: ACK_WAIT, in_hand_max: IN_HAND_MAX, patience: PATIENCE }
    }

    /// With another patience.
    #[must_use]
    pub const fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// With another wait for a sign of life.
    #[must_use]
    pub const fn waiting(self, ack_wait: Duration) -> Self {
        Self { ack_wait, ..self }
    }

    /// With another limit of what may be in hand.
    #[must_use]
    pub const fn holding(self, in_hand_max: i64) -> Self {
        Self { in_hand_max, ..self }
    }
}

/// Of registry-writer.
pub const REGISTRY_WRITER: &[Consumer] = &[
    Consumer::new("registry-writer", &["tg.cmd.*.*.model.*", "tg.cmd.*.*.version.*", "tg.cmd.*.*.policy.*"]),
    Consumer::new("registry-writer-in", &["tg.in.*.*.version.*"]),
    Consumer::new("registry-writer-news", &["tg.news.*.*.rollout.moved"]),
];

/// Of stage-scheduler.
pub const STAGE_SCHEDULER: &[Consumer] = &[
    Consumer::new(
        "stage-scheduler-cmd",
        &["tg.cmd.*.*.rollout.*", "tg.cmd.*.*.promotion.requested", "tg.cmd.*.*.evaluation.*"],
    ),
    Consumer::new("stage-scheduler-in", &["tg.in.*.*.evaluation.*"]).holding(64),
    Consumer::new(
        "stage-scheduler-urgent",
        &[
            "tg.urgent.*.*.verdict.reached",
            "tg.urgent.*.*.split.applied",
            "tg.urgent.*.*.split.failed",
            "tg.urgent.*.*.workload.failed",
            "tg.urgent.*.*.route.expired",
            "tg.urgent.*.*.route.drifted",
        ],
    ),
    Consumer::new(
        "stage-scheduler",
        &[
            "tg.normal.*.*.verdict.reached",
            "tg.normal.*.*.split.applied",
            "tg.normal.*.*.split.failed",
            "tg.normal.*.*.workload.ready",
        ],
    )
    .holding(512),
];

/// Of analyzer, whose ticks may wait for a metrics store.
pub const ANALYZER: &[Consumer] = &[
    Consumer::new("analyzer", &["tg.normal.*.*.analysis.run"]).waiting(Duration::from_secs(10)),
    Consumer::new("analyzer-obs", &["tg.obs.>"]).waiting(Duration::from_secs(10)),
];

/// Of traffic-updater.
pub const TRAFFIC_UPDATER: &[Consumer] = &[
    Consumer::new("traffic-updater-urgent", &["tg.urgent.*.*.split.apply"]),
    Consumer::new("traffic-updater", &["tg.normal.*.*.split.apply"]),
];

/// Of deployer, whose probes wait for slow servers.
pub const DEPLOYER: &[Consumer] =
    &[Consumer::new("deployer", &["tg.normal.*.*.workload.start"]).waiting(Duration::from_secs(30)).holding(64)];

/// Of notifier.
pub const NOTIFIER: &[Consumer] =
    &[Consumer::new("notifier", &["tg.news.*.*.rollout.*", "tg.news.*.*.version.*"]).waiting(Duration::from_secs(30))];

/// Every consumer of every service.
pub fn all() -> impl Iterator<Item = &'static Consumer> {
    [REGISTRY_WRITER, STAGE_SCHEDULER, ANALYZER, TRAFFIC_UPDATER, DEPLOYER, NOTIFIER].into_iter().flatten()
}
