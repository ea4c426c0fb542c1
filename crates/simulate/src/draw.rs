//! Ticks drawn at random: counts of independent requests, in the cells that routers count into.

use judge::{Counts, Metric, Resolved, SeriesSignals, Signal, SignalName, Signals, signal::add_signal};
use rand_pcg::Pcg64Mcg;

use crate::cells::{latency_cells, value_cells};
use crate::chance::{Poisson, binomial, spread};
use crate::traffic::{Effect, Items, Traffic};

/// One arm with so many requests a tick, ready to be drawn from.
#[derive(Debug, Clone)]
pub struct Arm {
    pods: Vec<Pod>,
    /// The histograms that are read: of whole answers, of first bytes, or both; one is as the other here.
    read: Vec<SignalName>,
    observed: Vec<Observed>,
}

/// What an arm counts in a tick.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drawn {
    /// The whole arm.
    pub signals: Signals,
    /// Its requests by pod, if it has several.
    pub series: SeriesSignals,
}

/// The requests of one pod; or of a whole arm, where nobody asks for its pods.
#[derive(Debug, Clone)]
struct Pod {
    error_rate: f64,
    requests: Requests,
}

/// The requests of a tick: how many, or how many in each cell of the latency histogram. A Poisson number of requests that fall into
/// cells is a Poisson number in each cell, independent of the others.
#[derive(Debug, Clone)]
enum Requests {
    Counted(Poisson),
    Timed(Vec<(usize, Poisson)>),
}

#[derive(Debug, Clone)]
struct Observed {
    signal: SignalName,
    /// Of how many requests it comes, 0 to 1.
    share: f64,
    kind: Kind,
    /// Where values are cut, if they are.
    cap: Option<f64>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Zeros and ones.
    Share(f64),
    /// Values with their shares.
    Values(Vec<(f64, f64)>),
}

impl Arm {
    /// What the checks of a policy read of an arm with so many requests a tick in the mean, spread evenly over pods: each differs by
    /// its effect from what stable answers.
    #[must_use]
    pub fn new(resolved: &Resolved, traffic: &Traffic, pods: &[Effect], requests: f64) -> Self {
        let (mut read, mut observed) = (Vec::new(), Vec::<Observed>::new());
        for check in &resolved.checks {
            let signal = check.kind.signal();
            if matches!(&check.kind, Metric::Quantile { .. }) && !read.contains(signal) {
                read.push(signal.clone());
            }
            let Some(name) = signal.observed() else { continue };
            if observed.iter().any(|known| known.signal == *signal) {
                continue;
            }
            let items = traffic.items(name, matches!(check.kind, Metric::Proportion { .. }));
            let factor = pods.first().and_then(|effect| effect.observed.get(name)).copied().unwrap_or(1.0);
            let share = traffic.share_of(&check.kind);
            let cap = resolved.cap_of(signal, items.mean, items.mean_square());
            observed.push(Observed { signal: signal.clone(), share, kind: kind(items, factor, cap), cap });
        }
        let each = requests / pods.len() as f64;
        let mut made: Vec<Pod> = Vec::new();
        for (at, effect) in pods.iter().enumerate() {
            let pod = match made.last() {
                Some(last) if pods[at - 1] == *effect => last.clone(),
                _ => Pod::new(&traffic.with(effect), each, !read.is_empty()),
            };
            made.push(pod);
        }
        Self { pods: made, read, observed }
    }

    /// The signals of a tick.
    #[must_use]
    pub fn draw(&self, chance: &mut Pcg64Mcg) -> Drawn {
        let mut drawn = Drawn::default();
        let mut n = 0;
        for (at, pod) in self.pods.iter().enumerate() {
            let (requests, signals) = pod.draw(&self.read, chance);
            n += requests;
            for (name, signal) in signals {
                add_signal(&mut drawn.signals, &name, &signal);
                if self.pods.len() > 1 {
                    drawn.series.entry(name).or_default().insert(at.to_string(), signal);
                }
            }
        }
        for Observed { signal, share, kind, cap } in &self.observed {
            let items = if *share < 1.0 { binomial(n, *share, chance) } else { n };
            if items > 0 {
                drawn.signals.insert(signal.clone(), kind.draw(items, *cap, chance));
            }
        }
        drawn
    }
}

impl Pod {
    fn new(answers: &Traffic, requests: f64, is_timed: bool) -> Self {
        let requests = if is_timed {
            let cells = latency_cells(answers.latency_median_ms, answers.latency_sigma).into_iter();
            Requests::Timed(cells.map(|(cell, share)| (cell, Poisson::new(requests * share))).collect())
        } else {
            Requests::Counted(Poisson::new(requests))
        };
        Self { error_rate: answers.error_rate, requests }
    }

    fn draw(&self, read: &[SignalName], chance: &mut Pcg64Mcg) -> (u64, Signals) {
        let mut signals = Signals::new();
        let n = match &self.requests {
            Requests::Counted(number) => number.draw(chance),
            Requests::Timed(cells) => {
                let mut counts = Counts::new();
                cells.iter().for_each(|(cell, number)| counts.add_events(*cell, number.draw(chance)));
                let n = counts.total();
                if n > 0 {
                    let histogram = |name: &SignalName| (name.clone(), Signal::Histogram { counts: counts.clone() });
                    signals.extend(read.iter().map(histogram));
                }
                n
            }
        };
        if n > 0 {
            let failed = binomial(n, self.error_rate, chance);
            signals.insert(SignalName::error(), Signal::Count { k: failed as f64, n: n as f64 });
        }
        (n, signals)
    }
}

impl Kind {
    fn draw(&self, items: u64, cap: Option<f64>, chance: &mut Pcg64Mcg) -> Signal {
        let n = items as f64;
        match self {
            Self::Share(share) => {
                let ones = binomial(items, *share, chance) as f64;
                Signal::Mean { n, s1: ones, s2: ones, cap }
            }
            Self::Values(cells) => {
                let (mut s1, mut s2) = (0.0, 0.0);
                spread(items, cells, chance, |value, events| {
                    s1 += value * events as f64;
                    s2 += value * value * events as f64;
                });
                Signal::Mean { n, s1, s2, cap }
            }
        }
    }
}

fn kind(items: Items, factor: f64, cap: Option<f64>) -> Kind {
    match items.sd {
        None => Kind::Share((items.mean * factor).clamp(0.0, 1.0)),
        Some(sd) => {
            let mut cells = value_cells(items, sd, factor);
            cells.iter_mut().for_each(|(value, _)| *value = cap.map_or(*value, |cap| value.min(cap)));
            Kind::Values(cells)
        }
    }
}
