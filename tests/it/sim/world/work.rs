//! What processes do: take messages, publish what was said, fire deadlines.

use chassis::Consumer;
use store::Due;

use super::{Kind, World};

impl World {
    /// Any message that somebody can have, to any of those who can take it.
    pub(super) async fn deliver(&mut self) {
        let mut ready = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            for consumer in process.service.iter().flat_map(|service| service.consumers()) {
                ready.extend(self.line.broker().ready(consumer).into_iter().map(|place| (index, consumer, place)));
            }
        }
        match self.fate.one(&ready) {
            Some((index, consumer, place)) => {
                if ready.iter().any(|(_, other, before)| other.name == consumer.name && *before < place) {
                    self.fate.happens(1_000, "brought before an older one");
                }
                self.deliver_one(index, consumer, place).await;
            }
            None => self.pass_time().await,
        }
    }

    pub(super) async fn deliver_one(&mut self, index: usize, consumer: &'static Consumer, place: usize) {
        let Some(service) = &self.processes[index].service else { return };
        let Some(brought) = self.line.broker().bring(consumer, place) else { return };
        let took = self.fate.survives(service.take(brought)).await;
        let name = self.processes[index].name;
        let id = self.line.broker().id(place);
        self.tell(|| format!("{name} takes {id}: {}", outcome(&took)));
        match took {
            None => self.die(index, "at a place").await,
            Some(Err(_)) => self.line.broker().again(consumer, place, 100),
            Some(Ok(())) if self.fate.loses("acknowledgement lost") => {}
            Some(Ok(())) if self.fate.repeats("brought again") => {
                let after_ms = i64::try_from(self.fate.below(10_000)).unwrap();
                self.line.broker().again(consumer, place, after_ms);
            }
            Some(Ok(())) => self.line.broker().settled(consumer, place),
        }
    }

    /// A turn of some relay that has something to do: it takes, sends, and perhaps hears and writes down. Whoever dies before that
    /// has published what it has not marked.
    pub(super) async fn relay(&mut self) {
        let busy = |index: &usize| !self.processes[*index].handed.is_empty() || !self.processes[*index].relay.is_idle();
        let busy: Vec<_> = (0..self.processes.len()).filter(busy).collect();
        let Some(index) = self.fate.one(&busy) else { return };
        let handed = self.processes[index].handed.take();
        if !handed.is_empty() && self.fate.happens(50, "handed over and forgotten") {
            return;
        }
        if self.fate.happens(20, "death between publication and its mark") {
            self.processes[index].relay.take(handed);
            self.processes[index].relay.send().await;
            self.processes[index].relay.hear();
            return self.die(index, "before a mark").await;
        }
        let rounds = 1 + self.fate.below(3);
        let relay = &mut self.processes[index].relay;
        relay.take(handed);
        for _ in 0..rounds {
            relay.hear();
            relay.send().await;
        }
        if rounds > 1 {
            relay.write_down().await;
        }
    }

    /// A relay looks for what nobody has published, and at what became of the broker.
    pub(super) async fn look(&mut self, index: usize) {
        let relay = &mut self.processes[index].relay;
        relay.look().await;
        relay.send().await;
    }

    /// Any deadline that somebody sees as passed.
    pub(super) async fn fire(&mut self) {
        let all = self.due().await;
        let chosen = self.fate.below(all.len().max(1));
        if let Some((index, due)) = all.into_iter().nth(chosen) {
            self.fire_one(index, due).await;
        }
    }

    /// The deadlines that have passed, by the process that sees it.
    pub(super) async fn due(&self) -> Vec<(usize, Due)> {
        let mut all = Vec::new();
        let mut reader = self.store.reader().await.unwrap();
        for (index, process) in self.processes.iter().enumerate() {
            if let Some(service) = process.service.as_ref().filter(|_| process.kind == Kind::StageScheduler) {
                all.extend(service.due(reader.rows()).await.unwrap().into_iter().map(|due| (index, due)));
            }
        }
        all
    }

    pub(super) async fn fire_one(&mut self, index: usize, due: Due) {
        let Some(service) = &self.processes[index].service else { return };
        let (name, what) = (self.processes[index].name, format!("{} {}", due.rollout_id, due.version));
        let fired = self.fate.survives(service.fire(due)).await;
        self.tell(|| format!("{name} fires {what}: {}", outcome(&fired)));
        if fired.is_none() {
            self.die(index, "at a place").await;
        }
    }
}

fn outcome<T, E: std::fmt::Display>(of: &Option<Result<T, E>>) -> String {
    match of {
        None => "died".to_owned(),
        Some(Ok(_)) => "done".to_owned(),
        Some(Err(why)) => why.to_string(),
    }
}
