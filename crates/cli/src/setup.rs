//! `tidegate setup`: every key and password of the distributed form, each in the folder of the one who needs it.
//!
//! What was drawn at random stays as it is; what follows from that is written anew each time, so that a new release brings its
//! services' new permissions with it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chassis::services::{API, WITH_DATABASE};
use chassis::{ADMIN, Secret, configuration, new_seed, public_key, users};

use crate::arguments::SetupArguments;
use crate::exit::Exit;
use crate::migrate::role;
use crate::screen::Screen;

/// Whom the tables belong to.
const OWNER: &str = "tidegate_migrate";
/// Who has it reads it, and nobody writes it.
const OWN: u32 = 0o400;
/// A server of somebody else reads it, as a user that we do not know. Nobody else gets into its folder: one that is made here is the
/// owner's alone, and a container has no others.
const OTHERS: u32 = 0o444;

pub(crate) fn run(screen: Screen, asked: &SetupArguments) -> anyhow::Result<Exit> {
    let mut folder = Folder { root: asked.folder.clone(), drawn: 0, kept: 0 };
    nats(&mut folder)?;
    if !asked.cluster.is_empty() {
        cluster(&mut folder, &asked.cluster)?;
    }
    postgres(&mut folder, &asked.database)?;
    folder.drawn(&format!("{}/admin-key", API.name), || Ok(format!("tg_{}_{}", random(6)?, random(32)?)))?;
    let Folder { root, drawn, kept } = folder;
    screen.line(format!("{}: {drawn} keys and passwords are new, {kept} were there already", root.display()))?;
    Ok(Exit::Done)
}

/// An nkey for each user of the nats-server, and what the server may know of them.
fn nats(folder: &mut Folder) -> anyhow::Result<()> {
    let names = users().into_iter().map(|user| user.name);
    let mut public = BTreeMap::new();
    for name in names.chain([ADMIN]) {
        let place = format!("{name}/nkey");
        let seed = folder.drawn(&place, || Ok(new_seed()?.expose().to_owned()))?;
        public.insert(name, public_key(&seed).with_context(|| folder.path(&place).display().to_string())?);
    }
    folder.write("nats/users.conf", &configuration(|name| format!("nkey: {}", public[name])), OTHERS)
}

/// What the servers of a cluster show to each other: whoever reaches their port would be one of them otherwise, and may do everything.
fn cluster(folder: &mut Folder, hosts: &[String]) -> anyhow::Result<()> {
    let password = folder.drawn(&format!("{ADMIN}/cluster"), || random(32))?;
    let routes = hosts.iter().map(|host| format!("  \"nats-route://cluster:{}@{host}:6222\"\n", password.expose()));
    let text = format!(
        "authorization {{ user: cluster, password: \"{}\" }}\nroutes: [\n{}]\n",
        password.expose(),
        routes.collect::<String>()
    );
    folder.write("nats/cluster.conf", &text, OTHERS)
}

/// A password for each role of the database, and an address with it for each service.
fn postgres(folder: &mut Folder, database: &str) -> anyhow::Result<()> {
    let address = |role: &str, password: &Secret| format!("postgres://{role}:{}@{database}\n", password.expose());
    let owner = folder.drawn(&format!("{ADMIN}/logins/{OWNER}"), || random(32))?;
    folder.write("postgres/password", owner.expose(), OTHERS)?;
    folder.write(&format!("{ADMIN}/database"), &address(OWNER, &owner), OWN)?;
    for service in WITH_DATABASE {
        let role = role(service.name);
        let password = folder.drawn(&format!("{ADMIN}/logins/{role}"), || random(32))?;
        folder.write(&format!("{}/database", service.name), &address(&role, &password), OWN)?;
    }
    Ok(())
}

/// So many random bytes as letters, digits, `-` and `_`.
fn random(bytes: usize) -> anyhow::Result<String> {
    let mut drawn = vec![0; bytes];
    getrandom::fill(&mut drawn).context("the machine has no randomness")?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(drawn))
}

/// Where everything is put.
struct Folder {
    root: PathBuf,
    drawn: usize,
    kept: usize,
}

impl Folder {
    fn path(&self, place: &str) -> PathBuf {
        self.root.join(place)
    }

    /// The secret at a place, drawn now if there is none.
    fn drawn(&mut self, place: &str, draw: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<Secret> {
        let path = self.path(place);
        if path.try_exists().with_context(|| path.display().to_string())? {
            self.kept += 1;
        } else {
            self.write(place, &draw()?, OWN)?;
            self.drawn += 1;
        }
        Secret::read(&path).map_err(|why| anyhow!("{}: {why}", path.display()))
    }

    /// Writes a file whole, or not at all.
    fn write(&self, place: &str, text: &str, mode: u32) -> anyhow::Result<()> {
        let path = self.path(place);
        let written = || {
            let mut folders = DirBuilder::new();
            folders.recursive(true).mode(0o700);
            path.parent().map_or(Ok(()), |folder| folders.create(folder))?;
            let beside = path.with_extension("next");
            // What a crash left there may be of another mode.
            let _ = fs::remove_file(&beside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        written().with_context(|| format!("can't write {}", path.display()))
    }
}
