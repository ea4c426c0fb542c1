//! A message that can never work is parked with its reason and its bytes, and everything else goes on.

use super::*;

/// Starts a clerk on these rows of the stream and gives what it parked: id, reason, what exactly is wrong.
async fn parked_of(form: &Form, messages: &[Outgoing], clerk: &Arc<Clerk<HEARS_ALL>>) -> Vec<(String, String, String)> {
    let process = Process::on(form).await;
    serve_handler(&process.core, clerk);
    slip_in(&process, messages).await;
    process.say(&["good"]).await;
    process.settles::<HEARS_ALL>("good").await;
    for message in messages {
        assert!(process.is_settled("hears-all", &message.message_id).await, "{}", message.message_id);
    }
    let parked = process.parked().await;
    for row in &parked {
        let message = messages.iter().find(|message| message.message_id == row.message_id).unwrap();
        assert_eq!((row.body.as_slice(), &row.subject), (message.body.as_bytes(), &message.subject));
        assert_eq!((row.service.as_str(), row.source.as_str(), row.tries), ("hears-all", "/tidegate/api", 1));
    }
    process.stop().await;
    parked.into_iter().map(|row| (row.message_id, row.reason, row.error)).collect()
}

/// Why this message was parked, whatever the form of the bus: reason and error.
async fn reason(message: Outgoing) -> (String, String) {
    let (_nats, server) = on_a_server().await;
    let in_process = reason_on(&Form::InProcess, message.clone()).await;
    assert_eq!(reason_on(&server, message).await, in_process);
    in_process
}

async fn reason_on(form: &Form, message: Outgoing) -> (String, String) {
    let clerk = Clerk::content();
    let mut parked = parked_of(form, &[message], &clerk).await;
    assert_eq!((parked.len(), clerk.heard()), (1, vec!["good".to_owned()]));
    let (_, reason, error) = parked.remove(0);
    (reason, error)
}

fn spoiled(spoil: impl FnOnce(&mut serde_json::Value)) -> Outgoing {
    let message = outgoing("bad");
    let mut event = serde_json::from_str(&message.body).unwrap();
    spoil(&mut event);
    Outgoing { body: event.to_string(), ..message }
}

#[tokio::test]
async fn a_body_that_is_not_an_event_is_parked_as_malformed() {
    assert_eq!(reason(Outgoing { body: "{".to_owned(), ..outgoing("bad") }).await.0, "malformed");
    assert_eq!(reason(Outgoing { body: "[]".to_owned(), ..outgoing("bad") }).await.0, "malformed");
    assert_eq!(reason(Outgoing { body: String::new(), ..outgoing("bad") }).await.0, "malformed");
    let twice = r#"{"specversion":"1.0","id":"bad","id":"other"}"#.to_owned();
    let (reason, error) = reason(Outgoing { body: twice, ..outgoing("bad") }).await;
    assert_eq!((reason.as_str(), error.contains("the key `id` stands twice")), ("malformed", true));
}

#[tokio::test]
async fn an_unknown_type_and_a_future_version_are_parked_as_such() {
    let (word, error) = reason(spoiled(|event| event["type"] = "dev.tidegate.rollout.dance.v1".into())).await;
    assert_eq!(
        (word.as_str(), error.as_str()),
        ("unknown_type", "the type `dev.tidegate.rollout.dance.v1` is not known here")
    );
    assert_eq!(reason(spoiled(|event| event["type"] = "dev.tidegate.rollout.stop.v2".into())).await.0, "unknown_type");
    assert_eq!(reason(spoiled(|event| event["type"] = "com.example.other".into())).await.0, "unknown_type");
}

#[tokio::test]
async fn a_payload_that_is_not_what_its_type_says_is_parked_with_the_field() {
    let (word, error) = reason(spoiled(|event| event["data"]["verb"] = "dance".into())).await;
    assert!(word == "bad_payload" && error.contains("dance"), "{word}: {error}");
    let (word, error) = reason(spoiled(|event| event["data"]["rollout_id"] = 7.into())).await;
    assert!(word == "bad_payload" && error.contains("rollout.stop"), "{word}: {error}");
}

