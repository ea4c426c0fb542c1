//! What a server takes, refuses and drops.

use async_nats::{ConnectOptions, Event, ServerError, jetstream};
use tokio::sync::mpsc;

use super::*;

#[tokio::test]
async fn b4_publishing_without_permission_is_silent_but_for_the_event() {
    let (nats, _) = started(stream::Config { name: "S".to_owned(), ..stream::Config::default() }).await;
    let (told, mut events) = mpsc::unbounded_channel();
    let options = ConnectOptions::with_user_and_password("mute".to_owned(), "mute".to_owned());
    let options = options.event_callback(move |event| {
        let _ = told.send(event);
        async {}
    });
    let mut jetstream = jetstream::new(options.connect(nats.url_of("mute")).await.unwrap());
    jetstream.set_timeout(Duration::from_millis(300));
    let ack = jetstream.publish("tg.cmd.t.m.rollout.stop", "x".into()).await.unwrap();
    assert_eq!(ack.await.unwrap_err().kind(), jetstream::context::PublishErrorKind::TimedOut);
    let refused = async {
        loop {
            if let Some(Event::ServerError(ServerError::Other(what))) = events.recv().await {
                return what;
            }
        }
    };
    let what = tokio::time::timeout(LIMIT, refused).await.unwrap();
    assert!(what.to_lowercase().contains("permissions violation for publish to \"tg.cmd.t.m.rollout.stop\""), "{what}");
}

#[tokio::test]
async fn b5_an_atomic_batch_with_one_known_id_is_refused_whole() {
    let (_nats, jetstream) = started(stream::Config { allow_atomic_publish: true, ..stream::Config::default() }).await;
    publish(&jetstream, "s.x", "known").await;
    let client = jetstream.client();
    let mut answer = None;
    for (number, id) in ["new", "known", "newer"].iter().enumerate() {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", "b");
        headers.insert("Nats-Batch-Sequence", (number + 1).to_string());
        headers.insert("Nats-Msg-Id", *id);
        if number == 2 {
            headers.insert("Nats-Batch-Commit", "1");
        }
        answer = Some(client.request_with_headers("s.x", headers, "x".into()).await.unwrap());
    }
    let answer: serde_json::Value = serde_json::from_slice(&answer.unwrap().payload).unwrap();
    assert_eq!(answer["error"]["err_code"], 10201, "{answer}");
    assert_eq!(jetstream.get_stream("S").await.unwrap().cached_info().state.messages, 1);
}

#[tokio::test]
async fn b6_a_nak_puts_a_message_behind_the_others() {
    let (_nats, jetstream) = started(stream::Config::default()).await;
    publish_all(&jetstream, 1..4).await;
    let consumer = consumer(&jetstream, pull::Config::default()).await;
    let first = take(&consumer, 1, Duration::from_secs(1)).await;
    first[0].ack_with(AckKind::Nak(None)).await.unwrap();
    let mut heard: Vec<_> = first.iter().chain(&take(&consumer, 3, Duration::from_secs(1)).await).map(text).collect();
    let next = heard.split_off(1);
    assert_eq!((heard.concat().as_str(), next.contains(&"1".to_owned())), ("1", true));
}

#[tokio::test]
async fn b7_a_message_that_was_terminated_or_tried_too_often_stays_and_is_not_seen_again() {
    let (_nats, jetstream) = started(stream::Config::default()).await;
    publish_all(&jetstream, 1..3).await;
    let twice = pull::Config { max_deliver: 2, ..pull::Config::default() };
    let consumer = consumer(&jetstream, twice).await;
    for message in take(&consumer, 2, Duration::from_secs(1)).await {
        let kind = if text(&message) == "1" { AckKind::Term } else { AckKind::Nak(None) };
        message.double_ack_with(kind).await.unwrap();
    }
    take(&consumer, 1, Duration::from_secs(1)).await[0].double_ack_with(AckKind::Nak(None)).await.unwrap();
    assert!(take(&consumer, 1, Duration::from_millis(300)).await.is_empty());
    let info = consumer.get_info().await.unwrap();
    let there = jetstream.get_stream("S").await.unwrap().cached_info().state.messages;
    assert_eq!((info.num_pending, there), (0, 2));
}

