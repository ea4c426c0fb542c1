//! `tidegate migrate`: the schema that the services of the distributed form expect, and their passwords.

use std::path::Path;

use anyhow::anyhow;
use chassis::Secret;
use chassis::services::WITH_DATABASE;
use store::Store;

use crate::arguments::MigrateArguments;
use crate::exit::Exit;
use crate::screen::Screen;

pub(crate) async fn run(screen: Screen, asked: &MigrateArguments) -> anyhow::Result<Exit> {
    let url = read(&asked.database_file)?;
    // All of them before anything is changed.
    let roles = || WITH_DATABASE.iter().map(|service| role(service.name));
    let logins = asked
        .logins
        .as_deref()
        .map(|folder| roles().map(|role| Ok((read(&folder.join(&role))?, role))).collect::<anyhow::Result<Vec<_>>>());
    let logins = logins.transpose()?;
    Store::migrate(url.expose()).await?;
    screen.line("the schema of the database is that of this release")?;
    for (password, role) in logins.iter().flatten() {
        Store::let_in(url.expose(), role, password.expose()).await?;
    }
    if let Some(logins) = logins {
        screen.line(format!("{} roles log in with their passwords", logins.len()))?;
    }
    Ok(Exit::Done)
}

/// The role of a service in the database.
pub(crate) fn role(service: &str) -> String {
    format!("tidegate_{}", service.replace('-', "_"))
}

fn read(file: &Path) -> anyhow::Result<Secret> {
    Secret::read(file).map_err(|why| anyhow!("{}: {why}", file.display()))
}
