//! Looks from outside while a tidegate is killed and started again: what each answer said it came from, and the generation that
//! the router serves, ten times a second (I5, I6, I12).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollout::{At, Rollout, Stage};
use store::Store;

use crate::checker::{stories, stories_of};
use crate::house::House;

/// A look at the router.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// So many of them come with a look at the rollouts, which is a long answer.
const LOOKS_WITH_ENDS: usize = 3;
/// One that is held answers nothing.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
/// A process knows the hour from its start on; two of them agree to this much.
const CLOCKS_AGREE: i64 = 100;

/// What was seen; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Witness {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// When a request began, and the version that answered.
    answers: Vec<(i64, String)>,
    generations: BTreeMap<String, i64>,
    looks: u64,
    /// Rows of rollouts that are over.
    over: BTreeMap<String, String>,
    wrong: Vec<String>,
}

pub(crate) fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl Witness {
    pub(crate) fn answered(&self, began_at: i64, version: &str) {
        self.seen.lock().unwrap().answers.push((began_at, version.to_owned()));
    }

    /// Looks at this process until it is gone.
    pub(crate) fn watch(&self, house: &House) -> tokio::task::JoinHandle<()> {
        let (this, client, api) = (self.clone(), house.client.clone(), house.api.clone());
        tokio::spawn(async move {
            let mut pace = tokio::time::interval(LOOK_AGAIN);
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for look in 0usize.. {
                pace.tick().await;
                let Ok(page) = client.get(format!("{api}/metrics")).send().await else { return };
                let Ok(page) = page.text().await else { return };
                this.look(&api, &page);
                if look.is_multiple_of(LOOKS_WITH_ENDS)
                    && let Ok(rollouts) = client.get(format!("{api}/v1/rollouts")).send().await
                {
                    this.look_at_ends(&rollouts.json().await.unwrap_or_default());
                }
            }
        })
    }

    /// Looks at many processes, whichever of them answer, until it is aborted: the pages of routers, and the APIs in turn.
    pub(crate) fn watch_all(
        &self,
        client: &reqwest::Client,
        pages: Vec<String>,
        apis: Vec<String>,
    ) -> tokio::task::JoinHandle<()> {
        let (this, client) = (self.clone(), client.clone());
        tokio::spawn(async move {
            let mut pace = tokio::time::interval(LOOK_AGAIN);
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for (look, api) in apis.iter().cycle().enumerate() {
                pace.tick().await;
                for page in &pages {
                    let Ok(answer) = client.get(page).timeout(LOOK_LIMIT).send().await else { continue };
                    let Ok(text) = answer.text().await else { continue };
                    this.look(page, &text);
                }
                if look.is_multiple_of(LOOKS_WITH_ENDS)
                    && let Ok(rollouts) = client.get(format!("{api}/v1/rollouts")).timeout(LOOK_LIMIT).send().await
                {
                    this.look_at_ends(&rollouts.json().await.unwrap_or_default());
                }
            }
        })
    }

    fn look(&self, router: &str, page: &str) {
        let mut seen = self.seen.lock().unwrap();
        seen.looks += 1;
        for line in page.lines() {
            let Some(rest) = line.strip_prefix("tidegate_route_generation{") else { continue };
            let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
            let value: i64 = value.parse().unwrap();
            let before = seen.generations.insert(format!("{router} {labels}"), value).unwrap_or(0);
            if value < before {
                seen.wrong.push(format!("the generation of {labels} at {router} fell from {before} to {value}"));
            }
        }
    }

    /// A rollout that is over stays as it is.
    fn look_at_ends(&self, rollouts: &serde_json::Value) {
        let mut seen = self.seen.lock().unwrap();
        for rollout in rollouts["items"].as_array().into_iter().flatten() {
            let (id, stage) = (rollout["id"].as_str().unwrap(), rollout["stage"].as_str().unwrap());
            let is_over = Stage::named(stage).is_some_and(Stage::is_final);
            let row = format!("{stage} version {}", rollout["version"]);
            match seen.over.get(id).cloned() {
                Some(before) if before != row => seen.wrong.push(format!("{id} was over as {before} and is {row}")),
                None if is_over => {
                    seen.over.insert(id.to_owned(), row);
                }
                _ => {}
            }
        }
    }

    /// Everything that contradicts the database of the stopped tidegate; the number of looks is printed.
    pub(crate) async fn violations(&self, folder: &Path) -> Vec<String> {
        self.against(&stories(folder).await)
    }

    /// The same of any database.
    pub(crate) async fn violations_of(&self, store: &Store) -> Vec<String> {
        self.against(&stories_of(store).await)
    }

    #[expect(clippy::print_stdout, reason = "how much was seen is part of what a test says")]
    fn against(&self, stories: &[(Rollout, Vec<String>)]) -> Vec<String> {
        let rollouts: Vec<&Rollout> = stories.iter().map(|(row, _)| row).collect();
        let mut seen = self.seen.lock().unwrap();
        println!("seen from outside: {} answers, {} looks at the router", seen.answers.len(), seen.looks);
        let mut wrong = std::mem::take(&mut seen.wrong);
        for row in rollouts.iter().filter(|row| row.retreated_at.is_some() && row.stage.is_final()) {
            let from = row.updated_at.plus_ms(CLOCKS_AGREE);
            let next =
                rollouts.iter().filter(|other| other.created_at > row.created_at).map(|other| other.created_at).min();
            let until = next.map_or(At(i64::MAX), |next| next.plus_ms(-CLOCKS_AGREE));
            let late = seen
                .answers
                .iter()
                .filter(|(began, version)| *began > from.0 && *began < until.0 && version == row.candidate.as_str());
            let late = late.count();
            if late > 0 {
                wrong.push(format!("{late} requests that began after {} was back went to {}", row.id, row.candidate));
            }
        }
        wrong
    }
}
