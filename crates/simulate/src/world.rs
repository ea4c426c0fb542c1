//! Both arms of a rollout, drawn tick by tick: whoever judges them, and however often, the same seed draws the same.

use std::f64::consts::TAU;

use judge::{Resolved, Tick};
use libm::{ceil, sin};
use rand::RngExt as _;
use rand_distr::{Distribution as _, Gamma, LogNormal};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng as _;

use crate::draw::Arm;
use crate::traffic::{Effect, Pods, Traffic, Weather};

const MINUTE_MS: i64 = 60_000;

/// How much of stable's past is known when a rollout starts.
const HOUR_MINUTES: i64 = 60;

/// The weather is another after this long.
const WEATHER_MS: i64 = 5 * MINUTE_MS;

/// The length of a wave of the weather.
const WAVE_MS: f64 = 120.0 * 60_000.0;

/// Fewest pods of the candidate and of stable.
const PODS_MIN: [f64; 2] = [1.0, 2.0];

/// Where the ticks of a simulated rollout come from.
#[derive(Debug)]
pub struct World<'a> {
    resolved: &'a Resolved,
    traffic: &'a Traffic,
    /// What is different about the candidate, and about stable.
    effects: [Effect; 2],
    chance: Pcg64Mcg,
    /// Milliseconds since the hour before the rollout began.
    now_ms: i64,
    /// Where in the wave of the weather that was, 0 to 1.
    phase: f64,
    /// What both arms suffer now.
    weather: Effect,
    /// The last tick.
    tick: Tick,
    /// The candidate's share of the traffic.
    share: f64,
    /// The candidate and stable, as they are now.
    arms: Option<[Arm; 2]>,
}

impl<'a> World<'a> {
    /// A world whose candidate differs by `effect`.
    #[must_use]
    pub fn new(resolved: &'a Resolved, traffic: &'a Traffic, effect: &Effect, seed: u64) -> Self {
        let mut chance = Pcg64Mcg::seed_from_u64(seed);
        let has_wave = traffic.weather.swing != Effect::default();
        Self {
            resolved,
            traffic,
            effects: [effect.clone(), Effect::default()],
            phase: if has_wave { chance.random() } else { 0.0 },
            chance,
            now_ms: 0,
            weather: Effect::default(),
            tick: Tick::default(),
            share: 0.0,
            arms: None,
        }
    }

    /// Stable alone, in the hour before, by minutes. Nothing is drawn if nothing learns from it.
    pub fn hour(&mut self) -> Vec<Tick> {
        let minutes = if self.resolved.sequential.gates.is_empty() { 0 } else { HOUR_MINUTES };
        let mut ticks = Vec::new();
        for _ in 0..minutes {
            let arms = self.arms(MINUTE_MS);
            let stable = arms[1].draw(&mut self.chance);
            self.arms = Some(arms);
            let (stable, stable_series) = (stable.signals, stable.series);
            ticks.push(Tick { stable_planned: true, stable, stable_series, ..Tick::default() });
        }
        ticks
    }

    /// A step begins, with so much of the traffic for the candidate.
    pub fn enter(&mut self, step: u32, share: f64) {
        self.tick = Tick { step, tick: self.tick.tick, stable_planned: share < 1.0, ..Tick::default() };
        self.share = share;
        self.arms = None;
    }

    /// The next tick of the step.
    pub fn tick(&mut self) -> Tick {
        let tick_ms = self.resolved.tick.ms().max(1);
        let arms = self.arms(tick_ms);
        let [candidate, stable] = arms.each_ref().map(|arm| arm.draw(&mut self.chance));
        self.arms = Some(arms);
        let warmup = self.tick.elapsed_ms < self.resolved.step(self.tick.step).warmup.ms();
        self.tick.tick += 1;
        self.tick.elapsed_ms += tick_ms;
        Tick {
            warmup,
            candidate: candidate.signals,
            stable: stable.signals,
            stable_series: stable.series,
            ..self.tick.clone()
        }
    }

    /// The arms for a tick of that length, which begins now and has passed when this returns.
    fn arms(&mut self, tick_ms: i64) -> [Arm; 2] {
        let begins = |every: i64| self.now_ms % every < tick_ms;
        let (weather, minute) = (begins(WEATHER_MS), begins(MINUTE_MS));
        if weather {
            self.weather = self.turn();
        }
        self.now_ms += tick_ms;
        let has_weather = self.traffic.weather != Weather::default();
        let has_noise = self.traffic.pods.is_some_and(|pods| pods.errors_sd > 0.0 || pods.latency_sd > 0.0);
        let changes = (weather && has_weather) || (minute && has_noise);
        match self.arms.take() {
            Some(arms) if !changes => arms,
            _ => [0, 1].map(|arm| self.arm(arm, tick_ms)),
        }
    }

    /// What the next five minutes are like.
    fn turn(&mut self) -> Effect {
        let weather = &self.traffic.weather;
        let middle = (self.now_ms + WEATHER_MS / 2) as f64;
        let swing = weather.swing.times(sin(TAU * (self.phase + middle / WAVE_MS)));
        let is_out = weather.outages > 0.0 && self.chance.random::<f64>() < weather.outages;
        if is_out { swing.and(&weather.outage) } else { swing }
    }

    fn arm(&mut self, arm: usize, tick_ms: i64) -> Arm {
        let rate = self.traffic.requests_per_second * [self.share, 1.0 - self.share][arm];
        let effect = self.effects[arm].and(&self.weather);
        let pods = match self.traffic.pods {
            None => vec![effect],
            Some(pods) => self.minutes(pods, (rate, PODS_MIN[arm]), &effect),
        };
        Arm::new(self.resolved, self.traffic, &pods, rate * tick_ms as f64 / 1000.0)
    }

    /// What each pod is like in this minute.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of pods")]
    fn minutes(&mut self, pods: Pods, (rate, least): (f64, f64), effect: &Effect) -> Vec<Effect> {
        let count = ceil(rate / pods.requests_per_second).max(least) as usize;
        // A mean of 1 and the variance that was said; neither distribution is drawn from without one.
        let variance = pods.errors_sd * pods.errors_sd;
        let errors = Gamma::new(1.0 / variance, variance).ok().filter(|_| variance > 0.0);
        let latency = LogNormal::new(0.0, pods.latency_sd).ok().filter(|_| pods.latency_sd > 0.0);
        let minute = |_| Effect {
            errors: errors.map_or(1.0, |errors| errors.sample(&mut self.chance)),
            latency: latency.map_or(1.0, |latency| latency.sample(&mut self.chance)),
            ..Effect::default()
        };
        (0..count).map(minute).map(|own| effect.and(&own)).collect()
    }
}
