//! `tidegate doctor`: whether everything is as it should be, and what to do about what is not.
//!
//! It looks at what it is told of: the nats-server and the database of the distributed form where they are named, and the API.

use chassis::doctor::{Finding, Grade, clocks, examine_database};
use chassis::{Secret, examine_bus};

use crate::arguments::{DoctorArguments, Output};
use crate::client::Client;
use crate::exit::Exit;
use crate::screen::{Screen, Tone, WIDTH};
use crate::words::{plain, wrapped};

mod monitor;

/// Where the words of a line begin, behind its grade and its subject.
const INDENT: usize = 19;

pub(crate) async fn run(client: &Client, screen: Screen, asked: &DoctorArguments) -> anyhow::Result<Exit> {
    let (mut findings, mut ahead) = (Vec::new(), Vec::new());
    if let Some(url) = &asked.nats {
        match asked.nkey.at(url) {
            Ok(url) => {
                let (of_bus, clock) = examine_bus(&url).await;
                findings.extend(of_bus);
                ahead.extend(clock);
            }
            Err(why) => findings.push(Finding::fail("nats-server", format!("{why:#}"), "mend it")),
        }
        findings.push(monitor::sync(asked.nats_monitor.as_deref()).await);
    }
    if let Some(file) = &asked.database_file {
        match Secret::read(file) {
            Ok(url) => {
                let (of_database, clock) = examine_database(url.expose()).await;
                findings.extend(of_database);
                ahead.extend(clock);
            }
            Err(why) => findings.push(Finding::fail("database", format!("{}: {why}", file.display()), "mend the file")),
        }
    }
    findings.extend(clocks(&ahead));
    findings.extend(unnamed(asked));
    api(client, asked, &mut findings).await;
    let worst = findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Ok);
    match asked.shown.output {
        Output::Json => screen.json(&findings)?,
        Output::Table => findings.iter().try_for_each(|finding| screen.line(line(screen, finding)))?,
    }
    Ok(if worst == Grade::Fail { Exit::Failed } else { Exit::Done })
}

/// What the distributed form has and nobody named.
fn unnamed(asked: &DoctorArguments) -> Option<Finding> {
    let (of, variable) = match (&asked.nats, &asked.database_file) {
        (Some(_), None) => ("database", "TIDEGATE_DATABASE_URL_FILE"),
        (None, Some(_)) => ("nats-server", "TIDEGATE_NATS_URL"),
        _ => return None,
    };
    Some(Finding::warn(of, "was not looked at: nobody says where it is", format!("set {variable}")))
}

async fn api(client: &Client, asked: &DoctorArguments, findings: &mut Vec<Finding>) {
    let is_embedded = asked.nats.is_none() && asked.database_file.is_none();
    match client.readiness().await {
        Ok(()) => findings.push(Finding::ok("api", format!("{} is ready", client.base()))),
        Err(error) if error.status().is_some() => {
            findings.push(Finding::fail("api", format!("{} is not ready", client.base()), "its log says why"));
            return;
        }
        Err(error) => {
            let finding = Finding::warn("api", error.to_string(), "start it, or say where it is: TIDEGATE_URL");
            let grade = if is_embedded { Grade::Fail } else { Grade::Warn };
            findings.push(Finding { grade, ..finding });
            return;
        }
    }
    if is_embedded {
        findings.push(routers(client).await);
    }
    findings.push(parked(client).await);
}

async fn routers(client: &Client) -> Finding {
    let routers = match client.routers().await {
        Ok(routers) => routers,
        Err(error) => return Finding::fail("routers", error.to_string(), "is TIDEGATE_KEY the right key?"),
    };
    let of = |state: &str| {
        let names = routers.iter().filter(|router| router.state == state);
        names.map(|router| router.name.to_string()).collect::<Vec<_>>().join(", ")
    };
    let (live, vanished) = (of("live"), of("vanished"));
    if !vanished.is_empty() {
        let remedy = "start it again: a retreat waits for it until its lease is over";
        Finding::warn("routers", format!("no word from {vanished}"), remedy)
    } else if live.is_empty() {
        Finding::fail("routers", "none is there", "start one: without it no split is applied")
    } else {
        Finding::ok("routers", format!("live: {live}"))
    }
}

async fn parked(client: &Client) -> Finding {
    match client.parked().await {
        Ok(parked) if parked.is_empty() => Finding::ok("parked", "nothing: every message was handled"),
        Ok(parked) => {
            let found = format!("{} messages could not be handled", parked.len());
            Finding::warn("parked", found, "`tidegate parked` says why")
        }
        Err(error) => Finding::fail("parked", error.to_string(), "is TIDEGATE_KEY the right key?"),
    }
}

fn line(screen: Screen, finding: &Finding) -> String {
    let (word, tone) = match finding.grade {
        Grade::Ok => ("ok", Tone::Good),
        Grade::Warn => ("warn", Tone::Careful),
        Grade::Fail => ("FAIL", Tone::Bad),
    };
    let text = |words: &str| wrapped(&format!("{}{}", " ".repeat(INDENT), plain(words)), WIDTH.into(), INDENT);
    let found = text(&finding.found);
    let first = format!("{}{:<13}{}", screen.paint(tone, &format!("{word:<6}")), finding.of, found.trim_start());
    let remedy = finding.remedy.as_ref().map(|remedy| format!("\n{}", text(&format!("→ {remedy}"))));
    first + &remedy.unwrap_or_default()
}
