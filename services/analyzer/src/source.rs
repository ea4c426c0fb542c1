//! Asking a source without waiting for it. A tick asks in the background and waits a moment; an answer that comes later belongs to
//! the tick in which it comes, and the next question covers what was missed. So a source that is slow or hangs delays nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use judge::query::Part;
use judge::query::template::{escaped, literal};
use judge::{Arm, Reply, Scraped, SignalName, Trouble};
use prometheus_http_query::response::Data;
use rollout::{At, RolloutId};
use tokio::task::JoinHandle;

use crate::prometheus::{Failed, Prometheus};
use crate::questions::{Question, Questions};

mod series;

/// A tick waits so long for an answer, unless the source has just failed.
const MOMENT: Duration = Duration::from_millis(500);
/// Most samples of one query.
const SAMPLES_MAX: usize = 10_000;
/// Targets whose start is asked for at once; others only set where their counts begin.
const STARTS_MAX: usize = 32;

/// A source, and what it was asked.
pub(crate) struct Source {
    prometheus: Arc<Prometheus>,
    running: Mutex<HashMap<RolloutId, JoinHandle<Gathered>>>,
    /// Whether it answered when it was last asked.
    is_well: AtomicBool,
}

/// What came of the questions of one tick.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) until: At,
    pub(crate) replies: Vec<Reply>,
    pub(crate) numbers: Vec<(SignalName, Arm, f64)>,
    pub(crate) troubles: BTreeMap<SignalName, Failed>,
}

/// The answer to one question.
enum Answer {
    Reply(Reply),
    Number(SignalName, Arm, Option<f64>),
}

impl Source {
    pub(crate) fn new(prometheus: Prometheus) -> Self {
        Self { prometheus: Arc::new(prometheus), running: Mutex::default(), is_well: AtomicBool::new(true) }
    }

    pub(crate) fn tenant_label(&self) -> Option<&str> {
        self.prometheus.tenant_label()
    }

    /// Asks, unless it is being asked for this rollout already, and gives what has come; none if nothing has yet.
    pub(crate) async fn hear(&self, rollout: &RolloutId, questions: Questions) -> Option<Gathered> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(rollout);
        let mut running = running.unwrap_or_else(|| {
            let prometheus = Arc::clone(&self.prometheus);
            tokio::spawn(async move { gather(&prometheus, &questions).await })
        });
        let moment = if self.is_well.load(Ordering::Relaxed) { MOMENT } else { Duration::ZERO };
        let Ok(ended) = tokio::time::timeout(moment, &mut running).await else {
            self.is_well.store(false, Ordering::Relaxed);
            self.keep(rollout, running);
            return None;
        };
        let gathered = ended.ok()?;
        let has_failed = gathered.troubles.values().any(|failed| failed.trouble == Trouble::SourceFailed);
        self.is_well.store(!has_failed, Ordering::Relaxed);
        Some(gathered)
    }

    /// Asks about the past, without a place in the line of ticks: each scrape, or, where those are too many, one a minute.
    pub(crate) async fn look_back(&self, questions: &Questions) -> Gathered {
        let gathered = gather(&self.prometheus, questions).await;
        if !gathered.troubles.values().any(|failed| failed.trouble == Trouble::TooManySamples) {
            return gathered;
        }
        gather(&self.prometheus, &Questions { every: Some(60), ..questions.clone() }).await
    }

    /// Keeps what is under way for the next tick; what ended and was not asked for again belonged to a rollout that is over.
    fn keep(&self, rollout: &RolloutId, task: JoinHandle<Gathered>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.len() > 1_000 {
            running.retain(|_, task| !task.is_finished());
        }
        running.insert(rollout.clone(), task);
    }
}

