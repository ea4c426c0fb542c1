//! Who may do what in the database (RELIABILITY section 2.7), both ways: what is not here is refused.

use std::collections::BTreeSet;

use super::*;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

const SERVICES: [&str; 7] =
    ["stage_scheduler", "registry_writer", "analyzer", "traffic_updater", "deployer", "notifier", "api"];

/// What each role may do to a table beside the chassis' own: select, insert, update, delete.
const RIGHTS: [(&str, &str, &str); 17] = [
    ("stage_scheduler", "rollout route beat", "siu"),
    ("stage_scheduler", "transition refusal", "si"),
    ("stage_scheduler", "stop", "s"),
    ("registry_writer", "model policy model_registry", "siu"),
    ("registry_writer", "promotion", "si"),
    ("registry_writer", "rollout route", "s"),
    ("analyzer", "tick", "sid"),
    ("analyzer", "judge_state", "siu"),
    ("analyzer", "observation baseline", "siud"),
    ("analyzer deployer notifier", "rollout", "s"),
    ("traffic_updater", "target_state", "siud"),
    ("traffic_updater", "route beat stop", "s"),
    ("deployer", "workload", "siud"),
    ("notifier", "delivery", "siud"),
    ("notifier", "transition", "s"),
    ("api", "idempotency", "siud"),
    ("api", "stop", "si"),
];

/// What every service does to the rows of the chassis, which are its own; api asks for replays instead of doing them.
const OF_ALL: [(&str, &str); 3] =
    [("inbox outbox parked suspect", "siud"), ("unparked", "i"), ("_sqlx_migrations", "s")];

/// What api shows.
const SHOWN: &str = "model policy model_registry promotion rollout transition refusal route tick judge_state observation baseline \
    target_state workload delivery unparked beat";

fn expected() -> BTreeSet<(String, String, char)> {
    let each = |services: &str, tables: &str, rights: &str| {
        let mut all = Vec::new();
        for service in services.split(' ') {
            for table in tables.split_whitespace() {
                all.extend(rights.chars().map(|right| (format!("tidegate_{service}"), table.to_owned(), right)));
            }
        }
        all
    };
    let all = SERVICES.join(" ");
    let mut rights: BTreeSet<_> =
        RIGHTS.iter().flat_map(|(services, tables, rights)| each(services, tables, rights)).collect();
    rights.extend(OF_ALL.iter().flat_map(|(tables, rights)| each(&all, tables, rights)));
    rights.extend(each(&SERVICES[..6].join(" "), "replay", "sd"));
    rights.extend(each("api", "replay", "sid"));
    rights.extend(each("api", SHOWN, "s"));
    rights
}

/// What the server lets a role do to a table, by its own answers.
async fn allowed(session: &mut PgConnection, role: &str, (table, column): &(String, String)) -> String {
    let statements = [
        ('s', format!("select * from {table} limit 0")),
        ('i', format!("insert into {table} default values")),
        ('u', format!("update {table} set {column} = {column} where false")),
        ('d', format!("delete from {table} where false")),
    ];
    let mut rights = String::new();
    for (right, statement) in statements {
        let tried = AssertSqlSafe(format!("begin; set local role {role}; {statement}"));
        let done = sqlx::raw_sql(tried).execute(&mut *session).await;
        sqlx::raw_sql("rollback").execute(&mut *session).await.unwrap();
        let refusal = format!("permission denied for table {table}");
        match done {
            Err(error) if error.to_string().contains(&refusal) => {}
            // Whether a row without values would be one is not what is asked.
            done => {
                assert!(done.is_ok() || right == 'i', "{role} {right} {table}: {done:?}");
                rights.push(right);
            }
        }
    }
    rights
}

#[tokio::test]
async fn each_service_may_do_what_it_does_and_nothing_else() {
    let server = Postgres::start();
    Store::migrate(&server.url()).await.unwrap();
    let mut session = server.session().await;
    // A column that the server makes itself can't be set by anybody.
    let tables = "select distinct on (relname) relname::text, attname::text from pg_class join pg_attribute on attrelid = pg_class.oid \
        where relkind = 'r' and relnamespace = 'public'::regnamespace and attnum > 0 and attidentity = '' and attgenerated = '' \
        order by relname, attnum";
    let tables = sqlx::query(tables).fetch_all(&mut session).await.unwrap();
    let (mut granted, mut text) = (BTreeSet::new(), format!("{:16} {}", "", SERVICES.join("  ")));
    for table in tables.iter().map(|row| (row.get(0), row.get(1))) {
        text.push_str(&format!("\n{:16}", table.0));
        for service in SERVICES {
            let role = format!("tidegate_{service}");
            let rights = allowed(&mut session, &role, &table).await;
            text.push_str(&format!(" {rights:.<width$} ", width = service.len()));
            granted.extend(rights.chars().map(|right| (role.clone(), table.0.clone(), right)));
        }
    }
    println!("{text}");
    assert_eq!(granted.symmetric_difference(&expected()).collect::<Vec<_>>(), Vec::<&(String, String, char)>::new());
}

