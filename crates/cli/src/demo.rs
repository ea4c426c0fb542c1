//! `tidegate demo`: a good, a bad or a silent version, from the promote to the end, with everything real and nothing left behind.
//!
//! One process holds the embedded form, the model servers and the load. The demo steers by the public HTTP API alone and
//! measures from outside: what sessions got, what the rollout's history says, what the routers confirmed. It fails when
//! anything is not as it should be, so it is a test of the whole as well.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;

use crate::arguments::{DemoArguments, Scenario};
use crate::client::Client;
use crate::embedded::{Embedded, Options};
use crate::exit::Exit;
use crate::screen::Screen;

mod folder;
mod keep;
mod measure;
mod play;
mod rows;
mod samples;
mod story;
mod told;
mod transcript;
mod verify;

use folder::Folder;
use play::Played;
use story::Story;
use told::Outside;
use transcript::Transcript;

/// What every story needs.
#[derive(Debug, Clone)]
struct Scene {
    client: Client,
    router: SocketAddr,
    transcript: Transcript,
    outside: Arc<Outside>,
}

pub(crate) async fn run(arguments: &DemoArguments, screen: Screen) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let folder = Folder::new().context("can't make a temporary folder")?;
    let outside = Outside::start().await.context("can't start the receivers")?;
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = Options {
        data: folder.path().to_owned(),
        listen: anywhere,
        router: Some(anywhere),
        prometheus: None,
        receivers: outside.configuration(folder.path())?,
    };
    let embedded = Embedded::start(options).await.context("can't start the embedded form")?;
    let scene = Scene {
        client: Client::new(&format!("http://{}", embedded.api), None),
        router: embedded.router.context("the demo has no router")?,
        transcript: Transcript::new(screen, began),
        outside: Arc::new(outside),
    };
    let shown = tokio::select! {
        shown = show(&scene, arguments.scenario) => shown.map(Some),
        _ = tokio::signal::ctrl_c() => Ok(None),
    };
    if let (Ok(Some(shown)), true) = (&shown, arguments.keep) {
        keep::keep(&scene, &shown.played).await?;
    }
    embedded.stop().await.context("can't stop the embedded form")?;
    Ok(match shown? {
        Some(shown) if shown.flaws.is_empty() => Exit::Done,
        Some(_) => Exit::Failed,
        None => Exit::Interrupted,
    })
}

/// What was shown.
struct Shown {
    played: Vec<Played>,
    flaws: Vec<String>,
}

async fn show(scene: &Scene, scenario: Scenario) -> anyhow::Result<Shown> {
    let transcript = &scene.transcript;
    transcript.opening(scene)?;
    let (good, bad) = (Story::good(), Story::bad());
    let played: Vec<Played> = match scenario {
        Scenario::Good => vec![play::play(scene, good).await?],
        Scenario::Bad => vec![play::play(scene, bad).await?],
        Scenario::Hang => vec![play::play(scene, Story::hang()).await?],
        Scenario::All => {
            let (good, bad) = tokio::try_join!(play::play(scene, good), play::play(scene, bad))?;
            vec![good, bad]
        }
    };
    let mut flaws = Vec::new();
    for played in &played {
        let measured = measure::measure(played);
        transcript.table(played, &measured)?;
        flaws.extend(verify::flaws(played, &measured));
        let told = scene.outside.told(played).await;
        transcript.told_outside(told)?;
        flaws.extend(told.flaw(played));
    }
    transcript.closing(&flaws)?;
    Ok(Shown { played, flaws })
}
