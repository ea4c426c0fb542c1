//! Whole folds: every gate's result, reason and evidence after every tick.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{NEAR, NEAR_IN_TRACES, near, number, numbers, vectors};
use crate::check::Action;
use crate::metric::SignalName;
use crate::sequential::dispersion::{Dispersion, LENGTHS};
use crate::sequential::fold::{Class, Evidence};
use crate::sequential::gate::{Attribution, Moment};
use crate::sequential::learned::Learned;
use crate::sequential::log_e::Sums;
use crate::sequential::plan::{Channel, Dispersed, Gate, Items, Plan, Replicates, Test, View};
use crate::sequential::standing::standing;
use crate::{Outcome, Signal, Signals, Tick};

const ALPHA: f64 = 0.01;
const BETA: f64 = 0.05;

struct Bench {
    plan: Plan,
    /// Names of gates, and of dispersions.
    names: Vec<String>,
    dispersions: Vec<String>,
    /// Means without a bound: these files take ten times the centre of the tick.
    unbounded: Vec<usize>,
    edges: Vec<f64>,
}

impl Bench {
    fn of(given: &Value) -> Self {
        let mut bench = Self {
            plan: Plan::default(),
            names: vec![],
            dispersions: vec![],
            unbounded: vec![],
            edges: numbers(&given["edges"]),
        };
        for (at, gate) in given["gates"].as_array().unwrap().iter().enumerate() {
            bench.add(at, gate);
        }
        bench
    }

    fn add(&mut self, at: usize, g: &Value) {
        let kind = g["kind"].as_str().unwrap();
        let q = g["q"].as_f64().unwrap_or(0.0);
        let items = Items {
            bad: serde_json::from_value(g["bad"].clone()).unwrap_or_default(),
            lo: g["lo"].as_f64().unwrap_or(0.0),
            hi: g["hi"].as_f64(),
            binary: g["binary"].as_bool().unwrap_or(false),
        };
        let (test, view) = match kind {
            "proportion_ratio" => (Test::Ratio, View::Events { complement: false }),
            "rate_ratio" => (Test::Ratio, View::Occurrences),
            "proportion_abs" => (Test::Share, View::Events { complement: false }),
            "rate_abs" => (Test::Rate, View::Occurrences),
            "quantile_ratio" => (Test::QuantileRatio { q }, View::Histogram),
            "quantile_abs" => (Test::Quantile { q }, View::Histogram),
            "mean_ratio" => (Test::MeanRatio(items), View::Sums { complement: false, bounds: None, squareless: false }),
            "mean_abs" => (Test::Mean(items), View::Sums { complement: false, bounds: None, squareless: false }),
            other => panic!("{other}"),
        };
        if matches!(view, View::Sums { .. }) && g["hi"].is_null() {
            self.unbounded.push(at);
        }
        let signal = g["signal"].as_str().unwrap().to_owned();
        let channel = self.channel(&signal, view);
        let phi = match &g["phi"] {
            Value::String(_) => Dispersed::Estimated(self.dispersion(&signal, channel, at, g["q"].as_f64())),
            stated => Dispersed::Stated(stated.as_f64().unwrap_or(1.0)),
        };
        self.names.push(g["id"].as_str().unwrap().to_owned());
        let gate = Gate {
            rule: at,
            channel,
            test,
            limit: number(&g["limit"]),
            tolerance: g["tolerance"].as_f64(),
            floor: g["floor"].as_f64(),
            attributed: g["attribution"] != "none",
            weight: number(&g["weight"]),
            phi,
            action: serde_json::from_value::<Action>(g["action"].clone()).unwrap_or_default(),
            min_samples: g["min_samples"].as_u64().unwrap_or(50),
            max_blind_ticks: whole(&g["max_blind_ticks"], 8),
        };
        self.plan.gates.push(gate);
    }

    fn channel(&mut self, signal: &str, view: View) -> usize {
        let channel = Channel { signal: SignalName(signal.to_owned()), view };
        self.plan.channels.iter().position(|known| *known == channel).unwrap_or_else(|| {
            self.plan.channels.push(channel);
            self.plan.channels.len() - 1
        })
    }