#[tokio::test]
async fn no_service_marks_anothers_inbox_or_speaks_through_anothers_outbox() {
    let server = Postgres::start();
    let owner = server.store().await;
    server.say("alter role tidegate_stage_scheduler login; alter role tidegate_api login").await;
    let scheduler = Store::connect(&server.url_of("tidegate_stage_scheduler"), 2).await.unwrap();
    let api = Store::connect(&server.url_of("tidegate_api"), 2).await.unwrap();
    let refused = async |store: &Store, marks: &[Mark], messages: &[Outgoing]| {
        let mut tx = store.begin().await.unwrap();
        let marked = tx.mark(marks).await.map(drop);
        let done = match marked {
            Ok(()) => tx.say(messages).await.map(drop),
            refused => refused,
        };
        match done {
            Ok(()) => tx.commit().await.map_err(|error| error.class()),
            Err(error) => Err(error.class()),
        }
    };
    let (ours, theirs) = ([mark("stage-scheduler", "1", NOON)], [mark("analyzer", "1", NOON)]);
    assert_eq!(refused(&scheduler, &ours, &[]).await, Ok(()));
    assert_eq!(refused(&scheduler, &theirs, &[]).await, Err(Class::Code));
    assert_eq!(refused(&api, &[], &[message("1", NOON)]).await, Ok(()));
    assert_eq!(refused(&scheduler, &[], &[message("2", NOON)]).await, Err(Class::Code), "that is api's");
    let settled = async |store: &Store| {
        store.reader().await.unwrap().rows().is_settled("stage-scheduler", "/tidegate/api", "1").await.unwrap()
    };
    assert!(settled(&owner).await && settled(&scheduler).await);
    assert!(settled(&api).await, "it tells people what became of what they said");
    assert_eq!(scheduler.reader().await.unwrap().rows().said_after(0, "", 10).await.unwrap(), []);
}

#[tokio::test]
async fn the_scheduler_makes_its_step_with_the_rights_of_its_role() {
    let server = Postgres::start();
    Store::migrate(&server.url()).await.unwrap();
    server.say("alter role tidegate_stage_scheduler login; alter role tidegate_api login").await;
    let scheduler = Store::connect(&server.url_of("tidegate_stage_scheduler"), 2).await.unwrap();
    let row = rollout("a", "m", Stage::Queued);
    done(&scheduler, open(row.clone())).await;
    let mut tx = scheduler.begin().await.unwrap();
    tx.rows().foresee(std::slice::from_ref(&row.id)).await.unwrap();
    assert!(tx.rows().scene(&row.id).await.unwrap().is_some());
    assert_eq!(tx.apply(&moved(&next(&row, |next| next.stage = Stage::Preparing), 1)).await.unwrap(), Written::Done);
    let wish = Change::Wish { route: Box::new(route("m", 1)), from_generation: 0, at: NOON };
    assert_eq!(tx.apply(&wish).await.unwrap(), Written::Done);
    tx.mark(&[mark("stage-scheduler", "1", NOON)]).await.unwrap();
    let said = Outgoing { service: "stage-scheduler", ..message("1", NOON) };
    tx.say_to_relay(&[said], NOON).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(scheduler.claim("stage-scheduler", (At(NOON.0 + 1), At(NOON.0 + 2)), 10).await.unwrap().len(), 1);
    let api = Store::connect(&server.url_of("tidegate_api"), 2).await.unwrap();
    assert!(api.page().await.unwrap().rows().rollout(&row.id).await.unwrap().is_some());
    assert_eq!(class(&api, moved(&next(&row, |_| {}), 2)).await, Class::Code);
}

#[tokio::test]
async fn each_service_does_what_all_do_with_the_rights_of_its_role() {
    let server = Postgres::start();
    Store::migrate(&server.url()).await.unwrap();
    for role in SERVICES {
        let service: &'static str = role.replace('_', "-").leak();
        server.say(format!("alter role tidegate_{role} login").leak()).await;
        let store = Store::connect(&server.url_of(&format!("tidegate_{role}")), 2).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.suspect(service, "/ci", "1", NOON).await.unwrap(), 1);
        tx.trust(service, "/ci", "1").await.unwrap();
        tx.mark(&[mark(service, "1", NOON)]).await.unwrap();
        let said = Outgoing { service, ..message(service, NOON) };
        tx.say_to_relay(&[said], NOON).await.unwrap();
        tx.commit().await.unwrap();
        let claimed = store.claim(service, (At(NOON.0 + 1), At(NOON.0 + 2)), 10).await.unwrap();
        assert_eq!(claimed.len(), 1);
        let mut tx = store.begin().await.unwrap();
        tx.published(&[(claimed[0].position, Some(1))], NOON).await.unwrap();
        tx.commit().await.unwrap();
        let mut reader = store.reader().await.unwrap();
        reader.rows().replays(service).await.unwrap();
        reader.rows().parked_as_unknown(service).await.unwrap();
        let last = reader.rows().last_sequence(service, "tg.").await.unwrap();
        assert_eq!(last.map(|(sequence, _)| sequence), Some(1));
        assert_eq!(store.forget_published(service, At(NOON.0 + 1)).await.unwrap(), 1);
        assert_eq!(
            store.sweep_of(service, NOON.plus_ms(9 * 24 * 60 * 60 * 1000)).await.unwrap(),
            1,
            "{service}'s own mark"
        );
    }
}
