//! `tidegate router`: a router in a process of its own until it is told to stop.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use router::{Alone, Following};

/// Runs until SIGTERM or SIGINT, or until the control plane has another router of that name.
///
/// # Errors
/// One sentence when the folder, the address or the name can't be used.
#[expect(clippy::print_stdout, reason = "the address is the command's output")]
pub(crate) async fn run(following: Following, admin: Option<SocketAddr>) -> anyhow::Result<()> {
    let (name, data, control) = (following.name.clone(), following.folder.clone(), following.control.clone());
    let alone = Alone::start(following).await.context("the router can't start")?;
    let admin = match served(&alone, admin).await {
        Ok(admin) => admin,
        Err(error) => {
            alone.stop().await;
            return Err(error);
        }
    };
    println!("tidegate router {name} is up, with its routes in {}", data.display());
    println!("  traffic  http://{}   (a model is at /<model>)", alone.addr);
    if let Some(admin) = admin {
        println!("  admin    http://{admin}   (/metrics, /readyz)");
    }
    println!("  control  {control}");
    println!("Stop it with Ctrl-C.");
    let refused = tokio::select! {
        told = chassis::until_signal() => told.map(|()| None)?,
        reason = alone.refused() => Some(reason),
    };
    tracing::info!("stopping");
    alone.stop().await;
    match refused {
        Some(reason) => bail!("{reason}"),
        None => Ok(()),
    }
}

async fn served(alone: &Alone, admin: Option<SocketAddr>) -> anyhow::Result<Option<SocketAddr>> {
    let Some(address) = admin else { return Ok(None) };
    let bound = alone.serve_admin(address).await;
    bound.map(Some).context("the router can't start; choose another address with --admin, or `--admin off`")
}
