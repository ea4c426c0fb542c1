//! How the server runs the statements that are said all the time: each finds its rows by an index.
//!
//! The server itself says how it ran each statement, into its log; so what is looked at is what the store says, with its own
//! arguments, on tables as full as those of a busy week.

use super::*;

/// Makes the server tell how it runs each statement.
const TELLING: [&str; 4] = [
    "fsync=off",
    "session_preload_libraries=auto_explain",
    "auto_explain.log_min_duration=0",
    "auto_explain.log_verbose=off",
];

const FILLED: &str = "\
    insert into inbox select 'service' || n % 8, '/x', n, 'applied', null, null, n from generate_series(1, 40000) n; \
    insert into outbox (service, message_id, subject, headers, body, created_at, published_at) \
    select (array['api', 'analyzer', 'deployer', 'notifier'])[n % 4 + 1], n, 'tg.x', '{}', '{}', n, case when n < 19900 then n end from generate_series(1, 20000) n; \
    insert into rollout select 'r' || lpad(n::text, 25, '0'), 'default', 'm' || n, '2', '1', 'ann', null, null, 's', '{}', '{}', null, 1, \
    case when n > 9800 then 'gated' else 'completed' end, 0, 1, 4, 1, 0, case when n > 9800 then n end, n, n, null, n, n \
    from generate_series(1, 10000) n; \
    insert into transition select 'r' || lpad((n % 10000 + 1)::text, 25, '0'), n / 10000 + 1, 'queued', 'gated', 0, 'requested', '/x', n, '{}', 'ann', null, null, \
    n, '\\x00', '\\x00' from generate_series(0, 39999) n; \
    insert into route select 'default', 'm' || n, 1, null, '{}', n from generate_series(1, 2000) n; \
    insert into judge_state select 'r' || lpad(n::text, 25, '0'), 'default', 'm', 1, 1, '{}', '{}', null, case when n > 9800 then n end from generate_series(1, 10000) n; \
    insert into workload select 'r' || lpad(n::text, 25, '0'), '{}', 1, 'ready', null, 1, case when n > 9800 then n end from generate_series(1, 10000) n; \
    insert into delivery select 'slack', 'r' || n, 1, 'message', 'd', '{}', 's', '{}', case when n > 9800 then 'waiting' else 'sent' end, \
    1, 0, null, null, n, n from generate_series(1, 10000) n; \
    insert into parked select n, 'api', '/x', n, 's', 'malformed', 'e', '{}', '\\x00', 1, n, n, case when n < 9800 then n end \
    from generate_series(1, 10000) n; \
    insert into idempotency select 'default', n, '\\x00', n, '{}', n from generate_series(1, 20000) n; \
    insert into promotion (tenant, name, version, from_stage, to_stage, actor, rollout_id, at) \
    select 'default', 'm' || n % 200, '1', 'a', 'b', 'ann', 'r' || lpad(n::text, 25, '0'), n from generate_series(1, 20000) n; \
    analyze";

#[tokio::test]
async fn due_lists_claims_and_sweeps_read_an_index_and_never_a_whole_table() {
    let server = Postgres::start_with(&TELLING);
    let store = server.store().await;
    server.say(FILLED).await;
    let begins = server.log().len();
    let mut tx = store.begin().await.unwrap();
    tx.rows().scene(&id("a")).await.unwrap();
    tx.rows().foresee(&[id("a"), id("b")]).await.unwrap();
    tx.mark(&[mark("api", "1", NOON)]).await.unwrap();
    tx.apply(&moved(&rollout("a", "m", Stage::Gated), 1)).await.unwrap();
    let mut rows = tx.rows();
    rows.is_settled("service1", "/x", "1").await.unwrap();
    rows.due_rollouts(At(9_900), 10).await.unwrap();
    rows.due_ticks(At(9_900), 10).await.unwrap();
    rows.due_workloads(At(9_900), 10).await.unwrap();
    rows.next_delivery("slack").await.unwrap();
    rows.live(&tenant(), &model("m"), &id("a")).await.unwrap();
    rows.said_after(19_900, "tg.", 10).await.unwrap();
    rows.promotions(&tenant(), &model("m1"), 9_000, 10).await.unwrap();
    rows.parked((NOON, ""), 10).await.unwrap();
    rows.unpublished("api", 10).await.unwrap();
    tx.published(&[(3, Some(3))], NOON).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.claim("api", (NOON, NOON), 10).await.unwrap().len(), 10);
    store.postpone(&[(19_901, NOON)]).await.unwrap();
    store.publish_again("api", "tg.", At(19_000)).await.unwrap();
    store.forget_published("api", At(100)).await.unwrap();
    store.sweep(500, NOON, At(8 * 24 * 60 * 60 * 1000 + 1_000)).await.unwrap();
    let log = server.log()[begins..].to_owned();
    for index in [
        "rollout_pkey",
        "rollout_one_live",
        "rollout_due",
        "route_pkey",
        "transition_pkey",
        "judge_due",
        "workload_due",
        "delivery_due",
        "delivery_by_age",
        "outbox_pkey",
        "outbox_waiting",
        "outbox_published",
        "inbox_pkey",
        "inbox_by_age",
        "idempotency_by_age",
        "promotion_by_model",
        "parked_by_age",
    ] {
        assert!(log.contains(&format!(" using {index} ")) || log.contains(&format!(" on {index} ")), "{index}: {log}");
    }
    // Samples of routers and ledgers are few, and swept once in a while; the beat is one row.
    let whole: Vec<_> = log.lines().filter(|line| line.contains("Seq Scan on ")).collect();
    let few = ["observation", "baseline", "tick", "beat"];
    assert!(
        whole.iter().all(|line| few.iter().any(|table| line.contains(&format!("Seq Scan on {table} ")))),
        "{whole:?}\n{log}"
    );
}
