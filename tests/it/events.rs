//! Server-sent events: in the order of the log, without loss over breaks and kills, and bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{House, LIMIT, Upstream};

/// One event as it was sent.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    id: String,
    fact: Value,
}

impl Sent {
    fn version(&self) -> i64 {
        self.fact["version"].as_i64().unwrap()
    }

    fn is_of(&self, rollout: &str) -> bool {
        self.fact["rollout_id"] == json!(rollout)
    }
}

/// An open stream.
struct Stream {
    answer: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(house: &House, query: &str, last: Option<&str>) -> Self {
        Self::try_open(house, query, last).await.unwrap_or_else(|(status, problem)| panic!("{status} {problem}"))
    }

    async fn try_open(house: &House, query: &str, last: Option<&str>) -> Result<Self, (u16, Value)> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(format!("{}/v1/events{query}", house.api));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        if status != 200 {
            return Err((status, answer.json().await.unwrap()));
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Ok(Self { answer, text: String::new() })
    }

    /// The next event; none at the end of the stream, however it came.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                    assert_eq!(field("event: ").as_deref(), Some("rollout.moved"));
                    return Some(Sent { id, fact: serde_json::from_str(&data).unwrap() });
                }
            }
            let chunk = tokio::time::timeout(LIMIT, self.answer.chunk()).await.expect("waited too long for an event");
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// Reads until the rollout is in `stage`, and gives what came.
    async fn until(&mut self, rollout: &str, stage: &str) -> Vec<Sent> {
        let mut sent = Vec::new();
        loop {
            let next = self.next().await.expect("the stream ended");
            let is_there = next.is_of(rollout) && next.fact["to"] == json!(stage);
            sent.push(next);
            if is_there {
                return sent;
            }
        }
    }
}

/// Versions of one rollout, each once, in the order in which they first came.
fn versions(sent: &[Sent], rollout: &str) -> Vec<i64> {
    let mut seen: Vec<i64> = Vec::new();
    for version in sent.iter().filter(|sent| sent.is_of(rollout)).map(Sent::version) {
        if !seen.contains(&version) {
            seen.push(version);
        }
    }
    seen
}

/// What the history says, by version: stage before and after, and who moved it.
async fn logged(house: &House, id: &str) -> BTreeMap<i64, [Value; 3]> {
    let (_, history) = house.get(&format!("/v1/rollouts/{id}/history")).await;
    let moves = history["items"].as_array().unwrap().iter().filter(|entry| entry["entry"] == "transition");
    moves.map(|entry| (entry["version"].as_i64().unwrap(), of(entry))).collect()
}

fn of(entry: &Value) -> [Value; 3] {
    ["from", "to", "actor"].map(|field| entry[field].clone())
}

/// Two servers, the first one active, and a plan whose steps wait for a word.
async fn stepwise(house: &House) -> String {
    let (one, two) = (Upstream::start("1").await, Upstream::start("2").await);
    house.serves("reranker", "1", &one.url).await;
    house.version("reranker", "2", &two.url).await;
    let steps = json!({"name": "stepwise", "steps": [
        {"split": 5, "dwell": "10m"}, {"split": 50, "dwell": "10m"}, {"split": 100, "dwell": "0s"}]});
    house.promote("reranker", "2", &json!({ "policy": steps })).await
}

