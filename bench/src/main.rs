//! `./x bench`: what tidegate's speed is, each figure beside its floor from the same run.
//!
//! A floor is the same work without our code: bare loops over the same rows and sockets, in plain sight beside each figure.
//! Machines are shared and noisy, so the ratios are what can be compared, and each figure is the median of three rounds.

mod deadlines;
mod distributed;
mod figure;
mod floor;
mod house;
mod judge;
mod lookup;
mod memory;
mod moves;
mod proxy;
mod receivers;
mod steps;

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Parser, ValueEnum};

use figure::{Figure, Sheet};

/// Measures tidegate, each figure beside its floor from the same run
#[derive(Debug, Parser)]
struct Arguments {
    /// Measure only these; all when none is named
    #[arg(value_enum)]
    what: Vec<What>,
    /// Write the table into this file, between its two markers
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Rollouts of each scenario in the study of the judge: 400 tell the methods apart, 4,000 hold a bound of 1 %
    #[arg(long, default_value_t = 400, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Draw the study of the judge into this file, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Steps a second through scheduler, store and bus
    Steps,
    /// How late deadlines fire
    Deadlines,
    /// From a promote, and from a breach, to the split at the router
    Moves,
    /// Rollbacks while every receiver of messages fails
    Receivers,
    /// The router beside HAProxy
    Proxy,
    /// Route lookup and bucketing
    Lookup,
    /// Memory with 1,000 waiting rollouts
    Memory,
    /// The judge alone: its speed, and how often it is right, beside other ways to judge
    Judge,
    /// Of processes over NATS and PostgreSQL: events, a backlog, the relay
    DistributedSteps,
    /// Of processes over NATS and PostgreSQL: how late deadlines fire
    DistributedDeadlines,
    /// Of processes over NATS and PostgreSQL: routes, promotes and breaches
    DistributedMoves,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    chassis::start_logging("error");
    let arguments = Arguments::parse();
    let mut sheet = Sheet::default();
    let mut failed = Vec::new();
    for &what in What::value_variants() {
        if !arguments.what.is_empty() && !arguments.what.contains(&what) {
            continue;
        }
        let name = what.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        figure::say(&format!("measuring {name}"));
        match what.measure(&arguments).await {
            Ok(figures) => figures.into_iter().for_each(|figure| sheet.add(figure)),
            Err(error) => {
                // What the others took their minutes for is not lost.
                figure::say(&format!("{name} can't be measured: {error:#}"));
                failed.push(name);
            }
        }
    }
    sheet.print();
    if let Some(file) = &arguments.save {
        sheet.save(file)?;
        figure::say(&format!("wrote the table into {}", file.display()));
    }
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

impl What {
    async fn measure(self, arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
        match self {
            Self::Steps => steps::measure().await,
            Self::Deadlines => deadlines::measure().await,
            Self::Moves => moves::measure().await,
            Self::Receivers => receivers::measure().await,
            Self::Proxy => proxy::measure().await,
            Self::Lookup => Ok(vec![lookup::measure()?]),
            Self::Judge => judge::measure(arguments.runs, arguments.plot.as_deref()),
            Self::Memory => Ok(vec![memory::measure().await?]),
            Self::DistributedSteps => distributed::steps().await,
            Self::DistributedDeadlines => distributed::deadlines().await,
            Self::DistributedMoves => distributed::moves().await,
        }
    }
}