async fn gather(prometheus: &Prometheus, questions: &Questions) -> Gathered {
    let answers = join_all(questions.asked.iter().map(|question| answer(prometheus, questions, question))).await;
    let mut gathered = Gathered { until: questions.until, ..Gathered::default() };
    for (question, answer) in questions.asked.iter().zip(answers) {
        match answer {
            Ok(Answer::Reply(reply)) => gathered.replies.push(reply),
            Ok(Answer::Number(signal, arm, number)) => {
                gathered.numbers.extend(number.map(|value| (signal, arm, value)));
            }
            Err(failed) => _ = gathered.troubles.insert(question.signal.clone(), failed),
        }
    }
    // One arm alone would be compared with another time of the other one.
    let Gathered { troubles, replies, numbers, .. } = &mut gathered;
    replies.retain(|reply| !troubles.contains_key(&reply.signal));
    numbers.retain(|(signal, ..)| !troubles.contains_key(signal));
    gathered
}

async fn answer(prometheus: &Prometheus, questions: &Questions, question: &Question) -> Result<Answer, Failed> {
    let mut series: Vec<Scraped> = Vec::new();
    for (part, text) in &question.parts {
        let text = text.as_ref().map_err(|why| Failed::refused(format!("was not asked: {why}")))?;
        if *part == Part::Value {
            let data = prometheus.ask(text, questions.until).await?;
            return Ok(Answer::Number(question.signal.clone(), question.arm, one_number(data)?));
        }
        let seconds = questions.until.ms_since(questions.since).max(0) / 1_000 + 1;
        let every = questions.every.map(|every| format!(":{every}s")).unwrap_or_default();
        let data = prometheus.ask(&format!("{text}[{seconds}s{every}]"), questions.until).await?;
        let Data::Matrix(found) = data else { return Err(Failed::source("answered with no samples of series")) };
        if found.iter().map(|series| series.samples().len()).sum::<usize>() > SAMPLES_MAX {
            let why = format!("has more than {SAMPLES_MAX} samples for a query: select less");
            return Err(Failed { trouble: Trouble::TooManySamples, why });
        }
        series.extend(found.into_iter().map(|found| series::scraped(*part, found)));
    }
    let started = started(prometheus, questions, question, &series).await?;
    Ok(Answer::Reply(Reply { signal: question.signal.clone(), arm: question.arm, series, started }))
}

/// The one number of an answer; none if it is empty.
fn one_number(data: Data) -> Result<Option<f64>, Failed> {
    let value = match data {
        Data::Scalar(sample) => sample.value(),
        Data::Vector(found) => match found.as_slice() {
            [] => return Ok(None),
            [one] => one.sample().value(),
            several => {
                let why = format!("gave {} series where one number is expected", several.len());
                return Err(Failed { trouble: Trouble::SeveralSeries, why });
            }
        },
        Data::Matrix(_) => return Err(Failed::source("answered with samples where one number is expected")),
    };
    if value.is_finite() {
        return Ok(Some(value));
    }
    Err(Failed { trouble: Trouble::NotANumber, why: format!("gave {value}, which is no number") })
}

/// When targets started that are seen for the first time: one that started in this step has nothing from before it.
async fn started(
    prometheus: &Prometheus,
    questions: &Questions,
    question: &Question,
    series: &[Scraped],
) -> Result<BTreeMap<String, i64>, Failed> {
    let is_new = |target: &str| !questions.scrapes.knows(&question.signal, question.arm, target);
    let mut instances: Vec<String> = series
        .iter()
        .filter(|series| is_new(&series.target))
        .filter_map(|series| series::instance(&series.target))
        .collect();
    instances.sort_unstable();
    instances.dedup();
    instances.truncate(STARTS_MAX);
    if instances.is_empty() {
        return Ok(BTreeMap::new());
    }
    let instances = instances.iter().map(|instance| literal(instance)).collect::<Vec<_>>().join("|");
    let tenant = prometheus.tenant_label().map(|label| format!("{label}=\"{}\",", escaped(&questions.tenant)));
    let matchers = format!("{}instance=~\"{}\"", tenant.unwrap_or_default(), escaped(&instances));
    let data = prometheus.ask(&format!("process_start_time_seconds{{{matchers}}}"), questions.until).await?;
    let Data::Vector(found) = data else { return Ok(BTreeMap::new()) };
    Ok(found
        .iter()
        .map(|found| (series::target(found.metric()), series::milliseconds(found.sample().value())))
        .collect())
}
