//! Who may do what on a real server: each user against everything that any of them does, and against what nobody may.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerError};
use chassis::{User, users};
use proto::subject::fits;
use tokio::sync::mpsc;

use super::Nats;

/// What no service does on the server's own subjects, and what would make one the others' master.
const NOBODY: &[&str] = &[
    "$JS.API.ACCOUNT.PURGE.TIDEGATE",
    "$JS.API.CONSUMER.CREATE.TG_CMD.x",
    "$JS.API.CONSUMER.DELETE.TG_LOOP.stage-scheduler",
    "$JS.API.CONSUMER.DURABLE.CREATE.TG_LOOP.stage-scheduler",
    "$JS.API.CONSUMER.PAUSE.TG_LOOP.stage-scheduler",
    "$JS.API.STREAM.CREATE.TG_CMD",
    "$JS.API.STREAM.DELETE.TG_CMD",
    "$JS.API.STREAM.MSG.DELETE.TG_CMD",
    "$JS.API.STREAM.PURGE.KV_tg_route",
    "$JS.API.STREAM.UPDATE.TG_CMD",
    "$SYS.REQ.SERVER.PING",
    "tg.cmd.x",
    "tg.out.x.x.rollout.moved",
    "x",
];
/// What would show one what is said to others.
const HEARD_BY_NOBODY: &[&str] =
    &[">", "$JS.>", "$KV.>", "$SYS.>", "_INBOX.>", "tg.>", "tg.cmd.>", "tg.in.>", "tg.obs.>"];
/// The client forgets what it is told when that is more at once.
const AT_ONCE: usize = 50;
const LIMIT: Duration = Duration::from_secs(10);

/// A subject that a pattern lets through.
fn one_of(pattern: &str) -> String {
    pattern.replace('*', "x").replace('>', "x.y")
}

/// Asks for each subject, and gives those that the server refused.
async fn refused(
    (client, told): (&Client, &mut mpsc::UnboundedReceiver<String>),
    subjects: &[String],
    (verb, expected): (&str, impl Fn(&str) -> bool),
) -> BTreeSet<String> {
    let mut refused = BTreeSet::new();
    for some in subjects.chunks(AT_ONCE) {
        let mut open = Vec::new();
        for subject in some {
            match verb {
                "publish" => client.publish(subject.clone(), "".into()).await.unwrap(),
                _ => open.push(client.subscribe(subject.clone()).await.unwrap()),
            }
        }
        client.flush().await.unwrap();
        let mut awaited = some.iter().filter(|subject| !expected(subject)).count();
        while awaited > 0 {
            let what =
                tokio::time::timeout(LIMIT, told.recv()).await.expect("the server refuses what it should").unwrap();
            refused.insert(what.split('"').nth(1).unwrap_or(&what).to_owned());
            awaited -= 1;
        }
    }
    // What should have been let through would be told now.
    client.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    refused.extend(std::iter::from_fn(|| told.try_recv().ok()));
    refused
}

async fn connected(nats: &Nats, user: &User) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    let options = ConnectOptions::with_user_and_password(user.name.to_owned(), user.name.to_owned());
    let options = options.event_callback(move |event| {
        if let Event::ServerError(ServerError::Other(what)) = event {
            let _ = tell.send(what);
        }
        async {}
    });
    (options.connect(nats.url_of(user.name)).await.unwrap(), told)
}

fn may(allowed: &BTreeSet<String>, subject: &str) -> bool {
    allowed.iter().any(|pattern| fits(pattern, subject))
}

/// A row for each subject, and a column for each user who may.
fn table(title: &str, subjects: &[String], allowed: impl Fn(&User) -> &BTreeSet<String>, users: &[User]) -> String {
    let width = subjects.iter().map(String::len).max().unwrap_or(0);
    let rows = subjects.iter().map(|subject| {
        let marks: Vec<_> =
            users.iter().map(|user| if may(allowed(user), subject) { &user.name[..2] } else { ". " }).collect();
        format!("{subject:width$}  {}", marks.join(" ")).trim_end().to_owned()
    });
    format!("{title}\n{}\n", rows.collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn each_user_may_do_what_its_service_does_and_the_server_refuses_the_rest() {
    let nats = Nats::start();
    let users = users();
    let all = |patterns: fn(&User) -> &BTreeSet<String>, more: &[&str]| -> Vec<String> {
        let known = users.iter().flat_map(patterns).map(|pattern| one_of(pattern));
        known.chain(more.iter().map(|&subject| subject.to_owned())).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let (publish, subscribe) = (all(|user| &user.publish, NOBODY), all(|user| &user.subscribe, HEARD_BY_NOBODY));
    for user in &users {
        let (client, mut told) = connected(&nats, user).await;
        for (verb, subjects, allowed) in
            [("publish", &publish, &user.publish), ("subscribe", &subscribe, &user.subscribe)]
        {
            let wrong: BTreeSet<_> = subjects.iter().filter(|subject| !may(allowed, subject)).cloned().collect();
            let refused = refused((&client, &mut told), subjects, (verb, |subject| may(allowed, subject))).await;
            assert_eq!(refused, wrong, "{} {verb}", user.name);
        }
    }
    assert!(!users.iter().any(|user| NOBODY.iter().any(|subject| may(&user.publish, subject))));
    assert!(!users.iter().any(|user| HEARD_BY_NOBODY.iter().any(|subject| may(&user.subscribe, subject))));
    let legend = users.iter().map(|user| format!("{} {}", &user.name[..2], user.name)).collect::<Vec<_>>().join(", ");
    let text = [
        format!("{legend}\n"),
        table("publish", &publish, |user| &user.publish, &users),
        table("subscribe", &subscribe, |user| &user.subscribe, &users),
    ];
    println!("{}", text.join("\n"));
    insta::assert_snapshot!(text.join("\n"));
}
