//! What a server may do to messages: refuse them, die, lose what it had acknowledged. The outbox is the record.

use super::*;
use async_nats::jetstream::stream::Config;
use std::net::TcpListener;

/// Ids of messages, from `range`.
fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("{number:03}")).collect()
}

impl Process {
    /// Says messages, each about another model, so that many are on their way at once.
    async fn say_each(&self, ids: &[String]) {
        for some in ids.chunks(10) {
            let says = some.iter().map(|id| Say { id: id.clone(), message: stop_of(&format!("m{id}")) });
            say_all(&self.core, &says.collect::<Vec<_>>()).await;
        }
    }

    async fn settles_all(&self, ids: &[String]) {
        for id in ids {
            self.settles::<HEARS_ALL>(id).await;
        }
    }

    fn went_back(&self) -> bool {
        !self.core.metrics.counters().contains("tidegate_broker_went_back_total 0\n")
    }
}

/// How many messages are in the stream of commands.
async fn in_stream(nats: &Nats) -> u64 {
    nats.jetstream().await.get_stream("TG_CMD").await.unwrap().cached_info().state.messages
}

#[tokio::test]
async fn what_was_committed_by_a_process_that_died_is_published_by_another() {
    let (_nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    slip_in(&process, &[outgoing("1"), outgoing("2")]).await;
    process.settles::<HEARS_ALL>("2").await;
    assert_eq!(clerk.heard(), ["1", "2"]);
    process.stop().await;
}

#[tokio::test]
async fn what_is_published_twice_is_in_the_stream_once() {
    let (nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    process.say(&["1", "2"]).await;
    process.publishes_all().await;
    assert_eq!(process.core.store.publish_again("api", "tg.cmd.", At(0)).await.unwrap(), 2);
    process.publishes_all().await;
    assert_eq!(in_stream(&nats).await, 2);
    process.stop().await;
}

#[tokio::test]
async fn what_comes_twice_all_the_same_is_handled_once() {
    let (nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    process.say(&["1"]).await;
    process.settles::<HEARS_ALL>("1").await;
    let message = outgoing("1");
    nats.jetstream().await.publish(message.subject.clone(), message.body.clone().into()).await.unwrap().await.unwrap();
    eventually("it is known", async || {
        process.core.metrics.counters().contains("tidegate_redelivered_total{service=\"hears-all\"} 1\n")
    })
    .await;
    assert_eq!(clerk.heard(), ["1"]);
    process.stop().await;
}

#[tokio::test]
async fn a_full_stream_refuses_and_the_outbox_keeps_until_there_is_room() {
    let (nats, form) = on_a_server().await;
    let jetstream = nats.jetstream().await;
    let there = jetstream.get_stream("TG_CMD").await.unwrap().cached_info().config.clone();
    jetstream.update_stream(Config { max_bytes: 20_000, ..there.clone() }).await.unwrap();
    let process = Process::on(&form).await;
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    let all = ids(0..60);
    process.say_each(&all).await;
    // Whoever looks from far in the future sees what waits, and how often it was tried.
    let in_vain = async || {
        let waiting = process.core.store.claim("api", (At(i64::MAX), At(0)), 100).await.unwrap();
        waiting.iter().filter(|placed| placed.tries > 0).count()
    };
    eventually("what the stream does not take is tried in vain", async || {
        in_vain().await + clerk.heard().len() == all.len() && in_vain().await > 0
    })
    .await;
    assert_eq!(in_stream(&nats).await, clerk.heard().len() as u64);
    jetstream.update_stream(Config { max_bytes: there.max_bytes, ..there }).await.unwrap();
    process.settles_all(&all).await;
    process.publishes_all().await;
    assert_eq!((in_stream(&nats).await, clerk.heard().len()), (60, 60));
    process.stop().await;
}

#[tokio::test]
async fn a_message_that_no_stream_takes_is_parked_and_the_others_go_on() {
    let (_nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    let large = |id: &str, bytes| Outgoing { body: "x".repeat(bytes), ..outgoing(id) };
    // One is too much for the stream, the other for the server.
    slip_in(&process, &[large("large", 70_000), large("huge", 300_000)]).await;
    process.say(&["good"]).await;
    process.settles::<HEARS_ALL>("good").await;
    process.publishes_all().await;
    eventually("both are parked", async || process.parked().await.len() == 2).await;
    for row in process.parked().await {
        assert_eq!((row.service.as_str(), row.reason.as_str()), ("api", "too_large"));
        assert_eq!(row.body.len(), if row.message_id == "large" { 70_000 } else { 300_000 });
    }
    process.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_again_and_again_loses_nothing() {
    let (mut nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    let all = ids(0..900);
    for (round, some) in all.chunks(300).enumerate() {
        let kill = async {
            process.settles::<HEARS_ALL>(&some[0]).await;
            nats.kill();
            nats.start_again();
        };
        tokio::join!(process.say_each(some), kill);
        process.settles::<HEARS_ALL>(&some[299]).await;
        assert!(!process.went_back(), "round {round}");
    }
    process.settles_all(&all).await;
    process.publishes_all().await;
    let mut heard = clerk.heard();
    heard.sort();
    heard.dedup();
    assert_eq!(heard, all);
    process.stop().await;
}

#[tokio::test]
async fn what_a_server_has_lost_is_published_again() {
    let (mut nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    process.say_each(&ids(0..40)).await;
    process.publishes_all().await;
    nats.kill();
    let older = nats.copy_store();
    nats.start_again();
    process.say_each(&ids(40..120)).await;
    process.publishes_all().await;
    assert!(!process.went_back() && in_stream(&nats).await == 120);
    long_published(&process.core.store, 120).await;
    nats.kill();
    nats.put_back(&older);
    nats.start_again();
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    process.settles_all(&ids(0..120)).await;
    assert!(process.went_back());
    assert_eq!(clerk.heard().len(), 120);
    process.stop().await;
}

/// Has it that everything was published a while ago, so that nothing of it counts as lately.
async fn long_published(store: &Store, count: i64) {
    let mut tx = store.begin().await.unwrap();
    let rows: Vec<_> = (1..=count).map(|number| (number, Some(number))).collect();
    tx.published(&rows, At(0)).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_was_published_lately_comes_again_from_a_server_that_was_started_again() {
    let (mut nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    process.say_each(&ids(0..10)).await;
    process.publishes_all().await;
    nats.kill();
    let older = nats.copy_store();
    nats.start_again();
    process.say_each(&ids(10..20)).await;
    process.publishes_all().await;
    nats.kill();
    nats.put_back(&older);
    nats.start_again();
    // Another publisher is quicker: by its places alone the stream looks as if nothing were missing.
    let jetstream = nats.jetstream().await;
    for number in 0..50 {
        let message = outgoing(&format!("of another {number}"));
        jetstream.publish(message.subject, message.body.into()).await.unwrap().await.unwrap();
    }
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    process.settles_all(&ids(0..20)).await;
    process.stop().await;
}

#[tokio::test]
async fn what_no_commit_reports_is_published_all_the_same() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_ALL>::content();
        serve_handler(&process.core, &clerk);
        let trace = Trace::from_parent(None);
        let stamped = Stamped { service: "api", at: process.core.clock.now(), trace: &trace };
        let says = ["1", "2"].map(|id| Say { id: id.to_owned(), message: stop_of("m") });
        process.core.bus.publish(&stamped, &says).await.unwrap();
        process.settles::<HEARS_ALL>("2").await;
        assert_eq!(clerk.heard(), ["1", "2"]);
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn without_a_server_nothing_is_published_and_that_is_said() {
    let (mut nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    process.say(&["0"]).await;
    process.publishes_all().await;
    nats.kill();
    let trace = Trace::from_parent(None);
    let stamped = Stamped { service: "api", at: process.core.clock.now(), trace: &trace };
    let says = [Say { id: "1".to_owned(), message: stop_of("m") }];
    let refused = process.core.bus.publish(&stamped, &says).await.unwrap_err().to_string();
    assert!(refused.starts_with("nats: can't publish: "), "{refused}");
    process.say(&["2", "3"]).await;
    assert_eq!(process.waiting().await, 2);
    nats.start_again();
    process.publishes_all().await;
    process.stop().await;
}

#[tokio::test]
async fn what_was_committed_before_a_stop_is_published_by_it() {
    let (nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    process.say(&["0"]).await;
    process.publishes_all().await;
    process.say_each(&ids(1..200)).await;
    process.stop().await;
    assert_eq!(in_stream(&nats).await, 200);
}

#[tokio::test]
async fn a_consumer_that_was_made_anew_is_taken_from_again() {
    let (nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    process.say(&["1"]).await;
    process.settles::<HEARS_ALL>("1").await;
    let jetstream = nats.jetstream().await;
    jetstream.delete_consumer_from_stream("all", "TG_CMD").await.unwrap();
    process.say(&["2"]).await;
    process.publishes_all().await;
    ::chassis::init(&nats.url().parse().unwrap(), Wanted { size: Size::Small, replicas: 1, besides: CONSUMERS })
        .await
        .unwrap();
    process.settles::<HEARS_ALL>("2").await;
    process.stop().await;
}

#[tokio::test]
async fn what_waits_is_on_the_page_of_metrics() {
    let (mut nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    let clerk = Clerk::<HEARS_FEW>::shut();
    serve_handler(&process.core, &clerk);
    process.say(&["1", "2", "3"]).await;
    clerk.begins(2).await;
    process.publishes_all().await;
    let pages = Pages::of(&process).await;
    pages.become_ready(true).await;
    let page = pages.get("/metrics").await.1;
    for line in ["tidegate_outbox_waiting 0", "tidegate_consumer_lag_messages{consumer=\"few\"} 3"] {
        assert!(page.lines().any(|there| there == line), "{line}: {page}");
    }
    nats.kill();
    process.say(&["4", "5"]).await;
    let page = pages.get("/metrics").await.1;
    assert!(page.contains("tidegate_outbox_waiting 2\n") && !page.contains("consumer_lag_messages{"), "{page}");
    pages.become_ready(false).await;
    nats.start_again();
    clerk.open();
    process.settles::<HEARS_FEW>("5").await;
    pages.become_ready(true).await;
    process.stop().await;
}

/// The admin pages of a process.
struct Pages(String);

impl Pages {
    async fn of(process: &Process) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        ::chassis::admin::listen(&process.core, free).await.unwrap();
        Self(format!("http://{free}"))
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("{}{path}", self.0)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn become_ready(&self, is_so: bool) {
        let status = if is_so { 200 } else { 503 };
        eventually(&format!("readyz is {status}"), async || self.get("/readyz").await.0 == status).await;
    }
}

#[tokio::test]
async fn published_rows_are_kept_as_long_as_a_server_may_lose_them() {
    let (_nats, form) = on_a_server().await;
    let (folder, clock) = (Arc::new(tempfile::tempdir().unwrap()), Clock::manual(NOON));
    let process = Process::start_in(form, folder, clock.clone()).await;
    let clerk = Clerk::<HEARS_COMMANDS>::new(|incoming, _| {
        let commit = Commit::applied();
        Ok(if incoming.id == "1" { commit.say("of a service", stop_of("m")) } else { commit })
    });
    serve_handler(&process.core, &clerk);
    process.say(&["1"]).await;
    eventually("both are published", async || {
        // What was said before there was a connection is claimed after a second.
        clock.move_to(clock.now().plus_ms(10));
        clerk.heard().len() == 2 && process.waiting().await == 0
    })
    .await;
    assert!(clock.now() < NOON.plus_ms(60_000));
    let kept = async || {
        let rows = process.core.store.reader().await.unwrap().rows().said_after(0, "", 10).await.unwrap();
        rows.into_iter().map(|row| row.message_id).collect::<Vec<_>>()
    };
    assert_eq!(kept().await, ["1", "of a service"]);
    let minutes = |minutes: i64| NOON.plus_ms(minutes * 60_000);
    clock.move_to(minutes(9));
    clock.move_to(minutes(11));
    eventually("what can be made again goes", async || {
        clock.move_to(clock.now().plus_ms(60_000));
        kept().await == ["1"]
    })
    .await;
    assert!(clock.now() < minutes(23 * 60));
    eventually("and the other after a day", async || {
        clock.move_to(clock.now().plus_ms(60 * 60_000));
        kept().await.is_empty()
    })
    .await;
    assert!(clock.now() > minutes(24 * 60));
    process.stop().await;
}

#[tokio::test]
async fn whoever_waits_for_commits_is_woken_by_those_of_others_too() {
    let (_nats, form) = on_a_server().await;
    let process = Process::on(&form).await;
    let mut commits = process.core.bus.commits();
    commits.mark_unchanged();
    tokio::time::timeout(LIMIT, commits.changed()).await.unwrap().unwrap();
    process.stop().await;
}
