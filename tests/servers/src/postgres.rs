//! A real PostgreSQL server with a folder of its own, which ends with its owner.
//!
//! The first one of a build makes a template of such a folder; the others copy it, which is quicker than `initdb`. The server
//! listens on a socket in its folder alone. It refuses to run as root, so for root it is the user `postgres` who runs it.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection, Row as _};
use store::Store;
use tempfile::TempDir;

use crate::LIMIT;

/// Where Debian keeps the programs of servers, by version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// As many connections as a service that is not stage-scheduler.
const CONNECTIONS: u32 = 4;

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    folder: TempDir,
    settings: Vec<String>,
}

impl Postgres {
    /// One that forgets at a power loss what it said was written, which no test here waits for.
    pub fn start() -> Self {
        Self::start_with(&["fsync=off"])
    }

    /// One with settings of its own.
    pub fn start_with(settings: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings)
    }

    /// The same in a folder, which goes with it.
    pub fn start_in(folder: TempDir, settings: &[&str]) -> Self {
        let (template, folder) = (template(), opened(folder));
        copy(&template, &folder.path().join("data"));
        std::fs::create_dir(folder.path().join("socket")).unwrap();
        give_away(folder.path());
        let settings: Vec<_> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let child = spawn(folder.path(), &settings);
        Self { child, folder, settings }
    }

    /// Where it is, for the user who may do everything.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Where it is, for a user, who needs no password.
    pub fn url_of(&self, user: &str) -> String {
        format!("postgres://{user}@localhost/tidegate?host={}", self.folder.path().join("socket").display())
    }

    /// Its socket, for those who stand between it and its clients.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket/.s.PGSQL.5432")
    }

    /// A store on it, with the schema of this release.
    pub async fn store(&self) -> Store {
        Store::migrate(&self.url()).await.unwrap();
        Store::connect(&self.url(), CONNECTIONS).await.unwrap()
    }

    /// A session of its own, as an operator has it.
    pub async fn session(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Says a statement, or some, in a session of its own.
    pub async fn say(&self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(&mut self.session().await).await.unwrap();
    }

    /// Waits until the answer to `question` about `$1` is yes.
    pub async fn until(&self, question: &'static str, number: i64) {
        let mut session = self.session().await;
        let since = Instant::now();
        while !sqlx::query(question).bind(number).fetch_one(&mut session).await.unwrap().get::<bool, _>(0) {
            assert!(since.elapsed() < LIMIT, "{question} {number}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it wrote into its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Ends it at once, as a crash does: nothing is finished, nothing is told to clients.
    pub fn crash(&mut self) {
        // SIGQUIT: after SIGKILL its shared memory would stay until the machine is started anew.
        Command::new("kill").args(["-s", "QUIT", &self.child.id().to_string()]).status().unwrap();
        self.child.wait().unwrap();
    }

    /// A copy of what one that is down has on disk, to be put back.
    pub fn copy_data(&self) -> TempDir {
        let backup = open_folder();
        copy(&self.data(), &backup.path().join("data"));
        backup
    }

    /// Puts a copy into the place of what one that is down has on disk.
    pub fn put_back(&self, backup: &TempDir) {
        std::fs::remove_dir_all(self.data()).unwrap();
        copy(&backup.path().join("data"), &self.data());
        give_away(self.folder.path());
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Whether it has ended by itself, as it does when it can't write what has happened.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Starts it over what it has on disk, at the same address.
    pub fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), &self.settings);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.crash();
        }
    }
}

/// The newest version that is installed.
fn version() -> u32 {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten();
    let numbers = versions.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    numbers.max().expect("PostgreSQL is installed: `./x test` does it")
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A program of the server, as a user whom it accepts; it ends when the test is killed.
fn program(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command
        .arg(Path::new(VERSIONS).join(version().to_string()).join("bin").join(name))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// A folder with a short name, as the names of sockets must be, which the server's user can enter.
fn open_folder() -> TempDir {
    opened(tempfile::tempdir().unwrap())
}

fn opened(folder: TempDir) -> TempDir {
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

fn give_away(folder: &Path) {
    if is_root() {
        assert!(Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder).status().unwrap().success());
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args(["--archive", "--reflink=auto"]).args([from, to]).status().unwrap().success());
}

/// The folder of a server that was never used, but for its empty database.
fn template() -> PathBuf {
    let templates = crate::target().join("tmp");
    let template = templates.join(format!("postgres-{}", version()));
    if template.is_dir() {
        return template;
    }
    std::fs::create_dir_all(&templates).unwrap();
    let folder = open_folder();
    give_away(folder.path());
    let data = folder.path().join("data");
    // Its own order of text is another than ours, as on most servers: ours must not depend on it.
    let made = program("initdb")
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu"])
        .args(["--icu-locale=en-US", "--wal-segsize=1", "--no-sync", "--no-instructions", "--pgdata"])
        .arg(&data)
        .status()
        .expect("setpriv is installed");
    assert!(made.success());
    // One database is enough, and quicker to copy than four.
    let renamed = "alter database postgres rename to tidegate";
    let plain = "update pg_database set datistemplate = false";
    alone(&data, "template1", &[renamed, plain, "drop database template0"]);
    alone(&data, "tidegate", &["drop database template1"]);
    // Those that do this at the same time make the same.
    let own = tempfile::tempdir_in(&templates).unwrap();
    copy(&data, &own.path().join("data"));
    match std::fs::rename(own.path().join("data"), &template) {
        Ok(()) => template,
        Err(cause) => {
            assert!(template.is_dir(), "{cause}");
            template
        }
    }
}

/// Says statements to a database without a server.
fn alone(data: &Path, database: &str, statements: &[&str]) {
    let mut session = program("postgres");
    session.args(["--single", "-j", "-D"]).arg(data).arg(database).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut session = session.spawn().unwrap();
    for statement in statements {
        write!(session.stdin.as_ref().unwrap(), "{statement};\n\n").unwrap();
    }
    drop(session.stdin.take());
    assert!(session.wait().unwrap().success());
}

/// Starts a server and waits until it takes connections.
fn spawn(folder: &Path, settings: &[String]) -> Child {
    let data = folder.join("data");
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let socket = format!("unix_socket_directories={}", folder.join("socket").display());
    let own = ["listen_addresses=", "shared_buffers=16MB", "max_connections=50", &socket];
    let all = own.into_iter().chain(settings.iter().map(String::as_str));
    let mut child = program("postgres")
        .args(["-D", data.to_str().unwrap()])
        .args(all.flat_map(|setting| ["-c", setting]))
        .stderr(log)
        .spawn()
        .unwrap();
    let since = Instant::now();
    // The last line of this file tells how far it is.
    while !std::fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| text.trim_end().ends_with("ready")) {
        let said = || std::fs::read_to_string(folder.join("log")).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "PostgreSQL ended: {}", said());
        assert!(since.elapsed() < LIMIT, "PostgreSQL does not start: {}", said());
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}
