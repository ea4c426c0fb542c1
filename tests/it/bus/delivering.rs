//! What becomes of a message in hand: at a death, when it is given back, while somebody works on it for long.

use super::*;
use std::time::Instant;

/// A process that ends as `kill -9` ends one: nothing of it runs any more, and nobody was told.
struct Mortal {
    runtime: tokio::runtime::Runtime,
    folder: Arc<tempfile::TempDir>,
}

impl Mortal {
    /// Starts a process in `folder` and has `clerk` serve in it.
    async fn start<const NUMBER: usize>(
        form: &Form,
        folder: Arc<tempfile::TempDir>,
        clerk: Arc<Clerk<NUMBER>>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (form, place) = (form.clone(), Arc::clone(&folder));
        let started = runtime.spawn(async move {
            let process = Process::start_in(form.clone(), place, form.clock()).await;
            serve_handler(&process.core, &clerk);
            std::future::pending::<()>().await;
        });
        drop(started);
        Self { runtime, folder }
    }

    fn die(self) -> Arc<tempfile::TempDir> {
        self.runtime.shutdown_background();
        self.folder
    }
}

#[tokio::test]
async fn a_message_in_hand_at_a_death_comes_again() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        process.say(&["1", "2"]).await;
        process.publishes_all().await;
        let folder = process.stop().await;
        let clerk = Clerk::<HEARS_AGAIN_SOON>::shut();
        let mortal = Mortal::start(&form, folder, Arc::clone(&clerk)).await;
        clerk.begins(1).await;
        let process = Process::start_in(form.clone(), mortal.die(), form.clock()).await;
        let clerk = Clerk::<HEARS_AGAIN_SOON>::content();
        serve_handler(&process.core, &clerk);
        process.settles::<HEARS_AGAIN_SOON>("1").await;
        process.settles::<HEARS_AGAIN_SOON>("2").await;
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_that_kills_each_process_is_parked_and_the_others_go_on() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        // What is in the rows at a start may have been in hand; a server knows that nobody had it yet.
        let before = if matches!(form, Form::InProcess) { 2 } else { 3 };
        process.say(&["killer"]).await;
        process.publishes_all().await;
        super::parking::died(&process.core.store, before, "hears-again-soon", "killer").await;
        let mut folder = process.stop().await;
        for _ in 0..2 {
            let clerk = Clerk::<HEARS_AGAIN_SOON>::shut();
            let mortal = Mortal::start(&form, folder, Arc::clone(&clerk)).await;
            clerk.begins(1).await;
            folder = mortal.die();
        }
        let process = Process::start_in(form.clone(), folder, form.clock()).await;
        let clerk = Clerk::<HEARS_AGAIN_SOON>::content();
        serve_handler(&process.core, &clerk);
        process.say(&["next"]).await;
        process.settles::<HEARS_AGAIN_SOON>("next").await;
        process.settles::<HEARS_AGAIN_SOON>("killer").await;
        let parked = process.parked().await;
        assert_eq!(
            parked.iter().map(|row| (row.message_id.as_str(), row.reason.as_str())).collect::<Vec<_>>(),
            [("killer", "kills_us")]
        );
        assert_eq!(clerk.heard(), ["next"]);
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_settled_does_not_come_again() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let clerk = Clerk::<HEARS_AGAIN_SOON>::content();
        serve_handler(&process.core, &clerk);
        process.say(&["1"]).await;
        process.settles::<HEARS_AGAIN_SOON>("1").await;
        let settled = Instant::now();
        eventually("it could have come again", async || settled.elapsed() > AGAIN_SOON * 2).await;
        assert_eq!(clerk.begun(), ["1"]);
        assert!(process.core.metrics.counters().lines().all(|line| !line.starts_with("tidegate_redelivered_total{")));
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_can_not_be_settled_is_given_back_and_holds_nobody_up() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let tries = Arc::new(Mutex::new(Vec::new()));
        let tried = Arc::clone(&tries);
        let clerk = Clerk::<HEARS_IMPATIENTLY>::new(move |incoming, _| {
            if incoming.id != "waits" {
                return Ok(Commit::applied());
            }
            let mut tried = tried.lock().unwrap();
            tried.push(Instant::now());
            if tried.len() < 4 { Err(Failure::Later("not yet".to_owned())) } else { Ok(Commit::applied()) }
        });
        serve_handler(&process.core, &clerk);
        process.say(&["waits"]).await;
        clerk.hears(1).await;
        process.say(&["other"]).await;
        process.settles::<HEARS_IMPATIENTLY>("other").await;
        process.settles::<HEARS_IMPATIENTLY>("waits").await;
        let tries = tries.lock().unwrap().clone();
        let waits: Vec<_> = tries.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_millis()).collect();
        assert!(waits.iter().zip([100, 200, 400]).all(|(wait, least)| *wait >= least), "{waits:?}");
        assert!(process.parked().await.is_empty());
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn no_more_is_in_hand_than_the_consumer_may_hold() {
    each_form(async |form| {
        let process = Process::on(&form).await;
        let (few, others) = (Clerk::<HEARS_FEW>::shut(), Clerk::<HEARS_ALL>::content());
        serve_handler(&process.core, &few);
        serve_handler(&process.core, &others);
        process.say(&["1", "2", "3", "4", "5"]).await;
        few.begins(2).await;
        process.settles::<HEARS_ALL>("5").await;
        process.say(&["6"]).await;
        process.settles::<HEARS_ALL>("6").await;
        assert_eq!(few.begun().len(), 2);
        few.open();
        for id in ["1", "2", "3", "4", "5", "6"] {
            process.settles::<HEARS_FEW>(id).await;
        }
        assert_eq!(few.begun().len(), 6);
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_worked_on_for_long_comes_to_nobody_else() {
    let (_nats, form) = on_a_server().await;
    let (one, other) = (Process::on(&form).await, Process::on(&form).await);
    let (slow, idle) = (Clerk::<HEARS_AGAIN_SOON>::shut(), Clerk::<HEARS_AGAIN_SOON>::content());
    serve_handler(&one.core, &slow);
    one.say(&["1", "2"]).await;
    slow.begins(1).await;
    let begun = Instant::now();
    serve_handler(&other.core, &idle);
    eventually("it could have come again", async || begun.elapsed() > AGAIN_SOON * 3).await;
    assert_eq!((slow.begun().len(), idle.begun().len()), (1, 0));
    slow.open();
    one.settles::<HEARS_AGAIN_SOON>("1").await;
    one.settles::<HEARS_AGAIN_SOON>("2").await;
    assert_eq!((slow.heard().len(), idle.begun().len()), (2, 0));
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn what_is_left_at_a_stop_comes_to_another_process_at_once() {
    let (_nats, form) = on_a_server().await;
    let one = Process::on(&form).await;
    let failing = Clerk::<HEARS_ALL>::new(|_, _| Err(Failure::Later("down".to_owned())));
    serve_handler(&one.core, &failing);
    let ids: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    one.say(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    one.publishes_all().await;
    failing.hears(1).await;
    let other = Process::on(&form).await;
    let clerk = Clerk::<HEARS_ALL>::content();
    one.stop().await;
    serve_handler(&other.core, &clerk);
    let since = Instant::now();
    clerk.hears(20).await;
    assert!(since.elapsed() < Duration::from_secs(3), "the server waited for a sign of life of a process that is gone");
    other.stop().await;
}
