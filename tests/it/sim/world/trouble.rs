//! What goes wrong, besides what gets lost on the way.

use chassis::consumers;

use super::World;
use crate::sim::people;

impl World {
    /// The end of a process, and the start of its successor.
    pub(super) async fn die(&mut self, index: usize, how: &'static str) {
        let name = self.processes[index].name;
        self.tell(|| format!("{name} dies {how}"));
        if how == "idle" {
            self.fate.happens(1_000, "death between operations");
        }
        self.processes[index] = self.start(self.processes[index].kind).await;
    }

    pub(super) fn bring_again(&mut self, index: usize) {
        let Some(service) = &self.processes[index].service else { return };
        let Some(consumer) = self.fate.one(&service.consumers().iter().collect::<Vec<_>>()) else { return };
        let offered = self.line.broker().offered(consumer);
        for _ in 0..=self.fate.below(4) {
            if let Some(place) = self.fate.one(&offered) {
                self.fate.happens(1_000, "brought again");
                self.line.broker().forget(consumer, place);
            }
        }
    }

    pub(super) fn turn_outside(&mut self) {
        let (is_down, is_sick) = (self.fate.happens(300, "target down"), self.fate.happens(300, "candidate sick"));
        let mut outside = self.outside.lock().unwrap();
        (outside.is_down, outside.is_sick) = (is_down, is_sick);
    }

    /// The broker stops for a while, or starts again at once.
    pub(super) fn turn_broker(&mut self) {
        self.line.broker().stop();
        if !self.fate.happens(500, "broker down") {
            self.start_broker();
        }
    }

    /// The broker starts, perhaps without the end of its streams: a power cut, or an older copy of them.
    pub(super) fn start_broker(&mut self) {
        let most = if self.fate.below(2) == 0 { 0 } else { self.fate.below(40) };
        let lost = self.line.broker().start(most);
        self.fate.happens(1_000, "broker started anew");
        (0..lost).for_each(|_| _ = self.fate.happens(1_000, "message lost by the broker"));
        self.tell(|| format!("the broker starts without its last {lost}"));
    }

    /// A wall clock is set: forwards a process does not follow, backwards it stands still until then.
    pub(super) fn turn_clock(&mut self, index: usize) {
        if self.fate.happens(1_000, "clock set back") {
            self.processes[index].skew_ms -= i64::try_from(self.fate.below(20_000)).unwrap();
        }
    }

    /// What breaks everything, or much.
    pub(super) async fn turn_rarely(&mut self) {
        if self.fate.happens(200, "everything stopped for ten minutes") {
            for index in 0..self.processes.len() {
                self.die(index, "with all the others").await;
            }
            self.set_time(self.now.plus_ms(600_000));
        } else {
            for consumer in consumers::STAGE_SCHEDULER.iter().chain(consumers::TRAFFIC_UPDATER) {
                if self.line.broker().overwrite(consumer) {
                    self.fate.happens(1_000, "overwritten before it was read");
                }
            }
        }
    }

    pub(super) async fn notice(&mut self) {
        let route = self.outside.lock().unwrap().route.clone();
        let Some(route) = route.filter(|route| route.rollout_id.is_some()) else { return };
        let is_expired = self.fate.below(2) == 0;
        self.said += 1;
        let id = format!("tu.one.{}.{}.{}", route.generation, if is_expired { "lease" } else { "drift" }, self.said);
        self.fate.happens(1_000, if is_expired { "lease ended" } else { "target lagging" });
        self.say_as("traffic-updater", &id, people::noticed(&route, is_expired)).await;
    }
}
