//! What is assumed about traffic that has not been yet.

use clap::Args;
use simulate::{Effect, Items, Traffic};

use super::parse::number;

/// What requests and answers are like.
#[derive(Debug, Args)]
pub(crate) struct Assumed {
    /// Requests a second that are expected, of all versions together. `lint` warns of steps that they can't decide.
    #[arg(long, value_parser = number, value_name = "N")]
    pub(crate) rate: Option<f64>,
    /// The share of requests that fail today.
    #[arg(long, default_value = "1%", value_parser = percent, value_name = "SHARE")]
    errors: f64,
    /// The median time of an answer today, in milliseconds.
    #[arg(long, default_value_t = 800.0, value_parser = number, value_name = "MS")]
    latency: f64,
    /// The spread of its logarithm: with 0.6 the p95 is 2.7 times the median.
    #[arg(long, default_value_t = 0.6, value_parser = number, value_name = "N")]
    sigma: f64,
    /// The share of requests that are judged; averages, such as `avg_cost_usd`, are of all.
    #[arg(long, default_value = "10%", value_parser = percent, value_name = "SHARE")]
    observed: f64,
    /// What an observation is like today: its mean, and its standard deviation if it is no share, such as `hallucination=5%` or
    /// `quality_score=0.85:0.12`. Again for each.
    #[arg(long = "items", value_parser = items, value_name = "NAME=MEAN[:SD]")]
    items: Vec<(String, Items)>,
}

impl Assumed {
    /// The traffic, with so many requests a second unless it says how many.
    pub(crate) fn traffic(&self, default_rate: f64) -> Result<Traffic, String> {
        let rate = self.rate.unwrap_or(default_rate);
        let positive = [("--rate", rate), ("--latency", self.latency), ("--sigma", self.sigma)];
        if let Some((name, value)) = positive.iter().find(|(_, value)| *value <= 0.0) {
            return Err(format!("{name}: {value} is not above 0"));
        }
        if rate > RATE_MAX {
            return Err(format!("--rate: {rate} is above {RATE_MAX}"));
        }
        Ok(Traffic {
            requests_per_second: rate,
            error_rate: self.errors,
            latency_median_ms: self.latency,
            latency_sigma: self.sigma,
            observed_share: self.observed,
            observed: self.items.iter().cloned().collect(),
            ..Traffic::default()
        })
    }
}

/// More than this takes as long to draw as it would to serve.
const RATE_MAX: f64 = 100_000.0;

/// `errors=5`, `latency=1.5` or `NAME=0.95`, several with commas: what the bad version is like, as factors.
pub(crate) fn effect(text: &str) -> Result<Effect, String> {
    let mut effect = Effect::default();
    for part in text.split(',') {
        let (name, factor) = part.split_once('=').ok_or("write NAME=FACTOR, such as `errors=5` or `latency=1.5`")?;
        let factor: f64 = number(factor.trim().trim_end_matches('x'))?;
        if factor < 0.0 {
            return Err(format!("{name}: a factor is not below 0"));
        }
        match name.trim() {
            "errors" => effect.errors = factor,
            "latency" => effect.latency = factor,
            name => _ = effect.observed.insert(name.to_owned(), factor),
        }
    }
    Ok(effect)
}

/// `5%` or `0.05`.
fn percent(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => number(percent.trim())? / 100.0,
        None => number(text)?,
    };
    Some(share)
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "write a share such as `1%` or `0.01`".to_owned())
}

fn items(text: &str) -> Result<(String, Items), String> {
    let (name, rest) =
        text.split_once('=').ok_or("write NAME=MEAN or NAME=MEAN:SD, such as `quality_score=0.85:0.12`")?;
    let items = match rest.split_once(':') {
        Some((mean, sd)) => Items { mean: number(mean)?, sd: Some(number(sd)?) },
        None => Items { mean: percent(rest)?, sd: None },
    };
    if items.mean < 0.0 || items.sd.is_some_and(|sd| sd <= 0.0) {
        return Err("a mean is not below 0, and a standard deviation above it".to_owned());
    }
    Ok((name.to_owned(), items))
}