    fn dispersion(&mut self, signal: &str, channel: usize, gate: usize, q: Option<f64>) -> usize {
        let name = q.map_or_else(|| signal.to_owned(), |q| format!("{signal}@{q}"));
        self.dispersions.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.plan.dispersions.push(Replicates { channel, gate: q.map(|_| gate) });
            self.dispersions.push(name);
            self.dispersions.len() - 1
        })
    }

    fn tick(&self, number: u64, t: &Value) -> Tick {
        let mut tick = Tick {
            step: whole(&t["step"], 0),
            tick: number,
            warmup: t["warmup"].as_bool().unwrap_or(false),
            stable_planned: t["stable_planned"].as_bool().unwrap_or(true),
            ..Tick::default()
        };
        for (name, numbers) in t["signals"].as_object().unwrap() {
            let name = SignalName(name.clone());
            for (signals, arm) in [(&mut tick.candidate, "c"), (&mut tick.stable, "s")] {
                add(signals, &name, self.signal(numbers, arm));
            }
            let series = self.series(numbers);
            if !series.is_empty() {
                tick.stable_series.insert(name, series);
            }
        }
        tick
    }

    fn signal(&self, numbers: &Value, arm: &str) -> Option<Signal> {
        let of = |name: &str| numbers[format!("{name}{arm}")].as_f64();
        if let Some(counts) = numbers[format!("h{arm}")].as_array() {
            return Some(self.buckets(counts));
        }
        let n = of("n")?;
        Some(match of("s1") {
            Some(s1) => Signal::Mean { n, s1, s2: of("s2").unwrap(), cap: numbers["cap"].as_f64() },
            None => Signal::Count { k: of("k")?, n },
        })
    }

    fn buckets(&self, counts: &[Value]) -> Signal {
        Signal::Buckets { edges: self.edges.clone(), counts: counts.iter().map(number).collect() }
    }

    fn series(&self, given: &Value) -> BTreeMap<String, Signal> {
        if let Some(pods) = given["pods_h"].as_array() {
            let signal = |pod: &Value| self.buckets(pod.as_array().unwrap());
            return (0..).zip(pods).map(|(at, pod): (usize, _)| (at.to_string(), signal(pod))).collect();
        }
        let pairs = numbers(&given["pods_k"]).into_iter().zip(numbers(&given["pods_n"]));
        (0..).zip(pairs).map(|(at, (k, n)): (usize, _)| (at.to_string(), Signal::Count { k, n })).collect()
    }

    fn evidence(&self, seed: &Value) -> Evidence {
        let mut evidence = Evidence::new(&self.plan);
        for (channel, learned) in self.plan.channels.iter().zip(&mut evidence.learned) {
            let sums = numbers(&seed["mean"][&channel.signal.0]);
            if let ([n, s1, s2], View::Sums { .. }) = (sums.as_slice(), channel.view) {
                *learned = Learned::Sums { sums: Sums { n: *n, s1: *s1, s2: *s2 }, cap: None };
            }
            let counts = numbers(&seed["hist"][&channel.signal.0]);
            if !counts.is_empty() && channel.view == View::Histogram {
                *learned = Learned::Histogram { edges: Some(self.edges.clone()), counts };
            }
        }
        for (name, dispersion) in self.dispersions.iter().zip(&mut evidence.dispersions) {
            let blocks = &seed["dispersion"][name]["blocks"];
            if !blocks.is_null() {
                let sums = LENGTHS.map(|length| numbers(&blocks[length.to_string()]));
                *dispersion = Dispersion::of_sums(sums.map(|sums| (sums[0], sums[1])));
            }
        }
        evidence.pick_edges(&self.plan);
        evidence
    }

    /// These files take ten times the centre of the tick where a bound is missing.
    fn bound(&mut self, evidence: &Evidence) {
        for at in &self.unbounded {
            let gate = &mut self.plan.gates[*at];
            let Learned::Sums { sums, .. } = &evidence.learned[gate.channel] else { panic!("no sums") };
            let hi = if sums.n > 0.0 { 10.0 * sums.s1 / sums.n } else { 1.0 };
            let (Test::Mean(items) | Test::MeanRatio(items)) = &mut gate.test else { panic!("no mean") };
            items.hi = Some(hi);
        }
    }
}

fn whole(value: &Value, default: u32) -> u32 {
    value.as_u64().map_or(default, |number| u32::try_from(number).unwrap())
}

fn add(signals: &mut Signals, name: &SignalName, signal: Option<Signal>) {
    if let Some(signal) = signal {
        signals.insert(name.clone(), signal);
    }
}

#[test]
fn seeds_agree_with_the_reference() {
    for v in vectors("seed") {
        let bench = Bench::of(&v.given);
        let ticks: Vec<Tick> =
            (1..).zip(v.given["ticks"].as_array().unwrap()).map(|(number, t)| bench.tick(number, t)).collect();
        let evidence = Evidence::seed(&bench.plan, &ticks);
        for (channel, learned) in bench.plan.channels.iter().zip(&evidence.learned) {
            let name = &channel.signal.0;
            match learned {
                Learned::Nothing => {}
                Learned::Sums { sums, .. } => {
                    super::all_near(&[sums.n, sums.s1, sums.s2], &v.expected["mean"][name], &v.id);
                }
                Learned::Histogram { counts, .. } => super::all_near(counts, &v.expected["hist"][name], &v.id),
            }
        }
        for (name, dispersion) in bench.dispersions.iter().zip(&evidence.dispersions) {
            let expected = &v.expected["dispersion"][name];
            near(dispersion.phi(), &expected["phi"], NEAR, &v.id);
            for (length, (x2, df)) in LENGTHS.iter().zip(dispersion.sums()) {
                super::all_near(&[x2, df], &expected["blocks"][length.to_string()], &v.id);
            }
        }
    }
}

