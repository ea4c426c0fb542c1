//! `tidegate migrate`: the schema that the services of the distributed form expect.

use std::path::Path;

use anyhow::anyhow;
use chassis::Secret;
use store::Store;

use crate::exit::Exit;
use crate::screen::Screen;

pub(crate) async fn run(screen: Screen, file: &Path) -> anyhow::Result<Exit> {
    let url = Secret::read(file).map_err(|why| anyhow!("{}: {why}", file.display()))?;
    Store::migrate(url.expose()).await?;
    screen.line("the schema of the database is that of this release")?;
    Ok(Exit::Done)
}
