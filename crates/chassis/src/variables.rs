//! Every variable of the environment that one of our processes reads, in one table, which docs/OPERATIONS.md shows. A debug build
//! refuses to read one that is not in it.

/// A variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Who reads it, in words.
    pub of: &'static str,
    /// What it says, and what holds without it.
    pub meaning: &'static str,
}

const fn variable(name: &'static str, of: &'static str, meaning: &'static str) -> Variable {
    Variable { name, of, meaning }
}

const SERVICES: &str = "every service";
const JUDGING: &str = "`api`, `registry-writer`, `analyzer`, `tidegate up`";
const TELLING: &str = "`notifier`, `tidegate up`";

/// All of them.
pub const VARIABLES: &[Variable] = &[
    variable(
        "TIDEGATE_NATS_URL",
        "every service, `tidegate init`, `restore`, `doctor`, `rollback --direct`",
        "`nats://USER:PASSWORD@HOST:4222`, or `nats://TOKEN@HOST:4222`; the servers of a cluster separated by commas. User, password and token are percent-encoded",
    ),
    variable(
        "TIDEGATE_NATS_NKEY_FILE",
        "every service, `tidegate init`, `restore`, `doctor`, `rollback --direct`",
        "a file with the seed of an nkey, which others may not read, instead of user and password; default none",
    ),
    variable(
        "TIDEGATE_DATABASE_URL_FILE",
        "every service but `router`, `tidegate migrate`, `restore`, `doctor`",
        "a file with `postgres://USER:PASSWORD@HOST/DATABASE`, which others may not read",
    ),
    variable(
        "TIDEGATE_ADMIN",
        SERVICES,
        "the address of `/livez`, `/readyz` and `/metrics`, default 127.0.0.1:7090: on one machine each process needs its own",
    ),
    variable("TIDEGATE_LISTEN", "`api`", "the address of API and pages, default 127.0.0.1:7070"),
    variable(
        "TIDEGATE_ADMIN_KEY_FILE",
        "`api`, `tidegate up`",
        "a file with the key that API and pages want to see, of at least 32 characters; without one they serve this machine alone",
    ),
    variable("TIDEGATE_ROUTER", "`router`", "where it takes requests for models, default 127.0.0.1:7080"),
    variable(
        "TIDEGATE_ROUTER_LINGER",
        "`router`",
        "how long it takes new requests after it was told to end, with `/readyz` 503 already: as long as whoever stands in front of it needs to notice; default 0s, at most 60s",
    ),
    variable("TIDEGATE_ROUTER_NAME", "`router`", "its name among others, default `router`: each replica needs its own"),
    variable(
        "TIDEGATE_DATA",
        "`router`",
        "the folder of its routes, default `tidegate-data`: each replica needs its own",
    ),
    variable(
        "TIDEGATE_TRUSTED_PEERS",
        "`router`, `tidegate up`, `tidegate router`",
        "addresses and networks, separated by commas, that may name a version themselves; default none",
    ),
    variable("TIDEGATE_PROMETHEUS_URL", JUDGING, "the Prometheus that checks may ask; default none"),
    variable("TIDEGATE_PROMETHEUS_TENANT_LABEL", JUDGING, "the label that holds the tenant there; default none"),
    variable(
        "TIDEGATE_OUTBOUND_ALLOW",
        TELLING,
        "hosts that receivers may be on although they are not public; see Receivers",
    ),
    variable("TIDEGATE_SLACK_WEBHOOK_FILE", TELLING, "a file with the URL of an incoming webhook"),
    variable("TIDEGATE_SLACK_TOKEN_FILE", TELLING, "a file with the token of an app"),
    variable("TIDEGATE_SLACK_CHANNEL", TELLING, "the channel of the app"),
    variable("TIDEGATE_SLACK_URL", TELLING, "stands in for Slack in tests"),
    variable("TIDEGATE_PAGERDUTY_KEY_FILE", TELLING, "a file with the routing key"),
    variable("TIDEGATE_PAGERDUTY_URL", TELLING, "default `https://events.pagerduty.com`"),
    variable("TIDEGATE_WEBHOOK_URL", TELLING, "any receiver of CloudEvents"),
    variable("TIDEGATE_WEBHOOK_SECRET_FILE", TELLING, "a file with the secret that those are signed with"),
    variable(
        "TIDEGATE_URL",
        "`tidegate`, `router`",
        "the API that its commands ask, default `http://127.0.0.1:7070`; that a router asks while there is no nats-server (`http://host:port`), by default none: it waits for its lease",
    ),
    variable("TIDEGATE_KEY", "`tidegate`", "the key that they show"),
    variable("TIDEGATE_KEY_FILE", "`tidegate`, `router`", "a file with the key that they show to the API"),
    variable("TIDEGATE_LOG", "every service, `tidegate`", "what is logged, default `info`"),
    variable("TIDEGATE_LOG_FORMAT", "every service, `tidegate`", "`json` for machines"),
    variable("TIDEGATE_FAILPOINT", "every service, `tidegate`, debug builds only", "see [OBSERVING.md](OBSERVING.md)"),
    variable(
        "TIDEGATE_FAILPOINT_HITS",
        "every service, `tidegate`, debug builds only",
        "see [OBSERVING.md](OBSERVING.md)",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "every service, `tidegate`",
        "where traces go; so does `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`; see [OBSERVING.md](OBSERVING.md)",
    ),
];

/// Whether a variable is in the table.
pub(crate) fn is_known(name: &str) -> bool {
    VARIABLES.iter().any(|variable| variable.name == name)
}
