//! How a run comes to its end, and what is wrong then.

use std::collections::BTreeMap;

use rollout::At;
use store::VersionRow;

use super::{Kind, World};
use crate::checker::violations_of;
use crate::sim::people;

/// Turns until everything rests, if it ever does.
const REST_MAX: usize = 20_000;
/// A claim on rows of the outbox is worth this long, in milliseconds.
const CLAIMED_FOR_MS: i64 = 5_000;

impl World {
    /// Lets nothing go wrong any more, and waits until nothing is left to do.
    pub(crate) async fn rest(&mut self) {
        self.fate.fate().is_quiet = true;
        if !self.line.broker().is_up() {
            self.line.broker().start(0);
        }
        {
            let mut outside = self.outside.lock().unwrap();
            (outside.is_down, outside.is_sick) = (false, false);
        }
        for index in 0..self.processes.len() {
            self.look(index).await;
        }
        for _ in 0..REST_MAX {
            let mut has_worked = false;
            for index in 0..self.processes.len() {
                self.set_clock(index);
                has_worked |= self.work_off(index).await;
            }
            if !has_worked && !self.fire_all().await && !self.wait().await {
                return self.compare().await;
            }
        }
        panic!("it does not come to rest");
    }

    /// Everything that a process was handed or brought.
    pub(super) async fn work_off(&mut self, index: usize) -> bool {
        let handed = self.processes[index].handed.take();
        let relay = &mut self.processes[index].relay;
        relay.take(handed);
        let mut has_worked = !relay.is_idle();
        if has_worked {
            // What a relay waits for may need the tasks of this thread.
            tokio::task::yield_now().await;
            relay.send().await;
            relay.hear();
            relay.write_down().await;
        }
        let Some(service) = &self.processes[index].service else { return has_worked };
        for consumer in service.consumers() {
            let ready = self.line.broker().ready(consumer);
            for place in ready {
                self.deliver_one(index, consumer, place).await;
                has_worked = true;
            }
        }
        has_worked
    }

    /// Every deadline that somebody sees as passed, at whoever sees it first.
    pub(super) async fn fire_all(&mut self) -> bool {
        let mut all = BTreeMap::new();
        self.due()
            .await
            .into_iter()
            .for_each(|(index, due)| _ = all.entry(due.rollout_id.clone()).or_insert((index, due)));
        let has_worked = !all.is_empty();
        for (index, due) in all.into_values() {
            self.fire_one(index, due).await;
        }
        has_worked
    }

    /// Lets the time pass until something can be done; `false` when nothing ever can.
    pub(super) async fn wait(&mut self) -> bool {
        let mut reader = self.store.reader().await.unwrap();
        let deadline = reader.rows().due_rollouts(At(i64::MAX), 100).await.unwrap();
        let mut waiting = 0;
        for service in ["api", "registry-writer", "stage-scheduler", "traffic-updater", "deployer"] {
            waiting += reader.rows().unpublished(service, 1_000).await.unwrap().0;
        }
        drop(reader);
        if waiting > 0 {
            self.set_time(self.now.plus_ms(CLAIMED_FOR_MS + 1));
            for index in 0..self.processes.len() {
                self.set_clock(index);
                self.look(index).await;
            }
            return true;
        }
        // A process whose clock is behind sees a deadline pass later.
        let schedulers = self.processes.iter().filter(|process| process.kind == Kind::StageScheduler);
        let behind = schedulers.map(|process| -process.skew_ms).min().unwrap_or(0);
        let deadline = deadline.into_iter().map(|due| due.wake_at.plus_ms(behind)).min();
        let Some(next) = deadline.into_iter().chain(self.line.broker().next()).min() else { return false };
        self.set_time(self.now.plus_ms(1).max(next));
        true
    }

    /// How many rollouts ended in which way.
    pub(crate) async fn ends(&self) -> BTreeMap<&'static str, u64> {
        let mut ends = BTreeMap::new();
        let mut reader = self.store.reader().await.unwrap();
        for row in reader.rows().rollouts(&people::tenant(), (At(i64::MAX), ""), 100).await.unwrap() {
            *ends.entry(row.stage.name()).or_default() += 1;
        }
        ends
    }

    /// What is wrong, now that everything rests.
    pub(crate) async fn wrong(&self) -> Vec<String> {
        let mut wrong = self.outside.lock().unwrap().wrong.clone();
        let wished =
            self.store.reader().await.unwrap().rows().route(&people::tenant(), &people::model()).await.unwrap();
        let served = self.outside.lock().unwrap().route.clone();
        if wished != served {
            wrong.push(format!("the target serves {served:?}, and {wished:?} is wished for"));
        }
        wrong.extend(self.unregistered().await);
        wrong.extend(violations_of(&self.store, None).await);
        wrong.retain(|what| !self.line.broker().explains(what));
        wrong
    }

    /// What the registry tells otherwise than the route: it follows, whatever order the news come in.
    pub(super) async fn unregistered(&self) -> Vec<String> {
        let (tenant, model) = (people::tenant(), people::model());
        let mut reader = self.store.reader().await.unwrap();
        let Some(route) = reader.rows().route(&tenant, &model).await.unwrap() else { return Vec::new() };
        let versions = reader.rows().versions(&tenant, &model, (At(i64::MAX), ""), 100).await.unwrap();
        let is_told = |version: &&VersionRow| {
            let serves = route.arms.iter().any(|arm| arm.version == version.version);
            serves == (version.status == "active") && version.status != "canary"
        };
        let wrong = versions.iter().filter(|version| !is_told(version));
        wrong.map(|row| format!("version {} is {} at {} %", row.version, row.status, row.traffic_pct)).collect()
    }
}
