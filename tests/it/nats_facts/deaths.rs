//! What a server's death, and an older state of its disk, lose and keep.

use super::*;

#[tokio::test]
async fn b0_a_killed_server_loses_no_message_that_it_acknowledged() {
    let (mut nats, jetstream) = started(stream::Config::default()).await;
    assert_eq!(publish_all(&jetstream, 0..200).await.len(), 200);
    nats.kill();
    nats.start_again();
    until_back(&jetstream).await;
    assert_eq!(jetstream.get_stream("S").await.unwrap().cached_info().state.messages, 200);
}

#[tokio::test]
async fn b1_even_a_double_ack_is_forgotten_by_a_killed_server() {
    let (mut nats, jetstream) = started(stream::Config::default()).await;
    publish_all(&jetstream, 0..100).await;
    let consumer = consumer(&jetstream, pull::Config::default()).await;
    // It writes them down about ten times a second, so the death has to be quick.
    for _ in 0..10 {
        let taken = take(&consumer, 100, Duration::from_secs(1)).await;
        assert_eq!(taken.len(), 100);
        for message in &taken {
            message.double_ack().await.unwrap();
        }
        nats.kill();
        nats.start_again();
        until_back(&jetstream).await;
        let info = consumer.get_info().await.unwrap();
        if info.num_pending + info.num_ack_pending as u64 > 0 {
            return;
        }
        let number = jetstream.get_stream("S").await.unwrap().cached_info().state.last_sequence;
        let number = usize::try_from(number).unwrap();
        publish_all(&jetstream, number..number + 100).await;
    }
    panic!("ten times, every double ack was on disk at once");
}

#[tokio::test]
async fn b2_the_window_of_known_ids_outlives_a_death_but_not_what_a_work_queue_has_forgotten() {
    for (retention, is_known) in [(RetentionPolicy::Limits, true), (RetentionPolicy::WorkQueue, false)] {
        let (mut nats, jetstream) = started(stream::Config { retention, ..stream::Config::default() }).await;
        publish(&jetstream, "s.x", "1").await;
        let consumer = consumer(&jetstream, pull::Config::default()).await;
        take(&consumer, 1, Duration::from_secs(1)).await[0].double_ack().await.unwrap();
        assert!(publish(&jetstream, "s.x", "1").await.duplicate);
        nats.kill();
        nats.start_again();
        until_back(&jetstream).await;
        assert_eq!(publish(&jetstream, "s.x", "1").await.duplicate, is_known, "{retention:?}");
    }
}

#[tokio::test]
async fn b3_what_was_published_to_a_dead_server_is_unknown_and_the_same_id_makes_it_known() {
    let (mut nats, mut jetstream) = started(stream::Config::default()).await;
    jetstream.set_timeout(Duration::from_millis(300));
    nats.kill();
    let message = || PublishMessage::build().payload("1".into()).message_id("1");
    let sent = jetstream.send_publish("s.x", message()).await;
    assert!(match sent {
        Ok(ack) => ack.await.is_err(),
        Err(_) => true,
    });
    nats.start_again();
    until_back(&jetstream).await;
    // In most runs it was stored after all.
    publish(&jetstream, "s.x", "1").await;
    assert_eq!(jetstream.get_stream("S").await.unwrap().cached_info().state.messages, 1);
}

#[tokio::test]
async fn b8_on_an_older_state_of_its_disk_what_is_published_again_is_taken_again() {
    let (mut nats, jetstream) = started(stream::Config::default()).await;
    let consumer = consumer(&jetstream, pull::Config::default()).await;
    publish_all(&jetstream, 0..100).await;
    nats.kill();
    let older = nats.copy_store();
    nats.start_again();
    until_back(&jetstream).await;
    let last = publish_all(&jetstream, 100..150).await.iter().map(|ack| ack.sequence).max();
    for message in take(&consumer, 150, Duration::from_secs(2)).await {
        message.double_ack().await.unwrap();
    }
    nats.kill();
    nats.put_back(&older);
    nats.start_again();
    until_back(&jetstream).await;
    let there = jetstream.get_stream("S").await.unwrap().cached_info().state.last_sequence;
    assert_eq!((there, last), (100, Some(150)), "its sequence is below what it acknowledged");
    let again = publish_all(&jetstream, 50..150).await;
    assert_eq!(again.iter().filter(|ack| ack.duplicate).count(), 50);
    let mut heard: Vec<_> = take(&consumer, 150, Duration::from_secs(2)).await.iter().map(text).collect();
    heard.sort();
    heard.dedup();
    assert!(heard.len() == 150 || heard.len() == 50, "{}", heard.len());
    assert!(heard.contains(&"149".to_owned()));
}

#[tokio::test]
async fn b16_a_reader_that_goes_on_at_its_own_position_misses_what_came_after_a_cut() {
    let (mut nats, jetstream) = started(stream::Config::default()).await;
    publish_all(&jetstream, 0..100).await;
    nats.kill();
    let older = nats.copy_store();
    nats.start_again();
    until_back(&jetstream).await;
    publish_all(&jetstream, 100..200).await;
    nats.kill();
    nats.put_back(&older);
    nats.start_again();
    until_back(&jetstream).await;
    publish_all(&jetstream, 200..350).await;
    let deliver_policy = async_nats::jetstream::consumer::DeliverPolicy::ByStartSequence { start_sequence: 201 };
    let consumer = consumer(&jetstream, pull::Config { deliver_policy, ..pull::Config::default() }).await;
    assert_eq!(take(&consumer, 150, Duration::from_millis(500)).await.len(), 50);
}

#[tokio::test]
async fn b19_a_stream_in_memory_is_gone_with_its_server() {
    let storage = async_nats::jetstream::stream::StorageType::Memory;
    let (mut nats, jetstream) = started(stream::Config { storage, ..stream::Config::default() }).await;
    nats.kill();
    nats.start_again();
    until_back(&jetstream).await;
    assert!(jetstream.get_stream("S").await.unwrap_err().to_string().contains("stream not found"));
}