#[tokio::test]
async fn b10_wildcards_and_other_alphabets_are_taken_as_subjects() {
    let (_nats, jetstream) = started(stream::Config::default()).await;
    for subject in ["s.*", "s.>", "s.größe"] {
        assert!(!publish(&jetstream, subject, subject).await.duplicate, "{subject}");
    }
    for subject in ["s. x", "s.x\r\nPUB y 0"] {
        assert!(jetstream.publish(subject, "x".into()).await.is_err(), "{subject:?}");
    }
}

#[tokio::test]
async fn b11_a_write_at_a_stale_revision_is_refused() {
    let (_nats, jetstream) = started(stream::Config::default()).await;
    let at = |revision| PublishMessage::build().payload("x".into()).expected_last_subject_sequence(revision);
    let first = jetstream.send_publish("s.x", at(0)).await.unwrap().await.unwrap();
    for stale in [0, first.sequence + 1] {
        let refused = jetstream.send_publish("s.x", at(stale)).await.unwrap().await.unwrap_err();
        assert_eq!(refused.kind(), jetstream::context::PublishErrorKind::WrongLastSequence);
    }
    assert!(jetstream.send_publish("s.x", at(first.sequence)).await.unwrap().await.is_ok());
}

#[tokio::test]
async fn b14_acks_that_are_awaited_in_turn_wait_in_turn() {
    let nats = Nats::start();
    let mut jetstream = nats.jetstream_of("mute").await;
    jetstream.set_timeout(Duration::from_millis(200));
    let sent = async || join_all((0..5).map(|_| jetstream.publish("tg.x", "x".into()))).await;
    let since = Instant::now();
    for ack in sent().await {
        assert!(ack.unwrap().await.is_err());
    }
    let in_turn = since.elapsed();
    let since = Instant::now();
    join_all(sent().await.into_iter().map(|ack| async { assert!(ack.unwrap().await.is_err()) })).await;
    assert!(in_turn >= Duration::from_secs(1) && since.elapsed() < Duration::from_millis(900), "{in_turn:?}");
}

#[tokio::test]
async fn b15_a_watch_asks_for_a_consumer_without_a_filter_in_the_subject() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let config = jetstream::kv::Config { bucket: "b".to_owned(), ..jetstream::kv::Config::default() };
    let bucket = jetstream.create_key_value(config).await.unwrap();
    let mut asked = jetstream.client().subscribe("$JS.API.CONSUMER.CREATE.KV_b.>").await.unwrap();
    let mut unnamed = jetstream.client().subscribe("$JS.API.CONSUMER.CREATE.KV_b").await.unwrap();
    jetstream.client().flush().await.unwrap();
    let _watch = bucket.watch_all().await.unwrap();
    let subject = tokio::select! {
        asked = asked.next() => asked.unwrap().subject,
        unnamed = unnamed.next() => unnamed.unwrap().subject,
    };
    assert_eq!(subject.as_str(), "$JS.API.CONSUMER.CREATE.KV_b");
}

#[tokio::test]
async fn b17_an_id_is_known_to_the_whole_stream_for_a_tenth_of_a_second_at_least() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let window = |millis| stream::Config {
        name: "S".to_owned(),
        subjects: vec!["s.>".to_owned()],
        duplicate_window: Duration::from_millis(millis),
        ..stream::Config::default()
    };
    let refused = jetstream.create_stream(window(99)).await.unwrap_err();
    assert!(refused.to_string().contains("10052"), "{refused}");
    jetstream.create_stream(window(60_000)).await.unwrap();
    assert!(!publish(&jetstream, "s.one", "1").await.duplicate);
    assert!(publish(&jetstream, "s.other", "1").await.duplicate, "the second publisher's message is dropped");
    assert!(jetstream.update_stream(window(100)).await.is_ok());
}

#[tokio::test]
async fn b18_whoever_may_make_a_consumer_can_overwrite_that_of_another() {
    let (_nats, jetstream) = started(stream::Config::default()).await;
    let theirs =
        consumer(&jetstream, pull::Config { filter_subject: "s.theirs".to_owned(), ..pull::Config::default() });
    let theirs = theirs.await;
    consumer(&jetstream, pull::Config { filter_subject: "s.mine".to_owned(), ..pull::Config::default() }).await;
    publish(&jetstream, "s.theirs", "1").await;
    assert!(take(&theirs, 1, Duration::from_millis(300)).await.is_empty());
}
