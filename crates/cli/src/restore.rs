//! `tidegate restore`: what a database that was restored does not know, and a new incarnation of it, whose splits count above all
//! that the targets have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use anyhow::{Context as _, anyhow, ensure};
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
    let file = &asked.database_file;
    let url = Secret::read(file).map_err(|why| anyhow!("{}: {why}", file.display()))?;
    let store = Store::connect(url.expose(), CONNECTIONS).await?;
    let last = store.reader().await?.rows().beat().await?;
    let known = chassis::remembered(&asked.nats, last.beat_at.plus_ms(-BEFORE_MS)).await?;
    let highest = known.routes.iter().map(|route| route.generation / INCARNATION).max().unwrap_or(0);
    let next = last.incarnation.max(highest) + 1;
    ensure!(next <= INCARNATION_MAX, "there were {next} incarnations: a generation can't count further");
    let mut tx = store.begin().await?;
    tx.begin_incarnation(next).await?;
    tx.commit().await?;
    screen.line(format!("the last beat of the database is of {}", instant::text(last.beat_at)))?;
    screen.line(format!("incarnation {next}: splits from now on count above all earlier ones"))?;
    let forgotten = Forgotten::of(&mut store.reader().await?, known).await?;
    forgotten.told(screen)?;
    store.close().await;
    Ok(Exit::Done)
}

/// What others know and the database does not.
#[derive(Default)]
struct Forgotten {
    /// A line for each route that is ahead.
    routes: Vec<String>,
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
        if here < Some(route.generation) {
            let here = here.map_or_else(|| "none".to_owned(), |here| here.to_string());
            let (tenant, model) = (&route.tenant, &route.model);
            self.routes.push(format!("{tenant}/{model}: generation {} there, {here} here", route.generation));
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
        if self.routes.is_empty() && self.rollouts.is_empty() && self.said.is_empty() {
            return screen.line(screen.paint(Tone::Good, "nothing is known elsewhere that it does not know"));
        }
        let careful = |words: &str| screen.line(screen.paint(Tone::Careful, words));
        if !self.routes.is_empty() {
            careful("targets are ahead; each is overtaken as soon as traffic-updater looks at it:")?;
            self.routes.iter().try_for_each(|route| screen.line(format!("  {route}")))?;
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
