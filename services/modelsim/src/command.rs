//! The binary: flags and environment in, one simulator until it is told to end.

use std::future::{Future, pending};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use serde_json::Value;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::dials::Dials;
use crate::simulator::{Config, Simulator};

/// What the kernel's out-of-memory killer leaves behind: 128 + SIGKILL.
const EXIT_KILLED: u8 = 137;

#[derive(Debug, Parser)]
#[command(name = "modelsim", version, about = "A model server with dials")]
struct Arguments {
    /// Where to listen; port 0 takes a free one, which is printed.
    #[arg(long, env = "MODELSIM_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The model's name.
    #[arg(long, env = "MODEL_NAME")]
    name: Option<String>,
    /// The model's version.
    #[arg(long = "model-version", env = "MODEL_VERSION")]
    model_version: Option<String>,
    /// Seed of all randomness: the same seed behaves the same again.
    #[arg(long, env = "MODELSIM_SEED", default_value_t = 1)]
    seed: u64,
    /// Dials at the start, as a JSON object: '{"error_rate": 0.03}'.
    #[arg(long, env = "MODELSIM_DIALS", default_value = "{}")]
    dials: String,
    /// End abruptly with code 137 after so long, as if out of memory.
    #[arg(long, env = "MODELSIM_EXIT_AFTER_MS")]
    exit_after_ms: Option<u64>,
}

/// Runs the binary: the whole of `main`.
#[must_use]
pub fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        // Nobody is left to tell when even this can't be written.
        let _ = writeln!(io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("could not start the runtime")?.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // The handlers are installed before the address is printed, so a signal after that line is never lost.
    let asked_to_stop = asked_to_stop()?;
    let exit_after = arguments.exit_after_ms.map(Duration::from_millis);
    let running = Simulator::start(config(arguments)?).await?;
    writeln!(io::stdout(), "modelsim listens on {}", running.url())?;
    let dies = async {
        match exit_after {
            Some(exit_after) => sleep(exit_after).await,
            None => pending().await,
        }
    };
    select! {
        () = asked_to_stop => {
            running.stop().await;
            Ok(ExitCode::SUCCESS)
        }
        () = dies => Ok(ExitCode::from(EXIT_KILLED)),
    }
}

fn config(arguments: Arguments) -> anyhow::Result<Config> {
    let changes: Value = serde_json::from_str(&arguments.dials).context("--dials is not JSON")?;
    let dials = Dials::default().changed_by(&changes).context("--dials cannot be used")?;
    Ok(Config {
        listen: arguments.listen,
        name: arguments.name.clone().unwrap_or_else(|| "sentiment".to_owned()),
        version: arguments.model_version.clone().unwrap_or_else(|| "unversioned".to_owned()),
        env_name: arguments.name,
        env_version: arguments.model_version,
        seed: arguments.seed,
        dials,
    })
}

fn asked_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    Ok(async move {
        select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}
