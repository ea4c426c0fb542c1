//! A rollout on its way through `decide`, which can be written down as if a house had gone that way.

use rollout::{
    Arm, At, Before, Direction, Fact, Health, Match, Model, Plan, Request, Rollout, RolloutId, Route, Seen, Share,
    Stage, Tenant, Verb, Version, What, WhenLive, Workload, decide,
};
use store::{Change, Store, Transition, Written};

/// Who asks, and who speaks.
pub(super) const ACTOR: &str = "rob";
/// Long enough that nothing is looked at while the test runs.
const FAR: i64 = 24 * 60 * 60 * 1000;

/// One rollout, its log, and the model's route.
#[derive(Clone)]
pub(super) struct Journey {
    pub(super) row: Rollout,
    pub(super) now: At,
    route: Option<Route>,
    log: Vec<(Stage, Fact, Rollout)>,
}

fn model(name: &str) -> Model {
    Model::new(name).unwrap()
}

fn workload(of: &str) -> Workload {
    let matches = Match::default_for(&Tenant::default(), &model(of));
    Workload {
        upstream: "http://127.0.0.1:9".to_owned(),
        headers: std::collections::BTreeMap::new(),
        health: Health::default(),
        matches,
    }
}

fn arm(version: &str, share: Share) -> Arm {
    let Workload { upstream, headers, .. } = workload("m");
    Arm { version: Version::new(version).unwrap(), basis_points: share, upstream, headers }
}

impl Journey {
    /// A promotion of version 2 while version 1 serves.
    pub(super) fn of(plan: Plan) -> Self {
        let arms = vec![arm("1", Share::WHOLE)];
        let route = Route {
            tenant: Tenant::default(),
            model: model("m"),
            generation: 7,
            rollout_id: None,
            direction: Direction::Forward,
            lease_seconds: None,
            hang_after_ms: None,
            by_size: Vec::new(),
            silent_after_ms: None,
            on_drift: rollout::OnDrift::Restore,
            sample_ms: None,
            stopped: false,
            matches: workload("m").matches,
            salt: "salt".to_owned(),
            stable: arms[0].version.clone(),
            arms,
        };
        Self::asked(plan, Some(route)).told(What::Requested { when_live: WhenLive::Reject, refusal: None })
    }

    /// The first version of a model.
    pub(super) fn first() -> Self {
        Self::asked(Plan::activate(), None).told(What::Requested { when_live: WhenLive::Reject, refusal: None })
    }

