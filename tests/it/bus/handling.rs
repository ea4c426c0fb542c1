//! Each message is handled once by each service that takes it, whatever happens between.

use super::*;
use store::{Change, Settled};

#[tokio::test]
async fn a_message_is_handled_once_by_each_service_that_takes_it() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let (one, other) = (Clerk::<HEARS_ALL>::content(), Clerk::<HEARS_COMMANDS>::content());
        serve_handler(&process.core, &one);
        serve_handler(&process.core, &other);
        process.say(&["1", "2"]).await;
        process.say(&["3"]).await;
        process.settles::<HEARS_ALL>("3").await;
        process.settles::<HEARS_COMMANDS>("3").await;
        assert_eq!(
            (one.heard(), other.heard()),
            (
                vec!["1".to_owned(), "2".to_owned(), "3".to_owned()],
                vec!["1".to_owned(), "2".to_owned(), "3".to_owned()]
            )
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_said_twice_is_handled_once() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_ALL>::content();
        serve_handler(&process.core, &clerk);
        for ids in [["1", "1"], ["1", "2"], ["2", "last"]] {
            process.say(&ids).await;
        }
        process.settles::<HEARS_ALL>("last").await;
        assert_eq!(clerk.heard(), ["1", "2", "last"]);
    })
    .await;
}

#[tokio::test]
async fn what_was_said_before_the_start_is_handled_after_it_and_only_then() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        process.say(&["1", "2"]).await;
        let process = process.restart().await;
        let clerk = Clerk::<HEARS_ALL>::content();
        serve_handler(&process.core, &clerk);
        process.settles::<HEARS_ALL>("2").await;
        let process = process.restart().await;
        let again = Clerk::<HEARS_ALL>::content();
        serve_handler(&process.core, &again);
        process.say(&["3"]).await;
        process.settles::<HEARS_ALL>("3").await;
        assert_eq!((clerk.heard(), again.heard()), (vec!["1".to_owned(), "2".to_owned()], vec!["3".to_owned()]));
    })
    .await;
}

#[tokio::test]
async fn what_is_in_the_stream_is_found_without_a_word() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_ALL>::content();
        serve_handler(&process.core, &clerk);
        process.say(&["1"]).await;
        process.settles::<HEARS_ALL>("1").await;
        slip_in(&process, &[outgoing("2")]).await;
        process.settles::<HEARS_ALL>("2").await;
    })
    .await;
}

#[tokio::test]
async fn messages_are_handled_in_the_order_in_which_they_were_said() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_ALL>::content();
        serve_handler(&process.core, &clerk);
        let ids: Vec<_> = (0..350).map(|number| number.to_string()).collect();
        for some in ids.chunks(7) {
            process.say(&some.iter().map(String::as_str).collect::<Vec<_>>()).await;
        }
        process.settles::<HEARS_ALL>("349").await;
        assert_eq!(clerk.heard(), ids);
    })
    .await;
}

#[tokio::test]
async fn many_at_once_are_handled_once_each() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_MANY_AT_ONCE>::content();
        serve_handler(&process.core, &clerk);
        let ids: Vec<_> = (0..250).map(|number| format!("{number:03}")).collect();
        process.say(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        for id in &ids {
            process.settles::<HEARS_MANY_AT_ONCE>(id).await;
        }
        let mut heard = clerk.heard();
        heard.sort();
        assert_eq!(heard, ids);
    })
    .await;
}

