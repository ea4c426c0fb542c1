//! `tidegate watch` and `tidegate wait`: to the end of a rollout, and an exit code.

use std::future::pending;
use std::time::Duration;

use proto::http::RolloutView;
use tokio::time::sleep;

use crate::arguments::Which;
use crate::client::Client;
use crate::exit::Exit;
use crate::follow::{Follower, Look};
use crate::progress::{self, News};
use crate::screen::{Screen, Tone};
use crate::words::{clock, now};

mod live;

use live::Live;

const WATCH_PAUSE: Duration = Duration::from_millis(500);
const WAIT_PAUSE: Duration = Duration::from_secs(1);

/// Shows a rollout until it is final: in place on a terminal, one line for each change elsewhere.
pub(crate) async fn run(
    client: &Client,
    screen: Screen,
    which: &Which,
    limit: Option<Duration>,
) -> anyhow::Result<Exit> {
    let watched = async {
        let (mut follower, mut view) = Follower::find(client, which.which.as_str(), WATCH_PAUSE).await?;
        let live = Live::new(screen, &view);
        let mut news = None;
        loop {
            let current = News::of(&view);
            if news.as_ref() != Some(&current) {
                live.line(&told(screen, &view))?;
                for issue in current.issues_since(news.as_ref()) {
                    live.line(&screen.paint(Tone::Bad, &format!("              ! {issue}")))?;
                }
                news = Some(current);
            }
            live.show(&view);
            if view.stage.is_final() {
                live.end();
                return Ok(Exit::of_final(view.stage));
            }
            match follower.next().await? {
                Look::Seen(next) => view = *next,
                Look::Gone(why) => live.line(&format!("{why}; trying again"))?,
            }
        }
    };
    bounded(screen, limit, watched).await
}

/// Waits quietly until a rollout is final, and says how it ended.
pub(crate) async fn wait(client: &Client, screen: Screen, which: &Which, limit: Duration) -> anyhow::Result<Exit> {
    let waited = async {
        let (mut follower, mut view) = Follower::find(client, which.which.as_str(), WAIT_PAUSE).await?;
        while !view.stage.is_final() {
            if let Look::Seen(next) = follower.next().await? {
                view = *next;
            }
        }
        screen.line(format!("{} {}: {}", view.model, view.candidate, progress::line(&view)))?;
        Ok(Exit::of_final(view.stage))
    };
    bounded(screen, Some(limit), waited).await
}

async fn bounded(
    screen: Screen,
    limit: Option<Duration>,
    work: impl Future<Output = anyhow::Result<Exit>>,
) -> anyhow::Result<Exit> {
    let over = async {
        match limit {
            Some(limit) => sleep(limit).await,
            None => pending().await,
        }
    };
    tokio::select! {
        done = work => done,
        () = over => {
            screen.line("still running at the timeout; the rollout goes on")?;
            Ok(Exit::StillRunning)
        }
        _ = tokio::signal::ctrl_c() => {
            screen.line("interrupted; the rollout goes on")?;
            Ok(Exit::Interrupted)
        }
    }
}

fn told(screen: Screen, view: &RolloutView) -> String {
    format!("{}  {}", clock(now()), screen.paint(progress::tone(view.stage), &progress::line(view)))
}
