//! A consumer takes what fits one of its filters, and nothing else.

use super::*;

#[tokio::test]
async fn a_star_stands_for_one_token_and_an_arrow_for_all_that_follow() {
    each_form(async |form| {
        let process = Process::on(&form).await;
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
        all.hears(6).await;
        commands.hears(5).await;
        stops.hears(3).await;
        assert_eq!(sorted(all.heard()), ["last", "other", "pause", "policy", "resume", "stop"]);
        assert_eq!(sorted(commands.heard()), ["last", "other", "pause", "resume", "stop"]);
        assert_eq!(sorted(stops.heard()), ["last", "resume", "stop"]);
    })
    .await;
}

#[tokio::test]
async fn what_nobody_takes_holds_nobody_up() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_STOPS>::content();
        serve_handler(&process.core, &clerk);
        let others: Vec<_> = (0..250).map(|number| Say { id: number.to_string(), message: stop_of("other") }).collect();
        say_all(&process.core, &others).await;
        process.say(&["mine"]).await;
        process.settles::<HEARS_STOPS>("mine").await;
        assert_eq!(clerk.heard(), ["mine"]);
    })
    .await;
}

/// Only what is about one rollout comes in its order.
fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}
