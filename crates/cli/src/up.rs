//! `tidegate up`: the embedded form until it is told to stop.

use crate::embedded::{Embedded, Options};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// One sentence when the folder or an address can't be used.
#[expect(clippy::print_stdout, reason = "the addresses are the command's output")]
pub async fn run(options: Options) -> anyhow::Result<()> {
    let data = options.data.clone();
    let embedded = Embedded::start(options).await?;
    println!("tidegate is up, with its data in {}", data.display());
    println!("  API      http://{}   (and, in a browser, every rollout)", embedded.api);
    match embedded.router {
        Some(router) => println!("  traffic  http://{router}   (a model is at /<model>)"),
        None => println!("  traffic  by routers of their own: tidegate router --control http://{}", embedded.api),
    }
    println!("Stop it with Ctrl-C.");
    let told = embedded.until_told().await;
    tracing::info!("stopping");
    embedded.stop().await.and(told)
}
