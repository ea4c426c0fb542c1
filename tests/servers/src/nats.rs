//! A real nats-server with a port and a folder of its own, set as an operator sets it, which ends with its owner.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, ServerAddr};
use chassis::configuration;
use tempfile::TempDir;

use crate::LIMIT;

/// The settings that tidegate asks of a server; `store` and the port are the test's own.
const SETTINGS: &str = r#"
max_payload: 262144
ping_interval: "8s"
ping_max: 2
write_deadline: "5s"
max_pending: 16MB
lame_duck_duration: "30s"
http: "127.0.0.1:-1"
system_account: SYS
accounts {
  SYS { users: [{user: sys, password: sys}] }
  TIDEGATE {
    jetstream: enabled
    include "users.conf"
  }
}
"#;

/// The users of a server, unless its folder has others.
const USERS: &str = "users.conf";
/// Besides those that an operator has.
const MUTE: &str = r#"  {user: mute, password: mute, permissions: {publish: {deny: ["tg.>"]}}}"#;

/// A running nats-server, alone or with others that keep the same.
#[derive(Debug)]
pub struct Nats {
    child: Child,
    folder: TempDir,
    port: u16,
    /// Its name, and whom it is with.
    own: String,
    peers: Vec<Self>,
}

impl Nats {
    /// Starts one.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// The same in a folder, which goes with it, and with the users that are there in `users.conf`.
    pub fn start_in(folder: TempDir) -> Self {
        Self::start_as(folder, "server_name: tests\n".to_owned())
    }

    /// Three of them, which keep each stream thrice; this is the first.
    pub fn cluster() -> Self {
        // Held until all are known, so that they are three.
        let free: Vec<_> = (0..3).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let places: Vec<_> = free.iter().map(|free| free.local_addr().unwrap().to_string()).collect();
        drop(free);
        let routes = places.iter().map(|place| format!("\"nats://{place}\"")).collect::<Vec<_>>().join(", ");
        let mut all = places.iter().enumerate().map(|(number, place)| {
            let own = format!("cluster {{name: tests, listen: \"{place}\", routes: [{routes}]}}\n");
            Self::start_as(tempfile::tempdir().unwrap(), format!("server_name: tests{number}\n{own}"))
        });
        let mut first = all.next().unwrap();
        first.peers = all.collect();
        first
    }

    fn start_as(folder: TempDir, own: String) -> Self {
        let (child, port) = spawn(folder.path(), None, &own);
        Self { child, folder, port, own, peers: Vec::new() }
    }

    /// How many keep the same.
    pub fn replicas(&self) -> usize {
        1 + self.peers.len()
    }

    /// The one of them that has a name.
    ///
    /// # Panics
    /// When none has it.
    pub fn named(&mut self, name: &str) -> &mut Self {
        let own = format!("server_name: {name}\n");
        if self.own.starts_with(&own) {
            return self;
        }
        self.peers.iter_mut().find(|peer| peer.own.starts_with(&own)).unwrap()
    }

    /// Has it stand still, or go on, by a signal.
    pub fn signal(&self, signal: &str) {
        Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().unwrap();
    }

    /// Where it is, for the user who may do everything.
    pub fn url(&self) -> String {
        self.url_of("admin")
    }

    /// Where it is, for a user, whose password is the name.
    pub fn url_of(&self, user: &str) -> String {
        let peers = self.peers.iter().map(|peer| peer.port);
        let all: Vec<_> = std::iter::once(self.port).chain(peers).map(|port| format!("127.0.0.1:{port}")).collect();
        format!("nats://{user}:{user}@{}", all.join(","))
    }

    /// Its monitoring port.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn monitor(&self) -> String {
        let ports = self.folder.path().join(format!("nats-server_{}.ports", self.child.id()));
        let ports: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(ports).unwrap()).unwrap();
        ports["monitoring"][0].as_str().unwrap().to_owned()
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        end(&mut self.child);
    }

    /// Starts it over what it has on disk, at the same address.
    pub fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), Some(self.port), &self.own).0;
    }

    /// A copy of what a dead one has on disk, to be put back.
    pub fn copy_store(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.store(), copy.path());
        copy
    }

    /// Puts a copy into the place of what a dead one has on disk: an older state of it, as power loss leaves it.
    pub fn put_back(&self, copy: &TempDir) {
        std::fs::remove_dir_all(self.store()).unwrap();
        copy_folder(copy.path(), &self.store());
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A client that may do everything.
    pub async fn jetstream(&self) -> Context {
        self.jetstream_of("admin").await
    }

    /// A client that may do what `user` may.
    pub async fn jetstream_of(&self, user: &str) -> Context {
        let options = ConnectOptions::with_user_and_password(user.to_owned(), user.to_owned());
        let url = self.url_of(user);
        let all: Vec<ServerAddr> = url.split(',').map(|place| place.parse().unwrap()).collect();
        jetstream::new(options.connect(all).await.unwrap())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Starts a server and waits until it listens; without a port it takes a free one.
fn spawn(folder: &Path, port: Option<u16>, own: &str) -> (Child, u16) {
    let at = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
    let store = folder.join("store");
    let storage = format!(
        "listen: \"127.0.0.1:{at}\"\njetstream {{store_dir: {store:?}, sync_interval: always, max_file_store: 64GB, max_memory_store: 1GB}}\n"
    );
    std::fs::write(folder.join("nats.conf"), own.to_owned() + SETTINGS + &storage).unwrap();
    if !folder.join(USERS).exists() {
        let users = configuration(|name| format!("user: {name}, password: {name}"));
        std::fs::write(folder.join(USERS), users.replace("\n]\n", &format!("\n{MUTE}\n]\n"))).unwrap();
    }
    let binary = crate::target().join("nats/bin/nats-server");
    let mut child = Command::new(binary)
        .args([Path::new("--config"), &folder.join("nats.conf"), Path::new("--ports_file_dir"), folder])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .expect("nats-server is in target/nats: `./x test` puts it there");
    let said = folder.join(format!("nats-server_{}.ports", child.id()));
    let since = Instant::now();
    loop {
        let ports = std::fs::read_to_string(&said).ok().and_then(|text| serde_json::from_str(&text).ok());
        let ports: serde_json::Value = ports.unwrap_or_default();
        let address = ports["nats"][0].as_str().and_then(|url| url.rsplit(':').next()?.parse().ok());
        if let Some(port) = address {
            return (child, port);
        }
        let log = || std::fs::read_to_string(folder.join("log")).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "nats-server ended: {}", log());
        assert!(since.elapsed() < LIMIT, "nats-server does not listen: {}", log());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