#[test]
fn folds_agree_with_the_reference() {
    for v in vectors("engine") {
        follow(&v, NEAR);
    }
}

#[test]
fn long_traces_agree_with_the_reference() {
    for v in vectors("trace") {
        follow(&v, NEAR_IN_TRACES);
    }
}

fn follow(v: &super::Vector, distance: f64) {
    let mut bench = Bench::of(&v.given);
    let mut evidence = bench.evidence(&v.given["seed"]);
    let mut step = None;
    for (number, (given, expected)) in
        (1..).zip(v.given["ticks"].as_array().unwrap().iter().zip(v.expected["ticks"].as_array().unwrap()))
    {
        bench.bound(&evidence);
        let tick = bench.tick(number, given);
        let now = Moment {
            t: number,
            warmup: tick.warmup,
            stable_planned: tick.stable_planned,
            enters_step: step.is_some_and(|step| step != tick.step),
        };
        step = Some(tick.step);
        evidence.fold(&bench.plan, (ALPHA, BETA), &tick, &now);
        compare(&bench, &evidence, &now, expected, (&format!("{} tick {number}", v.id), distance));
    }
    let found = |class| {
        let breach = evidence.breaches[class as usize];
        breach.map_or(Value::Null, |breach| json!({"tick": breach.tick, "gate": bench.names[breach.culprit]}))
    };
    let class = if evidence.total(&bench.plan, Class::Rollback).is_some() { Class::Rollback } else { Class::Hold };
    assert_eq!(found(class), v.expected["decision"], "{}", v.id);
    assert_eq!(found(Class::Hold), v.expected.get("decision_hold").cloned().unwrap_or(found(Class::Hold)), "{}", v.id);
}

fn compare(bench: &Bench, evidence: &Evidence, now: &Moment, expected: &Value, (what, distance): (&str, f64)) {
    let results: Vec<_> =
        (0..bench.names.len()).map(|at| standing(&bench.plan, evidence, at, now, (ALPHA, BETA))).collect();
    let counted = results.iter().map(|(result, _)| *result).filter(|result| *result != Outcome::NotApplicable);
    let named = |wanted: &dyn Fn(Outcome) -> bool| -> Value {
        bench
            .names
            .iter()
            .zip(&results)
            .filter(|(_, (result, _))| wanted(*result))
            .map(|(name, _)| json!(name))
            .collect()
    };
    if expected["gates"].is_null() {
        assert_eq!(named(&|result| result == Outcome::Degraded), expected["degraded"], "{what}");
        assert_eq!(named(&|result| result > Outcome::Degraded), expected["no_pass"], "{what}");
    } else {
        let gates: Map<String, Value> =
            bench.names.iter().zip(&results).map(|(name, result)| (name.clone(), json!(result))).collect();
        assert_eq!(Value::Object(gates), expected["gates"], "{what}");
    }
    assert_eq!(json!(counted.max().unwrap_or(Outcome::Pass)), expected["result"], "{what}");
    for (at, name) in bench.names.iter().enumerate() {
        if !expected["ln_e"].is_null() {
            let found = libm::log(bench.plan.gates[at].weight * evidence.gates[at].value());
            near(found, &expected["ln_e"][name], distance, &format!("{what} {name}"));
        }
    }
    let total = |class| evidence.total(&bench.plan, class).map(libm::log);
    let first = total(Class::Rollback).or_else(|| total(Class::Hold)).unwrap();
    near(first, &expected["ln_total"], distance, &format!("{what} total"));
    if !expected["ln_total_hold"].is_null() {
        near(total(Class::Hold).unwrap(), &expected["ln_total_hold"], distance, &format!("{what} hold"));
    }
    let awake =
        bench.plan.gates.iter().zip(&evidence.gates).filter(|(gate, _)| !gate.is_relative() || now.stable_planned);
    let least = awake.filter_map(|(_, state)| state.proved).reduce(f64::min);
    match least {
        Some(least) => near(
            if expected["gates"].is_null() { least.min(1e12) } else { least },
            &expected["accept_min"],
            distance,
            &format!("{what} proof"),
        ),
        None => assert!(expected["accept_min"].is_null(), "{what}"),
    }
    let out: Value = bench
        .names
        .iter()
        .zip(&evidence.gates)
        .filter(|(_, state)| state.attribution == Attribution::Blind)
        .map(|(name, _)| json!(name))
        .collect();
    assert_eq!(out, expected.get("unattributed").cloned().unwrap_or(json!([])), "{what}");
    for (at, gate) in bench.plan.gates.iter().enumerate() {
        if let Dispersed::Estimated(of) = gate.phi {
            near(evidence.phi[at], &expected["phi"][&bench.dispersions[of]], distance, &format!("{what} phi"));
        }
    }
}
