//! A service as a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use store::Store;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin;
use crate::clock::Clock;
use crate::config::Environment;
use crate::core::Core;
use crate::prometheus::Prometheus;
use crate::telemetry::start_logging;

/// Runs one service until it is told to stop: the whole of a `main.rs`.
///
/// `TIDEGATE_DATA` names the folder (default `tidegate-data`), `TIDEGATE_ADMIN` the address of the admin pages.
#[must_use]
pub fn run(serve: impl FnOnce(&Core)) -> ExitCode {
    start_logging("info");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(alone(serve)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn alone(serve: impl FnOnce(&Core)) -> anyhow::Result<()> {
    let mut environment = Environment::of_process();
    let data: PathBuf = environment.read("TIDEGATE_DATA", PathBuf::from("tidegate-data"));
    let admin_at = environment.read("TIDEGATE_ADMIN", SocketAddr::from(([127, 0, 0, 1], 7090)));
    let prometheus = Prometheus::read(&mut environment);
    environment.finish()?;
    let core = Core { prometheus, ..Core::start(Store::open(&data).await?, Clock::system()).await? };
    admin::listen(&core, admin_at).await?;
    serve(&core);
    let told = core.until_told().await;
    anyhow::ensure!(core.stop().await, "some work did not end within 10 s");
    told
}

/// Waits for SIGTERM or SIGINT; a second one ends the process at once, which is safe.
///
/// # Errors
/// When signals can't be listened to.
pub async fn until_signal() -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        std::process::exit(130);
    });
    Ok(())
}
