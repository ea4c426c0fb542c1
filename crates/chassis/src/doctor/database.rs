//! How it stands with the database.

use std::error::Error as _;

use rollout::At;
use store::{Error, Examined, Store};

use super::{Ahead, Finding, here, seconds};
use crate::services;

/// The oldest release of the server.
const OLDEST: i64 = 15;
/// Connections of pages and metrics, besides those that a service has.
const OF_PAGES: u32 = 4;
/// A message that nobody has published for longer waits for something.
const WAITS_MS: i64 = 60_000;

/// Looks at the database at `url`; its clock, if there is one.
pub async fn examine_database(url: &str) -> (Vec<Finding>, Option<Ahead>) {
    let asked = here();
    match Store::examine(url).await {
        Ok(examined) => {
            let answered = here();
            // Connecting takes longer than the last question, which is for the time.
            let ahead = Ahead::between("database", (asked.max(answered.plus_ms(-100)), answered), examined.now);
            (findings(&examined), Some(ahead))
        }
        Err(error) => (vec![out_of_reach(&error)], None),
    }
}

fn out_of_reach(error: &Error) -> Finding {
    let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Finding::fail("database", why, "start PostgreSQL, or mend the address in TIDEGATE_DATABASE_URL_FILE")
}

fn findings(examined: &Examined) -> Vec<Finding> {
    let mut findings = vec![server(examined), schema(&examined.schema)];
    findings.extend(settings(examined));
    findings.push(connections(examined));
    findings.push(roles(examined));
    findings.extend(outbox(&examined.waiting, examined.now));
    findings
}

fn number(examined: &Examined, name: &str) -> i64 {
    examined.settings.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn server(examined: &Examined) -> Finding {
    let (version, place) = (number(examined, "server_version_num") / 10_000, &examined.place);
    let found = format!("PostgreSQL {version}, {place}");
    if version < OLDEST {
        Finding::fail("database", found, format!("upgrade it to PostgreSQL {OLDEST} or newer"))
    } else if examined.is_standby {
        Finding::fail("database", format!("{found}, is a standby and takes no writes"), "name the primary server")
    } else {
        Finding::ok("database", found)
    }
}

fn schema(schema: &Result<(), Error>) -> Finding {
    match schema {
        Ok(()) => Finding::ok("schema", "is that of this release"),
        Err(Error::Older { found: 0, .. }) => Finding::fail("schema", "there is none", "run `tidegate migrate`"),
        Err(Error::Older { found, known, .. }) => Finding::fail(
            "schema",
            format!("is number {found}, and this release needs {known}"),
            "run `tidegate migrate`, then start the services of this release",
        ),
        Err(Error::Newer { found, known, .. }) => Finding::fail(
            "schema",
            format!("is number {found}, and this release knows {known}"),
            "start the services of the newer release",
        ),
        Err(error) => Finding::fail("schema", error.to_string(), "compare it with a backup"),
    }
}

/// What would make the server forget what it said was written.
fn settings(examined: &Examined) -> Vec<Finding> {
    let forgets = [
        ("fsync", "a crash of the machine may destroy the whole database"),
        ("full_page_writes", "a crash of the machine may destroy pages of the database"),
        ("synchronous_commit", "a crash may take what was committed, although services act on it"),
    ];
    let off = |(name, why): &(&'static str, &'static str)| {
        let value = examined.settings.get(*name).filter(|value| *value == "off")?;
        let remedy = format!("`alter system set {name} = on`, then `select pg_reload_conf()`");
        Some(Finding::fail("settings", format!("{name} = {value}: {why}"), remedy))
    };
    let off: Vec<_> = forgets.iter().filter_map(off).collect();
    if off.is_empty() { vec![Finding::ok("settings", "what is committed survives a crash")] } else { off }
}

fn connections(examined: &Examined) -> Finding {
    let of = |service: &&services::Service| i64::from(service.connections + OF_PAGES);
    let needed: i64 = services::WITH_DATABASE.iter().map(of).sum();
    let there = number(examined, "max_connections") - number(examined, "superuser_reserved_connections");
    let found = format!("room for {there}; one replica of each service has up to {needed}");
    if there < needed {
        Finding::warn("connections", found, format!("set `max_connections` to {} or more", needed + 10))
    } else {
        Finding::ok("connections", found)
    }
}

fn roles(examined: &Examined) -> Finding {
    let role = |service: &&services::Service| format!("tidegate_{}", service.name.replace('-', "_"));
    let all: Vec<_> = services::WITH_DATABASE.iter().map(role).collect();
    let missing: Vec<_> =
        all.iter().filter(|role| !examined.roles.contains_key(*role)).map(std::string::String::as_str).collect();
    if !missing.is_empty() {
        return Finding::warn("roles", format!("there is no {}", missing.join(", ")), "run `tidegate migrate`");
    }
    let count = all.iter().filter(|role| examined.roles.get(*role) == Some(&true)).count();
    Finding::ok("roles", format!("{} are there, {count} of which can log in", all.len()))
}

fn outbox(waiting: &[(String, i64, At)], now: At) -> Vec<Finding> {
    let late = waiting.iter().filter(|(_, _, oldest)| now.ms_since(*oldest) > WAITS_MS);
    let late: Vec<_> = late
        .map(|(service, count, oldest)| {
            let found = format!("{count} of {service} wait, the oldest for {:.0} s", seconds(now.ms_since(*oldest)));
            Finding::warn("outbox", found, format!("start {service}; if it runs, its log says what it waits for"))
        })
        .collect();
    if late.is_empty() { vec![Finding::ok("outbox", "every message was published")] } else { late }
}
