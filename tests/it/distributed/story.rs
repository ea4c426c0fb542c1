//! One rollout over processes of their own: as one trace, and as the messages that they said to each other.
//!
//! The messages are read from the streams. What depends on how quick the machine is, is left out: requests that were said again and
//! their answers, and evidence that decided nothing. Versions of the rollout are counted anew without those.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chassis::consumers;
use proto::{Event, Message, subject::fits};

use super::{Plant, judged_by, served};
use crate::observing::{Span, collector};
use crate::traffic;

/// The services that handle messages, and the letters that stand for them in a diagram.
const SPEAKERS: [(&str, char); 7] = [
    ("api", 'A'),
    ("registry-writer", 'W'),
    ("stage-scheduler", 'S'),
    ("deployer", 'D'),
    ("traffic-updater", 'U'),
    ("analyzer", 'J'),
    ("notifier", 'N'),
];

/// A message that somebody said.
struct Said {
    from: String,
    to: Vec<&'static str>,
    lane: String,
    message: Message,
    event: Event,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_rollout_is_one_trace_and_one_story_over_all_processes() {
    let (url, spans) = collector().await;
    let plant =
        Plant::of(1, &[("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "200")]).await;
    let _upstreams = served(&plant.house).await;
    let users = traffic::start(&plant.house, "reranker");
    let id = plant.house.promote("reranker", "2", &judged_by("error_rate")).await;
    assert_eq!(plant.house.ended(&id).await["stage"], "completed");
    plant.house.until("/v1/models/reranker", |model| model["active"] == "2").await;
    assert_eq!(users.stop().await, 0, "requests without a good answer");
    let said = said(&plant, &id).await;
    // What is in the streams was handled when everybody has ended well.
    plant.stop();
    is_one_trace(&spans.lock().unwrap(), &id);
    let story: Vec<_> = told(said, &id);
    insta::assert_snapshot!(story.iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>().join("\n"));
    let mut drawn = Vec::new();
    for arrow in story.iter().flat_map(|(_, arrows)| arrows) {
        if !drawn.contains(arrow) {
            drawn.push(arrow.clone());
        }
    }
    let drawn = drawn.iter().map(|arrow| format!("    {arrow}\n")).collect::<String>();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/ARCHITECTURE.md");
    assert!(
        std::fs::read_to_string(docs).unwrap().contains(&drawn),
        "docs/ARCHITECTURE.md draws something else:\n{drawn}"
    );
}

/// Whatever any process did for the rollout is one tree: each span has a parent in it, or is the first of what a process did for a
/// deadline or a request, which nobody said.
fn is_one_trace(spans: &[Span], id: &str) {
    let of_rollout: Vec<_> =
        spans.iter().filter(|span| span.attributes.get("rollout.id").is_some_and(|of| of == id)).collect();
    let traces: BTreeSet<_> = of_rollout.iter().map(|span| &span.trace).collect();
    assert_eq!(traces.len(), 1, "{of_rollout:#?}");
    let services: BTreeSet<_> = of_rollout.iter().map(|span| span.attributes["service"].as_str()).collect();
    let expected: BTreeSet<_> = SPEAKERS.iter().map(|(service, _)| *service).collect();
    assert_eq!(services, expected);
    let known: BTreeSet<_> = of_rollout.iter().map(|span| span.id.as_slice()).collect();
    for span in &of_rollout {
        let is_first = ["version.promote", "deadline_passed"].contains(&span.attributes["fact.kind"].as_str());
        assert!(is_first || known.contains(span.parent.as_slice()), "nothing led to {span:?}");
    }
}

/// Everything that was said about the rollout, as it stands in the streams.
async fn said(plant: &Plant, id: &str) -> Vec<Said> {
    let (jetstream, mut said) = (plant.nats.jetstream().await, Vec::new());
    for name in ["TG_CMD", "TG_LOOP", "TG_NEWS"] {
        let stream = jetstream.get_stream(name).await.unwrap();
        let state = stream.cached_info().state.clone();
        for sequence in state.first_sequence..=state.last_sequence {
            let raw = stream.get_raw_message(sequence).await.unwrap();
            let event = Event::structured(&raw.payload).unwrap();
            let message = Message::read(&raw.subject, event.clone()).unwrap();
            let begins = matches!(&message, Message::VersionPromote(asked) if asked.version.as_str() == "2");
            if begins || event.rollout_id.as_deref() == Some(id) {
                let takes = |service: &&(&str, char)| hears(service.0, &raw.subject);
                said.push(Said {
                    from: event.source.strip_prefix("/tidegate/").unwrap().to_owned(),
                    to: SPEAKERS.iter().filter(takes).map(|(service, _)| *service).collect(),
                    lane: raw.subject.split('.').nth(1).unwrap().to_owned(),
                    message,
                    event,
                });
            }
        }
    }
    said
}

/// Whether a consumer of the service takes the subject.
fn hears(service: &str, subject: &str) -> bool {
    let of = match service {
        "registry-writer" => consumers::REGISTRY_WRITER,
        "stage-scheduler" => consumers::STAGE_SCHEDULER,
        "deployer" => consumers::DEPLOYER,
        "traffic-updater" => consumers::TRAFFIC_UPDATER,
        "analyzer" => consumers::ANALYZER,
        "notifier" => consumers::NOTIFIER,
        _ => &[],
    };
    of.iter().flat_map(|consumer| consumer.filters).any(|filter| fits(filter, subject))
}

impl Said {
    /// The version of the rollout that it comes from, and whether it answers what came from that.
    fn place(&self, id: &str) -> (i64, bool, String) {
        let after = self.event.id.split_once(&format!("{id}.")).map(|(front, rest)| (!front.is_empty(), rest));
        match after {
            None => (-1, false, String::new()),
            Some((_, "0")) if self.from == "registry-writer" => (0, false, String::new()),
            Some((answers, rest)) => (rest.split('.').next().unwrap().parse().unwrap(), answers, rest.to_owned()),
        }
    }

    fn attempt(&self) -> Option<i64> {
        self.event.attempt
    }

    fn generation(&self) -> Option<i64> {
        self.event.data.get("generation").and_then(serde_json::Value::as_i64)
    }

    /// What it says beside its name; none when it decided nothing.
    fn detail(&self) -> Option<String> {
        match &self.message {
            Message::RolloutMoved(moved) if moved.from == Some(moved.to) => None,
            Message::RolloutMoved(moved) => {
                let from = moved.from.map_or("nothing", |stage| stage.name());
                Some(format!("{from} → {}", moved.to.name()))
            }
            Message::VerdictReached(_) => {
                let action = self.event.data["verdict"]["action"].as_str()?;
                (action == "advance").then(|| action.to_owned())
            }
            Message::RolloutWaiting(_) => None,
            _ => Some(String::new()),
        }
    }
}

/// The story: each line, and the arrows that draw it.
fn told(mut said: Vec<Said>, id: &str) -> Vec<(String, Vec<String>)> {
    said.retain(|said| said.detail().is_some());
    said.sort_by_cached_key(|said| (said.place(id), said.message.name()));
    let mut heard = BTreeSet::new();
    said.retain(|said| heard.insert((said.message.name(), said.attempt(), said.generation(), said.detail())));
    let versions: BTreeSet<_> = said.iter().map(|said| said.place(id).0).collect();
    let anew: BTreeMap<_, _> = versions.into_iter().filter(|version| *version > 0).zip(1..).collect();
    said.iter().map(|said| (line(said, id, &anew), arrows(said))).collect()
}

fn line(said: &Said, id: &str, anew: &BTreeMap<i64, i32>) -> String {
    let version = said.place(id).0;
    let name = match anew.get(&version) {
        Some(number) => said.event.id.replace(&format!("{id}.{version}."), &format!("R.{number}.")),
        None if version == 0 => said.event.id.replace(id, "R"),
        None => "cmd.<ulid>".to_owned(),
    };
    let number = |what: &str, number: Option<i64>| number.map(|number| format!(" {what} {number}")).unwrap_or_default();
    let about = format!("{}{}", number("attempt", said.attempt()), number("generation", said.generation()));
    let detail = said.detail().filter(|detail| !detail.is_empty()).map(|detail| format!(" {detail}"));
    let line = format!(
        "{:<15} → {:<25} {:<6} {:<19} {:<13}{about}{}",
        said.from,
        said.to.join(", "),
        said.lane,
        said.message.name(),
        name,
        detail.unwrap_or_default()
    );
    line.trim_end().to_owned()
}

fn arrows(said: &Said) -> Vec<String> {
    let letter = |name: &str| SPEAKERS.iter().find(|(service, _)| *service == name).unwrap().1;
    let detail = said.detail().filter(|detail| !detail.is_empty()).map(|detail| format!(" {detail}"));
    let what = format!("{}{}", said.message.name(), detail.unwrap_or_default());
    said.to.iter().map(|to| format!("{}->>{}: {what}", letter(&said.from), letter(to))).collect()
}
