//! What each service needs as a process of its own: of a nats-server, and of a database. Its consumers are in `consumers`.

use crate::bus::Bucket;
use crate::bus::jet_stream::{Connection, JetStream};
use crate::metrics::Metrics;

/// A service as a process of its own.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Its name: that of its binary.
    pub name: &'static str,
    /// The services whose messages it says: itself, and none without a database.
    pub(crate) says_as: &'static [&'static str],
    /// The streams that take what it says.
    streams: &'static [&'static str],
    /// The buckets that it reads.
    watches: &'static [Bucket],
    /// Whether it hears stops as they are published.
    hears_stops: bool,
    /// How many connections it has to the database.
    pub(crate) connections: u32,
}

/// A service that hears and says messages.
const fn service(says_as: &'static [&'static str; 1], streams: &'static [&'static str]) -> Service {
    Service { name: says_as[0], says_as, streams, watches: &[], hears_stops: false, connections: 4 }
}

/// It tells whoever asks what routers serve, and takes the words of those that follow it by HTTP.
pub const API: Service = Service {
    watches: &[Bucket::Route, Bucket::Router, Bucket::Beat],
    ..service(&["api"], &["TG_CMD", "TG_IN", "TG_OBS"])
};
/// Of registry-writer.
pub const REGISTRY_WRITER: Service = service(&["registry-writer"], &["TG_CMD", "TG_NEWS"]);
/// It beats.
pub const STAGE_SCHEDULER: Service =
    Service { connections: 8, ..service(&["stage-scheduler"], &["TG_LOOP", "TG_NEWS", "KV_tg_beat"]) };
/// Of analyzer.
pub const ANALYZER: Service = service(&["analyzer"], &["TG_LOOP"]);
/// It writes routes, reads back who serves them, and looks whether somebody beats.
pub const TRAFFIC_UPDATER: Service = Service {
    watches: &[Bucket::Route, Bucket::Router, Bucket::Beat],
    hears_stops: true,
    ..service(&["traffic-updater"], &["TG_LOOP"])
};
/// Of deployer.
pub const DEPLOYER: Service = service(&["deployer"], &["TG_LOOP"]);
/// Of notifier.
pub const NOTIFIER: Service = service(&["notifier"], &[]);
/// It has no database: what it says is measured, and said by nobody else.
pub const ROUTER: Service = Service {
    says_as: &[],
    watches: &[Bucket::Route, Bucket::Router, Bucket::Beat],
    hears_stops: true,
    connections: 0,
    ..service(&["router"], &["TG_OBS"])
};

/// Every service that has a database.
pub const WITH_DATABASE: &[&Service] =
    &[&REGISTRY_WRITER, &STAGE_SCHEDULER, &ANALYZER, &TRAFFIC_UPDATER, &DEPLOYER, &NOTIFIER, &API];

impl Service {
    /// The buckets that it reads, and the stops that it hears, over a connection.
    #[must_use]
    pub fn values(&self, connection: &Connection, metrics: &Metrics) -> JetStream {
        JetStream::open(connection, (self.watches, self.hears_stops), metrics)
    }

    /// The streams that must be there, those of buckets included.
    #[must_use]
    pub fn needs(&self) -> Vec<&'static str> {
        let of_bucket = |bucket: &Bucket| match bucket {
            Bucket::Route => "KV_tg_route",
            Bucket::Router => "KV_tg_router",
            Bucket::Beat => "KV_tg_beat",
        };
        self.streams.iter().copied().chain(self.watches.iter().map(of_bucket)).collect()
    }
}
