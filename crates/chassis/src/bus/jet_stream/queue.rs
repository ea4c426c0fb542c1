//! What a relay has still to publish: in the order in which it came, and of each rollout one at a time, so that one relay keeps a
//! rollout's order. What takes traffic away goes first: nobody's storm is in front of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rollout::RolloutId;
use store::Placed;

/// What a relay has still to publish.
#[derive(Debug, Default)]
pub(super) struct Queue {
    urgent: VecDeque<Placed>,
    ready: VecDeque<Placed>,
    /// What waits behind the one of its rollout that is on its way.
    behind: BTreeMap<RolloutId, VecDeque<Placed>>,
    /// Everything that is here or on its way: a claim may run out while a row waits here, and then it comes again.
    here: BTreeSet<i64>,
}

impl Queue {
    pub(super) fn push(&mut self, placed: Placed) {
        if self.here.insert(placed.position) {
            if is_urgent(&placed) { &mut self.urgent } else { &mut self.ready }.push_back(placed);
        }
    }

    /// The next one, which is then on its way.
    pub(super) fn next(&mut self) -> Option<Placed> {
        loop {
            let placed = self.urgent.pop_front().or_else(|| self.ready.pop_front())?;
            let Some(rollout) = &placed.message.rollout_id else { return Some(placed) };
            match self.behind.get_mut(rollout) {
                Some(behind) => behind.push_back(placed),
                None => {
                    self.behind.insert(rollout.clone(), VecDeque::new());
                    return Some(placed);
                }
            }
        }
    }

    /// One arrived, or did not: those behind it may go.
    pub(super) fn ended(&mut self, placed: &Placed) {
        self.here.remove(&placed.position);
        let behind = placed.message.rollout_id.as_ref().and_then(|rollout| self.behind.remove(rollout));
        for placed in behind.into_iter().flatten().rev() {
            self.ready.push_front(placed);
        }
    }

    /// How many are here and not on their way.
    pub(super) fn waiting(&self) -> usize {
        self.urgent.len() + self.ready.len() + self.behind.values().map(VecDeque::len).sum::<usize>()
    }

    /// Leaves everything that is not on its way to whoever claims it next.
    pub(super) fn clear(&mut self) {
        let first = self.urgent.drain(..).chain(self.ready.drain(..));
        for placed in first.chain(self.behind.values_mut().flat_map(|behind| behind.drain(..))) {
            self.here.remove(&placed.position);
        }
    }
}

/// Whether it can only take traffic away.
pub(super) fn is_urgent(placed: &Placed) -> bool {
    placed.message.subject.starts_with("tg.urgent.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollout::At;
    use store::Outgoing;

    fn placed(position: i64, rollout: Option<&str>) -> Placed {
        let message = Outgoing {
            service: "api",
            message_id: position.to_string(),
            rollout_id: rollout.map(|name| RolloutId::of("/test", name)),
            subject: "tg.cmd.t.m.a.b".to_owned(),
            headers: "{}".to_owned(),
            body: "{}".to_owned(),
            created_at: At(0),
        };
        Placed { position, tries: 0, message }
    }

    fn positions(queue: &mut Queue) -> Vec<i64> {
        std::iter::from_fn(|| queue.next()).map(|placed| placed.position).collect()
    }

    #[test]
    fn of_a_rollout_one_is_on_its_way_and_the_others_follow_in_order() {
        let mut queue = Queue::default();
        for one in
            [placed(1, Some("a")), placed(2, Some("a")), placed(3, None), placed(4, Some("b")), placed(5, Some("a"))]
        {
            queue.push(one);
        }
        assert_eq!((positions(&mut queue), queue.waiting()), (vec![1, 3, 4], 2));
        queue.ended(&placed(3, None));
        assert_eq!(positions(&mut queue), [0_i64; 0]);
        queue.ended(&placed(1, Some("a")));
        assert_eq!(positions(&mut queue), [2]);
        queue.ended(&placed(2, Some("a")));
        assert_eq!((positions(&mut queue), queue.waiting()), (vec![5], 0));
    }

    #[test]
    fn what_takes_traffic_away_goes_first_but_never_before_its_own_rollout() {
        let urgent = |mut placed: Placed| {
            placed.message.subject = "tg.urgent.t.m.split.apply".to_owned();
            placed
        };
        let mut queue = Queue::default();
        queue.push(placed(1, Some("a")));
        assert_eq!(positions(&mut queue), [1]);
        for one in [placed(2, None), placed(3, None), urgent(placed(4, Some("a"))), urgent(placed(5, Some("b")))] {
            queue.push(one);
        }
        assert_eq!(queue.next().map(|placed| placed.position), Some(5));
        queue.ended(&placed(1, Some("a")));
        assert_eq!(positions(&mut queue), [4, 2, 3]);
    }

    #[test]
    fn what_is_here_does_not_come_again() {
        let mut queue = Queue::default();
        queue.push(placed(1, None));
        queue.push(placed(1, None));
        assert_eq!(positions(&mut queue), [1]);
        queue.push(placed(1, None));
        assert_eq!(positions(&mut queue), [0_i64; 0], "it is on its way");
        queue.ended(&placed(1, None));
        queue.push(placed(1, None));
        assert_eq!(positions(&mut queue), [1]);
    }

    #[test]
    fn what_is_left_to_others_may_come_again() {
        let mut queue = Queue::default();
        for one in [placed(1, Some("a")), placed(2, Some("a")), placed(3, None)] {
            queue.push(one);
        }
        assert_eq!(queue.next().map(|placed| placed.position), Some(1));
        queue.clear();
        assert_eq!(queue.waiting(), 0);
        queue.push(placed(3, None));
        queue.push(placed(1, Some("a")));
        assert_eq!(positions(&mut queue), [3], "the first one is still on its way");
    }
}
