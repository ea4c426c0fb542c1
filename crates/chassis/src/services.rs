//! What each service needs as a process of its own: of a nats-server, and of a database. What it may do on the server is made of
//! this, see `bus/jet_stream/users.rs`.

use std::collections::BTreeSet;

use crate::bus::Bucket;
use crate::bus::jet_stream::{Connection, JetStream, Stream};
use crate::consumers::{self, Consumer};
use crate::metrics::Metrics;

/// A service as a process of its own.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Its name: that of its binary, and of its user on a nats-server.
    pub name: &'static str,
    /// The services whose messages it says: itself, and none without a database.
    pub(crate) says_as: &'static [&'static str],
    /// The subjects that it publishes.
    pub(crate) says: &'static [&'static str],
    /// The durable consumers that it takes messages from.
    pub(crate) hears: &'static [Consumer],
    /// The buckets that it reads.
    pub(crate) watches: &'static [Bucket],
    /// Whether it hears stops as they are published.
    pub(crate) hears_stops: bool,
    /// Whether news wake it up: what they are about stands in the database.
    pub(crate) hears_news: bool,
    /// How many connections it has to the database.
    pub(crate) connections: u32,
}

/// A service that hears and says messages.
const fn service(
    says_as: &'static [&'static str; 1],
    hears: &'static [Consumer],
    says: &'static [&'static str],
) -> Service {
    Service {
        name: says_as[0],
        says_as,
        says,
        hears,
        watches: &[],
        hears_stops: false,
        hears_news: false,
        connections: 4,
    }
}

/// Where splits are and who serves them.
const WHERE_TRAFFIC_GOES: &[Bucket] = &[Bucket::Route, Bucket::Router, Bucket::Beat];

/// It tells whoever asks what routers serve, and says the words of those that follow it by HTTP.
pub const API: Service = Service {
    watches: WHERE_TRAFFIC_GOES,
    hears_news: true,
    ..service(
        &["api"],
        &[],
        &[
            "tg.cmd.*.*.model.register",
            "tg.cmd.*.*.version.register",
            "tg.cmd.*.*.version.promote",
            "tg.cmd.*.*.policy.save",
            "tg.cmd.*.*.evaluation.finished",
            "tg.cmd.*.*.rollout.*",
            "tg.in.*.*.version.promote",
            "tg.in.*.*.evaluation.finished",
            "tg.obs.>",
            "$KV.tg_router.>",
        ],
    )
};
/// Of registry-writer.
pub const REGISTRY_WRITER: Service = service(
    &["registry-writer"],
    consumers::REGISTRY_WRITER,
    &["tg.cmd.*.*.promotion.requested", "tg.news.*.*.version.*"],
);
/// It beats.
pub const STAGE_SCHEDULER: Service = Service {
    connections: 8,
    ..service(
        &["stage-scheduler"],
        consumers::STAGE_SCHEDULER,
        &[
            "tg.normal.*.*.analysis.run",
            "tg.normal.*.*.split.apply",
            "tg.normal.*.*.workload.start",
            "tg.urgent.*.*.split.apply",
            "tg.news.*.*.rollout.*",
            "$KV.tg_beat.beat",
        ],
    )
};
/// Of analyzer.
pub const ANALYZER: Service =
    service(&["analyzer"], consumers::ANALYZER, &["tg.normal.*.*.verdict.reached", "tg.urgent.*.*.verdict.reached"]);
/// It writes routes, reads back who serves them, and looks whether somebody beats.
pub const TRAFFIC_UPDATER: Service = Service {
    watches: WHERE_TRAFFIC_GOES,
    hears_stops: true,
    ..service(
        &["traffic-updater"],
        consumers::TRAFFIC_UPDATER,
        &[
            "tg.normal.*.*.split.applied",
            "tg.normal.*.*.split.failed",
            "tg.urgent.*.*.split.applied",
            "tg.urgent.*.*.split.failed",
            "tg.urgent.*.*.route.drifted",
            "tg.urgent.*.*.route.expired",
            "$KV.tg_route.>",
        ],
    )
};
/// Of deployer.
pub const DEPLOYER: Service =
    service(&["deployer"], consumers::DEPLOYER, &["tg.normal.*.*.workload.ready", "tg.urgent.*.*.workload.failed"]);
/// Of notifier.
pub const NOTIFIER: Service = service(&["notifier"], consumers::NOTIFIER, &[]);
/// It has no database: what it says is measured, and said by nobody else.
pub const ROUTER: Service = Service {
    says_as: &[],
    watches: WHERE_TRAFFIC_GOES,
    hears_stops: true,
    connections: 0,
    ..service(&["router"], &[], &["tg.obs.>", "$KV.tg_router.>"])
};
/// A person who has neither API nor database, and takes traffic back all the same.
pub const OPERATOR: Service = Service {
    says_as: &[],
    watches: WHERE_TRAFFIC_GOES,
    connections: 0,
    ..service(&["operator"], &[], &["tg.cmd.*.*.rollout.stop"])
};

/// Other systems of the tenant `default`: CI, a model registry.
pub const OUTSIDE: Service =
    Service { says_as: &[], connections: 0, ..service(&["outside-default"], &[], &["tg.in.default.>"]) };

/// Everybody who has a user of his own on a nats-server.
pub const ALL: &[&Service] = &[
    &API,
    &REGISTRY_WRITER,
    &STAGE_SCHEDULER,
    &ANALYZER,
    &TRAFFIC_UPDATER,
    &DEPLOYER,
    &NOTIFIER,
    &ROUTER,
    &OPERATOR,
    &OUTSIDE,
];

/// Every service that has a database.
pub const WITH_DATABASE: &[&Service] =
    &[&REGISTRY_WRITER, &STAGE_SCHEDULER, &ANALYZER, &TRAFFIC_UPDATER, &DEPLOYER, &NOTIFIER, &API];

impl Service {
    /// The buckets that it reads, and the stops that it hears, over a connection.
    #[must_use]
    pub fn values(&self, connection: &Connection, metrics: &Metrics) -> JetStream {
        JetStream::open(connection, (self.watches, self.hears_stops), metrics)
    }

    /// The streams that must be there: of what it says, and of the buckets that it reads.
    #[must_use]
    pub fn needs(&self) -> Vec<&'static str> {
        let said = self.says.iter().filter_map(|subject| Stream::of(subject));
        let watched = self.watches.iter().filter_map(|bucket| Stream::of_bucket(*bucket));
        said.chain(watched).map(|stream| stream.name).collect::<BTreeSet<_>>().into_iter().collect()
    }
}
