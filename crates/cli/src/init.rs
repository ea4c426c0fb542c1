//! `tidegate init`: what the distributed form needs on a nats-server.

use chassis::{Done, Size, Wanted};

use crate::arguments::InitArguments;
use crate::exit::Exit;
use crate::screen::{Screen, Tone};

pub(crate) async fn run(screen: Screen, asked: &InitArguments) -> anyhow::Result<Exit> {
    let size = if asked.small { Size::Small } else { Size::Full };
    let done =
        chassis::init(&asked.nkey.at(&asked.nats)?, Wanted { size, replicas: asked.replicas.into(), besides: &[] })
            .await?;
    let mut kept = 0;
    for done in &done {
        match done {
            Done::Made(name) => screen.line(format!("made {name}"))?,
            Done::Changed(name, what) => screen.line(format!("changed {name}: {what}"))?,
            Done::Filling(what) => screen.line(screen.paint(Tone::Careful, &format!("warning: {what}")))?,
            Done::Kept(_) => kept += 1,
        }
    }
    screen.line(format!("{kept} streams and consumers were as they should be"))?;
    Ok(Exit::Done)
}