async fn advance(house: &House, id: &str, step: u32) {
    let path = format!("/v1/rollouts/{id}");
    house.until(&path, |rollout| rollout["stage"] == "observing" && rollout["step"] == step).await;
    let (status, said) = house.post(&format!("{path}/advance"), &json!({})).await;
    assert_eq!(status, 200, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_the_log_in_its_order() {
    let house = House::start();
    let mut stream = Stream::open(&house, "", None).await;
    let id = stepwise(&house).await;
    advance(&house, &id, 0).await;
    advance(&house, &id, 1).await;
    let sent = stream.until(&id, "completed").await;
    let log = logged(&house, &id).await;
    let mine: Vec<_> = sent.iter().filter(|sent| sent.is_of(&id)).collect();
    assert_eq!(mine.iter().map(|sent| sent.version()).collect::<Vec<_>>(), log.keys().copied().collect::<Vec<_>>());
    for sent in mine {
        assert_eq!(of(&sent.fact), log[&sent.version()], "{sent:?}");
        assert_eq!((&sent.fact["candidate"], &sent.fact["model"]), (&json!("2"), &json!("reranker")));
        assert!(sent.id.ends_with(&format!(".{id}.{}", sent.version())), "{}", sent.id);
    }
    assert!(sent.iter().any(|sent| !sent.is_of(&id)), "the activation of the first version is there too");

    // One rollout alone, by its model; and a tenant that has none.
    let mut alone = Stream::open(&house, "?rollout=reranker", None).await;
    let last = Stream::open(&house, "", Some(&sent[0].id)).await.next().await.unwrap();
    assert_eq!(last, sent[0], "a resume goes back a little");
    assert!(alone.until(&id, "completed").await.iter().all(|sent| sent.is_of(&id)));
    let (status, problem) = Stream::try_open(&house, "?rollout=nobody", None).await.err().unwrap();
    assert!(status == 404 && problem["detail"].as_str().unwrap().contains("nobody"), "{problem}");
    let (status, problem) = Stream::try_open(&house, "?tenant=a%20b", None).await.err().unwrap();
    assert_eq!((status, &problem["field"]), (422, &json!("tenant")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_anywhere_is_resumed_without_loss() {
    let house = House::start();
    let mut first = Stream::open(&house, "", None).await;
    let id = stepwise(&house).await;
    let mut sent = first.until(&id, "observing").await;
    drop(first);
    advance(&house, &id, 0).await;
    advance(&house, &id, 1).await;
    house.ended(&id).await;
    let whole: Vec<i64> = logged(&house, &id).await.keys().copied().collect();
    let mut second = Stream::open(&house, "", Some(&sent.last().unwrap().id)).await;
    sent.extend(second.until(&id, "completed").await);
    assert_eq!(versions(&sent, &id), whole);
    for from in sent.iter().filter(|sent| sent.is_of(&id)) {
        let rest = Stream::open(&house, "", Some(&from.id)).await.until(&id, "completed").await;
        let missing: Vec<_> =
            whole.iter().filter(|at| **at > from.version() && !versions(&rest, &id).contains(at)).collect();
        assert!(missing.is_empty(), "after {} these are missing: {missing:?}", from.id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_after_a_kill_where_it_was() {
    let house = House::start();
    let mut stream = Stream::open(&house, "", None).await;
    let id = stepwise(&house).await;
    let mut sent = stream.until(&id, "observing").await;
    let house = house.killed_and_started();
    while let Some(next) = stream.next().await {
        sent.push(next);
    }
    let mut stream = Stream::open(&house, "", Some(&sent.last().unwrap().id)).await;
    let (status, said) = house.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await;
    assert!(matches!(status, 200 | 202), "{said}");
    sent.extend(stream.until(&id, "rolled_back").await);
    assert_eq!(versions(&sent, &id), logged(&house, &id).await.into_keys().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_from_nonsense_is_refused_and_names_the_header() {
    let house = House::start();
    let nonsense = ["", "soon", "1", "1.2.3", "-1.rzzzzzzzzzzzzzzzzzzzzzzzzz.1", "1.rzzzzzzzzzzzzzzzzzzzzzzzzz.0"];
    for last in nonsense.into_iter().chain(["99999999999999999999.rzzzzzzzzzzzzzzzzzzzzzzzzz.1"]) {
        let (status, problem) =
            Stream::try_open(&house, "", Some(last)).await.err().unwrap_or_else(|| panic!("{last}"));
        assert_eq!((status, &problem["field"]), (400, &json!("Last-Event-ID")), "{last}");
        assert!(problem["detail"].as_str().unwrap().contains("Last-Event-ID"), "{problem}");
    }
    // A place that is well formed but in the future begins now.
    drop(Stream::open(&house, "", Some("9000000000000000.raaaaaaaaaaaaaaaaaaaaaaaaa.1")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_twenty_first_stream_is_refused_and_open_ones_do_not_hold_up_a_stop() {
    let house = House::start();
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(Stream::open(&house, "", None).await);
    }
    let (status, problem) = Stream::try_open(&house, "", None).await.err().unwrap();
    assert_eq!(status, 429);
    assert!(problem["detail"].as_str().unwrap().starts_with("20 event streams"), "{problem}");
    open.pop();
    let since = std::time::Instant::now();
    while let Err((status, problem)) = Stream::try_open(&house, "", None).await {
        assert!(status == 429 && since.elapsed() < LIMIT, "{status} {problem}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _folder = house.stop();
    for stream in &mut open {
        assert_eq!(stream.next().await, None);
    }
}
