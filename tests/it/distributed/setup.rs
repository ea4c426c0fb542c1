//! What `tidegate setup` makes, taken by a real nats-server and a real PostgreSQL.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::process::{Process, command, free_address};
use crate::house::eventually;
use crate::nats::Nats;
use servers::Postgres;

/// Runs a word of the command line, which ends well, and gives what it says.
fn tidegate(words: &[&str]) -> String {
    let out = command("tidegate").args(words).output().unwrap();
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_setup_makes_lets_each_service_in_as_itself() {
    let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start());
    postgres.say("create role tidegate_migrate superuser login").await;
    let database = postgres.url().split_once('@').unwrap().1.to_owned();
    let (root, at) = (text(folder.path()), |place: &str| text(&folder.path().join(place)));
    let said = tidegate(&["setup", &root, "--database", &database]);
    assert_eq!(said, format!("{root}: 20 keys and passwords are new, 0 were there already\n"));
    let before = std::fs::read_to_string(at("nats/users.conf")).unwrap();
    let said = tidegate(&["setup", &root, "--database", &database]);
    assert_eq!(said, format!("{root}: 0 keys and passwords are new, 20 were there already\n"));
    assert_eq!(std::fs::read_to_string(at("nats/users.conf")).unwrap(), before);
    let modes = ["admin/nkey", "api/admin-key", "router/nkey", "deployer/database", "postgres/password"];
    let modes = modes.map(|place| std::fs::metadata(at(place)).unwrap().permissions().mode() & 0o777);
    assert_eq!(modes, [0o400, 0o400, 0o400, 0o400, 0o444]);

    let of_nats = tempfile::tempdir().unwrap();
    std::fs::copy(at("nats/users.conf"), of_nats.path().join("users.conf")).unwrap();
    let nats = Nats::start_in(of_nats);
    let url = format!("nats://{}", nats.url().rsplit('@').next().unwrap());
    tidegate(&["init", "--small", "--nats", &url, "--nats-nkey-file", &at("admin/nkey")]);
    let said = tidegate(&["migrate", "--database-file", &at("admin/database"), "--logins", &at("admin/logins")]);
    assert!(said.ends_with("\n7 roles log in with their passwords\n"), "{said}");
    postgres.until("select count(*) = $1 from pg_authid where rolname like 'tidegate_%' and rolcanlogin and rolpassword like 'SCRAM-SHA-256$%'", 7).await;

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let seed = |owner: &str| [("TIDEGATE_NATS_NKEY_FILE".to_owned(), at(&format!("{owner}/nkey")))];
    let start = |owner: &str| {
        Process::start(("deployer", 0), folder.path(), &seed(owner), (&url, &folder.path().join("deployer/database")))
    };
    start("deployer").until_ready(&client).await;
    // With the key of another it hears no answer, and says why.
    let log = folder.path().join("log");
    let mut other = command("deployer");
    other.env("TIDEGATE_NATS_URL", &url).envs(seed("analyzer")).env("TIDEGATE_ADMIN", free_address());
    other.env("TIDEGATE_DATABASE_URL_FILE", at("deployer/database")).stderr(std::fs::File::create(&log).unwrap());
    let mut other = other.spawn().unwrap();
    eventually("the server refuses it", async || {
        std::fs::read_to_string(&log).unwrap().contains("the nats-server refuses what deployer needs")
    })
    .await;
    other.kill().unwrap();
    other.wait().unwrap();
}
