//! A consumer takes what fits one of its filters, and nothing else.

use super::*;

#[tokio::test]
async fn a_star_stands_for_one_token_and_an_arrow_for_all_that_follow() {
    let process = Process::start().await;
    let (all, commands, stops) =
        (Clerk::<HEARS_ALL>::content(), Clerk::<HEARS_COMMANDS>::content(), Clerk::<HEARS_STOPS>::content());
    serve_handler(&process.core, &all);
    serve_handler(&process.core, &commands);
    serve_handler(&process.core, &stops);
    let saved = proto::PolicySave {
        tenant: Tenant::default_tenant(),
        model: None,
        name: rollout::PolicyName::new("p").unwrap(),
        spec: serde_json::json!({}),
        created_by: "ann".to_owned(),
    };
    let failed = proto::WorkloadAnswer {
        tenant: Tenant::default_tenant(),
        model: Model::new("m").unwrap(),
        rollout_id: RolloutId::of("/test", "m"),
        attempt: 1,
        reason: None,
        passing: false,
    };
    let says = [
        ("stop", stop_of("m")),
        ("other", stop_of("a/b.c")),
        ("pause", Message::RolloutPause(command("m", Verb::Pause))),
        ("resume", Message::RolloutResume(command("m", Verb::Resume))),
        ("policy", Message::PolicySave(saved)),
        ("failed, in another stream", Message::WorkloadFailed(failed)),
        ("last", stop_of("m")),
    ];
    say_all(&process.core, &says.map(|(id, message)| Say { id: id.to_owned(), message })).await;
    process.settles::<HEARS_ALL>("last").await;
    process.settles::<HEARS_COMMANDS>("last").await;
    process.settles::<HEARS_STOPS>("last").await;
    assert_eq!(all.heard(), ["stop", "other", "pause", "resume", "policy", "last"]);
    assert_eq!(commands.heard(), ["stop", "other", "pause", "resume", "last"]);
    assert_eq!(stops.heard(), ["stop", "resume", "last"]);
}

#[tokio::test]
async fn what_nobody_takes_holds_nobody_up() {
    let process = Process::start().await;
    let clerk = Clerk::<HEARS_STOPS>::content();
    serve_handler(&process.core, &clerk);
    let others: Vec<_> = (0..250).map(|number| Say { id: number.to_string(), message: stop_of("other") }).collect();
    say_all(&process.core, &others).await;
    process.say(&["mine"]).await;
    process.settles::<HEARS_STOPS>("mine").await;
    assert_eq!(clerk.heard(), ["mine"]);
}