#[tokio::test]
async fn a_subject_that_says_something_else_than_the_body_is_parked() {
    for subject in [
        "tg.cmd.default.other.rollout.stop",
        "tg.cmd.acme.m.rollout.stop",
        "tg.cmd.default.m.rollout.pause",
        "tg.cmd.default._.rollout.stop",
    ] {
        assert_eq!(
            reason(Outgoing { subject: subject.to_owned(), ..outgoing("bad") }).await.0,
            "bad_subject",
            "{subject}"
        );
    }
    assert_eq!(reason(Outgoing { subject: "tg.cmd.whatever".to_owned(), ..outgoing("bad") }).await.0, "bad_subject");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_parked_as_such() {
    // A server takes no such message, so there it is parked before it is anywhere.
    let (word, error) =
        reason_on(&Form::InProcess, spoiled(|event| event["data"]["reason"] = "x".repeat(70_000).into())).await;
    assert!(word == "too_large" && error.contains("more than 65536"), "{word}: {error}");
}

#[tokio::test]
async fn an_unknown_field_changes_nothing() {
    each_form(async |form| {
        let clerk = Clerk::content();
        let message = spoiled(|event| {
            event["data"]["new_in_a_later_release"] = serde_json::json!({ "a": [1] });
            event["newattribute"] = "x".into();
        });
        assert_eq!(parked_of(&form, &[message], &clerk).await, []);
        assert_eq!(clerk.heard(), ["bad", "good"]);
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_panics_parks_the_message_and_goes_on() {
    each_form(async |form| {
        let clerk =
            Clerk::new(
                |incoming, _| {
                    if incoming.id == "bad" { panic!("I did not expect that") } else { Ok(Commit::applied()) }
                },
            );
        let parked = parked_of(&form, &[outgoing("bad")], &clerk).await;
        assert_eq!(parked, [("bad".to_owned(), "panic".to_owned(), "I did not expect that".to_owned())]);
        // What panics in the company of others is heard again alone.
        let mut heard = clerk.heard();
        heard.dedup();
        assert_eq!(heard, ["bad", "good"]);
    })
    .await;
}

#[tokio::test]
async fn a_failure_that_will_not_go_away_parks_the_message_with_the_handlers_reason() {
    each_form(async |form| {
        let clerk = Clerk::new(|incoming, _| {
            if incoming.id == "bad" { Err(Failure::never("bad_state", "odd")) } else { Ok(Commit::applied()) }
        });
        assert_eq!(
            parked_of(&form, &[outgoing("bad")], &clerk).await,
            [("bad".to_owned(), "bad_state".to_owned(), "odd".to_owned())]
        );
    })
    .await;
}

#[tokio::test]
async fn a_change_that_the_database_refuses_parks_the_message() {
    each_form(async |form| {
        let model = "m".to_owned();
        let clerk = Clerk::new(move |incoming, _| {
            let row = store::TargetRow {
                target_id: model.clone(),
                desired_generation: 1,
                applied_generation: 2,
                request: None,
                observed: None,
                error: None,
                observed_at: NOON,
                drift_at: None,
            };
            let commit = Commit::applied();
            Ok(if incoming.id == "bad" { commit.change(store::Change::Target(Box::new(row))) } else { commit })
        });
        let parked = parked_of(&form, &[outgoing("bad")], &clerk).await;
        assert_eq!((parked.len(), parked[0].1.as_str()), (1, "refused_by_database"));
        assert!(parked[0].2.contains("target_is_not_ahead"), "{}", parked[0].2);
    })
    .await;
}

#[tokio::test]
async fn bad_messages_among_good_ones_hold_nobody_up() {
    each_form(async |form| {
        let clerk = Clerk::content();
        let messages: Vec<_> = (0..30)
            .map(|number| match number % 3 {
                0 => Outgoing { body: "{".to_owned(), ..outgoing(&number.to_string()) },
                1 => Outgoing { subject: "tg.cmd.odd".to_owned(), ..outgoing(&number.to_string()) },
                _ => outgoing(&number.to_string()),
            })
            .collect();
        assert_eq!(parked_of(&form, &messages, &clerk).await.len(), 20);
        assert_eq!(clerk.heard().len(), 11);
    })
    .await;
}

/// Writes down that the process died with the message in hand.
pub(super) async fn died(store: &Store, times: usize, service: &str, id: &str) {
    for _ in 0..times {
        let mut tx = store.begin().await.unwrap();
        tx.suspect(service, "/tidegate/api", id, NOON).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_message_that_kills_the_process_is_parked_at_the_fifth_try() {
    let process = Process::start().await;
    process.say(&["killer", "next"]).await;
    died(&process.core.store, 4, "hears-all", "killer").await;
    let process = process.restart().await;
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    process.settles::<HEARS_ALL>("next").await;
    let parked = process.parked().await;
    let parked: Vec<_> = parked
        .iter()
        .map(|row| (row.message_id.as_str(), row.reason.as_str(), row.error.as_str(), row.tries))
        .collect();
    assert_eq!(parked, [("killer", "kills_us", "the process died 5 times with this message in hand", 5)]);
    assert_eq!(clerk.heard(), ["next"]);
}

#[tokio::test]
async fn four_deaths_are_forgiven_once_the_message_works() {
    let process = Process::start().await;
    process.say(&["suspect"]).await;
    died(&process.core.store, 3, "hears-all", "suspect").await;
    let process = process.restart().await;
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    process.settles::<HEARS_ALL>("suspect").await;
    assert_eq!(clerk.heard(), ["suspect"]);
    let mut tx = process.core.store.begin().await.unwrap();
    assert_eq!(tx.suspect("hears-all", "/tidegate/api", "suspect", NOON).await.unwrap(), 1);
}

#[tokio::test]
async fn an_outage_of_ours_parks_nothing_however_often_it_is_tried() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        process.say(&["1"]).await;
        let process = process.restart().await;
        let clerk = Clerk::<HEARS_ALL>::new(|_, count| {
            if count < 7 { Err(Failure::Later("down".to_owned())) } else { Ok(Commit::applied()) }
        });
        serve_handler(&process.core, &clerk);
        process.settles::<HEARS_ALL>("1").await;
        assert_eq!((clerk.heard().len(), process.parked().await.len()), (7, 0));
    })
    .await;
}

#[tokio::test]
async fn a_stop_while_a_message_waits_counts_as_no_death() {
    each_form(async |form| {
        let mut process = Process::on(&form).await;
        process.say(&["1"]).await;
        for _ in 0..6 {
            process = process.restart().await;
            let clerk = Clerk::<HEARS_ALL>::new(|_, _| Err(Failure::Later("down".to_owned())));
            serve_handler(&process.core, &clerk);
            clerk.hears(1).await;
        }
        process = process.restart().await;
        serve_handler(&process.core, &Clerk::<HEARS_ALL>::content());
        process.settles::<HEARS_ALL>("1").await;
        assert!(process.parked().await.is_empty());
    })
    .await;
}
