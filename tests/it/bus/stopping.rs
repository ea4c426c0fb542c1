//! What is in hand when the process stops, and what the sweep must leave for the next one.

use super::*;
use ::chassis::{Cause, Consumer, Handler};
use tokio::sync::Notify;

/// A service whose outside world never answers.
struct Hanging(Arc<Notify>);

impl Handler for Hanging {
    const NAME: &'static str = "hanging";
    const CONSUMERS: &'static [Consumer] = &[Consumer::new("hanging", &["tg.cmd.>"])];
    const PARALLEL: usize = 2;
    type Seen = ();

    async fn act(&self, _: &Store, _: &Cause, _: At) -> Result<(), Failure> {
        self.0.notify_one();
        std::future::pending().await
    }

    async fn handle(&self, _: Rows<'_>, _: &Cause, (): &(), _: At) -> Result<Commit, Failure> {
        Ok(Commit::applied())
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_an_outside_world_that_hangs() {
    let process = Process::start().await;
    let acting = Arc::new(Notify::new());
    serve_handler(&process.core, &Arc::new(Hanging(Arc::clone(&acting))));
    process.say(&["1"]).await;
    acting.notified().await;
    process.stop().await;
}

/// Moves the clock until the sweep has come by and has taken everything that it may.
async fn sweep(process: &Process) {
    let old = process.core.clock.now().plus_ms(11 * 60 * 1000);
    process.core.clock.move_to(old);
    eventually("the sweep comes by", async || {
        let said = process.core.store.reader().await.unwrap().rows().said_after(0, "", 100).await.unwrap();
        process.core.clock.move_to(process.core.clock.now().plus_ms(60_000));
        said.iter().all(|said| said.message_id != "settled")
    })
    .await;
}

#[tokio::test]
async fn what_waits_in_one_of_many_hands_is_not_swept_away() {
    let process = Process::start().await;
    let clerk = Clerk::<HEARS_MANY_AT_ONCE>::new(|incoming, _| {
        if incoming.id == "waits" { Err(Failure::Later("down".to_owned())) } else { Ok(Commit::applied()) }
    });
    serve_handler(&process.core, &clerk);
    process.say(&["settled", "waits", "behind it"]).await;
    process.settles::<HEARS_MANY_AT_ONCE>("behind it").await;
    sweep(&process).await;
    let process = process.restart().await;
    serve_handler(&process.core, &Clerk::<HEARS_MANY_AT_ONCE>::content());
    process.settles::<HEARS_MANY_AT_ONCE>("waits").await;
}

#[tokio::test]
async fn what_another_service_has_not_settled_is_not_swept_away() {
    let process = Process::start().await;
    let (quick, slow) = (
        Clerk::<HEARS_ALL>::content(),
        Clerk::<HEARS_COMMANDS>::new(|incoming, _| match incoming.id.as_str() {
            "waits" => Err(Failure::Later("down".to_owned())),
            _ => Ok(Commit::applied()),
        }),
    );
    serve_handler(&process.core, &quick);
    serve_handler(&process.core, &slow);
    process.say(&["settled", "waits"]).await;
    process.settles::<HEARS_ALL>("waits").await;
    slow.hears(2).await;
    sweep(&process).await;
    let left = process.core.store.reader().await.unwrap().rows().said_after(0, "", 10).await.unwrap();
    assert_eq!(left.iter().map(|said| said.message_id.as_str()).collect::<Vec<_>>(), ["waits"]);
}
