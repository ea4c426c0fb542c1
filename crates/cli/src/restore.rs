//! `tidegate restore`: what a database that was restored does not know, and a new incarnation of it, whose splits count above all
//! that the targets have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use anyhow::{Context as _, anyhow, ensure};
use chassis::services::WITH_DATABASE;
use chassis::{Remembered, SaidThere, Secret};
use proto::instant;
use rollout::{INCARNATION, RolloutId, Route};
use store::{Reader, Store};

use crate::arguments::RestoreArguments;
use crate::exit::Exit;
use crate::screen::{Screen, Tone};

/// It wants no more than a reader and a writer.
const CONNECTIONS: u32 = 2;
/// The largest that the database takes.
const INCARNATION_MAX: i64 = 4_095;
/// A beat is so far from the last commit of a backup, and clocks from each other, in milliseconds.
const BEFORE_MS: i64 = 30_000;

pub(crate) async fn run(screen: Screen, asked: &RestoreArguments) -> anyhow::Result<Exit> {
    let (nats, file) = (asked.nkey.at(&asked.nats)?, &asked.database_file);
    let url = Secret::read(file).map_err(|why| anyhow!("{}: {why}", file.display()))?;
    let store = Store::connect(url.expose(), CONNECTIONS).await?;
    let last = store.reader().await?.rows().beat().await?;
    let since = last.beat_at.plus_ms(-BEFORE_MS);
    let known = chassis::remembered(&nats, since).await?;
    let highest = known.routes.iter().map(|route| route.generation / INCARNATION).max().unwrap_or(0);
    let next = last.incarnation.max(highest) + 1;
    ensure!(
        next <= INCARNATION_MAX,
        "a route on the bus is of incarnation {highest}, the last that there can be: is it one of ours?"
    );
    let mut tx = store.begin().await?;
    ensure!(tx.begin_incarnation(last.incarnation, next).await?, "somebody else restores at this moment");
    tx.commit().await?;
    // Whoever had handled what was said last may have forgotten it; whoever has not knows it by its id.
    for service in WITH_DATABASE {
        store.publish_again(service.name, "", since).await?;
    }
    screen.line(format!("the last beat of the database is of {}", instant::text(last.beat_at)))?;
    screen.line(format!("incarnation {next}: splits from now on count above all earlier ones"))?;
    let forgotten = Forgotten::of(&mut store.reader().await?, known).await?;
    forgotten.told(screen)?;
    screen.line("start the services no sooner than two minutes after they were stopped: so long a")?;
    screen.line("stream takes a message for one that it has")?;
    store.close().await;
    Ok(Exit::Done)
}

/// What others know and the database does not.
#[derive(Default)]
struct Forgotten {
    /// A line for each route that is ahead.
    ahead: Vec<String>,
    /// A line for each route of a model that is not known here.
    nobodys: Vec<String>,
    rollouts: BTreeSet<RolloutId>,
    /// Messages, by what they say.
    said: BTreeMap<String, usize>,
    cut: Vec<&'static str>,
}

impl Forgotten {
    async fn of(reader: &mut Reader, known: Remembered) -> anyhow::Result<Self> {
        let mut all = Self { cut: known.cut, ..Self::default() };
        for route in &known.routes {
            all.route(reader, route).await.context("compare a route")?;
        }
        for said in known.said {
            all.message(reader, said).await.context("compare a message")?;
        }
        Ok(all)
    }

    async fn route(&mut self, reader: &mut Reader, route: &Route) -> anyhow::Result<()> {
        let here = reader.rows().route(&route.tenant, &route.model).await?.map(|here| here.generation);
        let Route { tenant, model, generation, .. } = route;
        match here {
            None => self.nobodys.push(format!("{tenant}/{model}: generation {generation}")),
            Some(here) if here < *generation => {
                self.ahead.push(format!("{tenant}/{model}: generation {generation} there, {here} here"));
            }
            Some(_) => {}
        }
        self.rollout(reader, route.rollout_id.as_ref()).await
    }

    async fn message(&mut self, reader: &mut Reader, said: SaidThere) -> anyhow::Result<()> {
        if !reader.rows().is_said(&said.message_id).await? {
            // tg.<lane>.<tenant>.<model>.<what>
            let what = said.subject.splitn(5, '.').last().unwrap_or_default();
            *self.said.entry(what.to_owned()).or_default() += 1;
            self.rollout(reader, said.rollout_id.as_ref()).await?;
        }
        Ok(())
    }

    async fn rollout(&mut self, reader: &mut Reader, id: Option<&RolloutId>) -> anyhow::Result<()> {
        if let Some(id) = id
            && !self.rollouts.contains(id)
            && reader.rows().rollout(id).await?.is_none()
        {
            self.rollouts.insert(id.clone());
        }
        Ok(())
    }

    fn told(&self, screen: Screen) -> io::Result<()> {
        if self.ahead.is_empty() && self.nobodys.is_empty() && self.rollouts.is_empty() && self.said.is_empty() {
            return screen.line(screen.paint(Tone::Good, "nothing is known elsewhere that it does not know"));
        }
        let careful = |words: &str| screen.line(screen.paint(Tone::Careful, words));
        let listed = |lines: &[String]| lines.iter().try_for_each(|line| screen.line(format!("  {line}")));
        if !self.ahead.is_empty() {
            careful("targets are ahead; each is overtaken as soon as traffic-updater looks at it:")?;
            listed(&self.ahead)?;
        }
        if !self.nobodys.is_empty() {
            careful("routes of models that are not known here stay as they are. Take a candidate's")?;
            careful("traffic back with `tidegate rollback MODEL --direct`, and register the model again:")?;
            listed(&self.nobodys)?;
        }
        if !self.rollouts.is_empty() {
            careful("rollouts that are lost; ask for them again, if they are still wanted:")?;
            self.rollouts.iter().try_for_each(|id| screen.line(format!("  {id}")))?;
        }
        if !self.said.is_empty() {
            careful("messages since then whose sender has forgotten them:")?;
            self.said.iter().try_for_each(|(what, count)| screen.line(format!("  {count:>6} {what}")))?;
        }
        self.cut
            .iter()
            .try_for_each(|stream| careful(&format!("{stream} holds more than 10,000 of them; the rest was not read")))
    }
}