#[tokio::test]
async fn every_message_three_times_in_any_order_has_one_effect() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_ALL>::new(|incoming, _| {
            let commit = Commit::applied();
            let is_effect = incoming.id.starts_with("effect");
            Ok(if is_effect { commit } else { commit.say(format!("effect.{}", incoming.id), stop_of("o")) })
        });
        serve_handler(&process.core, &clerk);
        // Bodies repeat under other ids of the stream, as a bus does that delivers again and out of order.
        let mut copies: Vec<_> =
            (0..3).flat_map(|copy| (0..20).map(move |number| (copy * 7 + number * 11) % 20 + 100 * copy)).collect();
        copies.dedup();
        let messages: Vec<_> = copies
            .iter()
            .map(|copy| Outgoing { message_id: format!("copy.{copy}"), ..outgoing(&format!("{}", copy % 100)) })
            .collect();
        slip_in(&process, &messages).await;
        process.say(&["last"]).await;
        process.settles::<HEARS_ALL>("last").await;
        // What is met in company may be decided twice, but it is committed once.
        let mut heard: Vec<_> = clerk.heard().into_iter().filter(|id| !id.starts_with("effect")).collect();
        heard.sort();
        heard.dedup();
        assert_eq!(heard.len(), 21);
        let said = process.core.store.reader().await.unwrap().rows().said_after(0, "", 1_000).await.unwrap();
        assert_eq!(said.iter().filter(|said| said.service == "hears-all").count(), 21);
    })
    .await;
}

#[tokio::test]
async fn what_a_commit_says_is_heard_with_its_trace() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_STOPS>::content();
        let first = Clerk::<HEARS_COMMANDS>::new(|incoming, _| match incoming.message.about().1 {
            Some(model) if model.as_str() == "first" => Ok(Commit::applied().say("next", stop_of("m"))),
            _ => Ok(Commit::refused("not_mine")),
        });
        serve_handler(&process.core, &clerk);
        serve_handler(&process.core, &first);
        let trace = Trace::from_parent(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        let stamped = Stamped { service: "api", at: NOON, trace: &trace };
        let says = [Say { id: "1".to_owned(), message: stop_of("first") }];
        say_now(&process.core.bus, process.core.store.begin().await.unwrap(), &stamped, &says).await.unwrap();
        clerk.hears(1).await;
        assert_eq!(clerk.heard(), ["next"]);
        let said = process.core.store.reader().await.unwrap().rows().said_after(0, "", 10).await.unwrap();
        // Each is about a rollout, whose trace it joins, whoever began another one.
        for (said, of) in said.iter().zip(["first", "m"]) {
            let own = Trace::of_rollout(&rollout::RolloutId::of("/test", of));
            assert!(said.body.contains(own.id()), "{}", said.body);
        }
        assert_eq!(said[1].service, "hears-commands");
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_has_to_wait_is_asked_again_until_it_succeeds() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_ALL>::new(|_, count| {
            if count < 3 { Err(Failure::Later("not yet".to_owned())) } else { Ok(Commit::applied()) }
        });
        serve_handler(&process.core, &clerk);
        process.say(&["1"]).await;
        process.settles::<HEARS_ALL>("1").await;
        assert_eq!(clerk.heard(), ["1", "1", "1"]);
        assert!(process.parked().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_lost_race_is_decided_anew_and_leaves_nothing_of_the_first_try() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_COMMANDS>::new(|_, count| {
            let followed = Change::Followed {
                tenant: Tenant::default_tenant(),
                model: Model::new("nobody").unwrap(),
                generation: 1,
            };
            let said = Commit::applied().say(format!("try.{count}"), stop_of("m"));
            Ok(if count == 1 {
                said.change(followed)
            } else {
                Commit { settled: Settled::Refused, reason: Some("late".to_owned()), ..Commit::applied() }
            })
        });
        serve_handler(&process.core, &clerk);
        process.say(&["1"]).await;
        process.settles::<HEARS_COMMANDS>("1").await;
        assert_eq!(clerk.heard(), ["1", "1"]);
        assert_eq!(process.core.store.reader().await.unwrap().rows().last_position().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn whoever_waits_for_commits_is_woken_by_each() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let mut commits = process.core.bus.commits();
        commits.mark_unchanged();
        process.say(&["1"]).await;
        tokio::time::timeout(LIMIT, commits.changed()).await.unwrap().unwrap();
    })
    .await;
}