    fn asked(plan: Plan, route: Option<Route>) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = At(i64::try_from(since.as_millis()).unwrap());
        let request = Request {
            id: RolloutId::of("/test", "m"),
            tenant: Tenant::default(),
            model: model("m"),
            candidate: Version::new("2").unwrap(),
            workload: workload("m"),
            requested_by: ACTOR.to_owned(),
            plan,
        };
        Self { row: Rollout::requested(request, now), now, route, log: Vec::new() }
    }

    /// Another one waits for its turn behind a live one.
    pub(super) fn queued(self) -> Self {
        let mut journey = Self::asked(self.row.plan, self.route);
        let mut fact = journey.fact(What::Requested { when_live: WhenLive::Queue, refusal: None });
        fact.seen.live = Some((RolloutId::of("/test", "another"), Stage::Observing));
        journey.hear(fact);
        journey
    }

    /// The fact as the step would hear it.
    pub(super) fn fact(&self, what: What) -> Fact {
        let is_queued = self.row.stage == Stage::Queued;
        let before = |route: &Route| Before { stable: route.stable.clone(), arms: route.arms.clone() };
        let seen = Seen {
            generation: self.route.as_ref().map_or(0, |route| route.generation),
            route: self.route.as_ref().filter(|_| is_queued).map(before),
            live: None,
        };
        Fact { what, actor: ACTOR.to_owned(), reason: None, seen }
    }

    pub(super) fn told(mut self, what: What) -> Self {
        let fact = self.fact(what);
        self.hear(fact);
        self
    }

    fn hear(&mut self, fact: Fact) {
        let from = self.row.stage;
        let next = decide(&self.row, &fact, self.now).unwrap().next;
        if next.generation != self.row.generation {
            let direction = if next.stage == Stage::Retreating { Direction::Back } else { Direction::Forward };
            let (arms, stable) = next.wish(direction, &rollout::Split::candidate(next.desired()));
            let route = self.route.take().unwrap_or_else(|| Self::of(next.plan.clone()).route.unwrap());
            self.route = Some(Route {
                generation: next.generation,
                rollout_id: Some(next.id.clone()),
                direction,
                stable,
                arms,
                ..route
            });
        }
        self.row = next.clone();
        self.log.push((from, fact, next));
    }

    /// Targets and people say yes until the rollout stands there.
    pub(super) fn until(mut self, stage: Stage, step: u32) -> Self {
        while (self.row.stage, self.row.step) != (stage, step) {
            let row = &self.row;
            let what = match row.stage {
                Stage::Preparing => What::WorkloadReady { attempt: row.attempt },
                Stage::Shifting | Stage::Promoting => What::SplitApplied { generation: row.generation },
                Stage::Gated => {
                    let mut fact = self.fact(What::Commanded { verb: Verb::Approve });
                    fact.actor = "ann".to_owned();
                    self.hear(fact);
                    continue;
                }
                Stage::Observing => What::Commanded { verb: Verb::Advance },
                _ => {
                    self.now = row.wake_at.unwrap();
                    What::DeadlinePassed { version: row.version }
                }
            };
            self = self.told(what);
        }
        self
    }

    pub(super) fn applied(self) -> Self {
        let generation = self.row.generation;
        self.told(What::SplitApplied { generation })
    }

    pub(super) fn failed(self) -> Self {
        let attempt = self.row.attempt;
        self.told(What::WorkloadFailed { attempt, reason: "502".to_owned(), passing: false })
    }

    pub(super) fn overtaken(self) -> Self {
        self.told(What::Overtaken { by: RolloutId::of("/test", "newer") })
    }

    /// The same of another model.
    pub(super) fn named(mut self, number: usize) -> Self {
        let name = format!("m{number}");
        let id = RolloutId::of("/test", &name);
        let rename = |row: &mut Rollout| {
            (row.id, row.model, row.workload) = (id.clone(), model(&name), workload(&name));
        };
        rename(&mut self.row);
        self.log.iter_mut().for_each(|(.., row)| rename(row));
        if let Some(route) = &mut self.route {
            (route.model, route.matches) = (model(&name), workload(&name).matches);
            route.rollout_id = route.rollout_id.take().map(|_| id.clone());
        }
        self
    }

    /// Writes it down: the row with a far deadline, its log, and the model's route.
    pub(super) async fn store(&self, store: &Store) {
        let mut tx = store.begin().await.unwrap();
        let mut changes = Vec::new();
        for (index, (from, fact, row)) in self.log.iter().enumerate() {
            let mut row = row.clone();
            if index + 1 == self.log.len() {
                row.wake_at = row.wake_at.map(|at| at.plus_ms(FAR));
            }
            let entry = Box::new(entry(index, *from, fact, &row));
            let (from_version, row) = (row.version - 1, Box::new(row));
            changes.push(if index == 0 {
                Change::Open { row, salt: "salt".to_owned(), entry }
            } else {
                Change::Move { row, from_version, entry }
            });
        }
        if let Some(route) = &self.route {
            changes.push(Change::Wish { route: Box::new(route.clone()), from_generation: 0, at: self.now });
        }
        for change in &changes {
            assert_eq!(tx.apply(change).await.unwrap(), Written::Done, "{change:?}");
        }
        tx.commit().await.unwrap();
    }
}

fn entry(index: usize, from: Stage, fact: &Fact, row: &Rollout) -> Transition {
    Transition {
        rollout_id: row.id.clone(),
        version: row.version,
        from_stage: if index == 0 { "none" } else { from.name() }.to_owned(),
        to_stage: row.stage.name().to_owned(),
        step: row.step,
        fact_kind: fact.what.kind().to_owned(),
        fact_source: "/test".to_owned(),
        fact_id: format!("{}.{index}", row.id),
        fact: serde_json::to_value(fact).unwrap(),
        actor: fact.actor.clone(),
        reason: row.reason.clone(),
        evidence: None,
        decided_at: row.updated_at,
    }
}
