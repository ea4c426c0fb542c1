//! A parked message is handled again, or thrown away, at somebody's word, by the one whose it is.

use super::*;
use store::{Mark, ReplayRow, Settled, Unpark, UnparkedEntry};

fn word(parked_id: &str, action: Unpark) -> ReplayRow {
    let reason = Some("mended".to_owned());
    ReplayRow { parked_id: parked_id.to_owned(), action, actor: "ann".to_owned(), reason, asked_at: NOON }
}

impl Process {
    /// Parks the message `bad` of a clerk that can't take it, and gives its id in the list.
    async fn parks<const NUMBER: usize>(&self, clerk: &Arc<Clerk<NUMBER>>) -> String {
        serve_handler(&self.core, clerk);
        self.say(&["bad"]).await;
        self.settles::<NUMBER>("bad").await;
        self.parked().await[0].id.clone()
    }

    async fn ask(&self, parked_id: &str, action: Unpark) -> bool {
        let mut tx = self.core.store.begin().await.unwrap();
        let is_new = tx.ask(&word(parked_id, action)).await.unwrap();
        tx.commit().await.unwrap();
        self.core.wake_parked();
        is_new
    }

    /// What became of it, once it is done.
    async fn done(&self, parked_id: &str) -> UnparkedEntry {
        let past = async || self.core.store.reader().await.unwrap().rows().unparked(parked_id).await.unwrap();
        eventually("what is asked for is done", async || !past().await.is_empty()).await;
        past().await.remove(0)
    }

    async fn outcome(&self, id: &str) -> String {
        let mut reader = self.core.store.reader().await.unwrap();
        reader.rows().outcome("hears-all", "/tidegate/api", id).await.unwrap().unwrap().0
    }
}

/// A clerk that can't take its first `fails` messages, and then can.
fn mended<const NUMBER: usize>(fails: usize) -> Arc<Clerk<NUMBER>> {
    Clerk::new(
        move |_, count| {
            if count <= fails { Err(Failure::never("bad_state", "odd")) } else { Ok(Commit::applied()) }
        },
    )
}

#[tokio::test]
async fn a_replayed_message_is_handled_again_under_its_id() {
    each_form(async |form| {
        let (process, clerk) = (Process::on(&form).await, mended::<HEARS_ALL>(1));
        let id = process.parks(&clerk).await;
        assert_eq!(process.outcome("bad").await, "parked");
        assert!(process.ask(&id, Unpark::Replay).await);
        let done = process.done(&id).await;
        assert_eq!((done.outcome.as_str(), done.asked.actor.as_str(), done.why), ("applied", "ann", None));
        assert_eq!((process.outcome("bad").await.as_str(), clerk.heard()), ("applied", vec!["bad".to_owned(); 2]));
        assert!(process.parked().await.is_empty());
        let row = process.core.store.reader().await.unwrap().rows().parked_one(&id).await.unwrap().unwrap();
        assert_eq!((row.replayed_by.as_deref(), row.reason.as_str()), (Some("ann"), "bad_state"));
        assert!(!process.ask(&id, Unpark::Replay).await, "what is no longer parked can't be replayed");
    })
    .await;
}

#[tokio::test]
async fn a_replayed_message_that_still_can_not_work_stays_parked_and_can_be_asked_for_again() {
    let (process, clerk) = (Process::start().await, mended::<HEARS_ALL>(2));
    let id = process.parks(&clerk).await;
    process.ask(&id, Unpark::Replay).await;
    let done = process.done(&id).await;
    assert_eq!((done.outcome.as_str(), done.why.as_deref()), ("parked", Some("bad_state: odd")));
    assert_eq!((process.outcome("bad").await.as_str(), process.parked().await[0].tries), ("parked", 2));
    assert!(process.ask(&id, Unpark::Replay).await);
    eventually("it is handled", async || process.parked().await.is_empty()).await;
    assert_eq!(clerk.heard().len(), 3);
}

#[tokio::test]
async fn a_dropped_message_leaves_a_trace_and_does_not_come_again() {
    each_form(async |form| {
        let (process, clerk) = (Process::on(&form).await, mended::<HEARS_ALL>(1));
        let id = process.parks(&clerk).await;
        process.ask(&id, Unpark::Drop).await;
        let done = process.done(&id).await;
        assert_eq!((done.outcome.as_str(), done.asked.reason.as_deref()), ("dropped", Some("mended")));
        assert_eq!(
            process.core.store.reader().await.unwrap().rows().parked_one(&id).await.unwrap().map(|row| row.id),
            None
        );
        let process = process.restart().await;
        serve_handler(&process.core, &clerk);
        process.say(&["next"]).await;
        process.settles::<HEARS_ALL>("next").await;
        assert_eq!(clerk.heard(), ["bad", "next"]);
    })
    .await;
}

#[tokio::test]
async fn only_who_consumes_the_subject_takes_a_replay() {
    let process = Process::start().await;
    let clerk = mended::<HEARS_ALL>(1);
    let (elsewhere, nothing) = (Clerk::<HEARS_ELSEWHERE>::content(), Clerk::<HEARS_NOTHING>::content());
    serve_handler(&process.core, &elsewhere);
    serve_handler(&process.core, &nothing);
    let id = process.parks(&clerk).await;
    process.ask(&id, Unpark::Replay).await;
    assert_eq!(process.done(&id).await.outcome, "applied");
    assert_eq!((clerk.heard().len(), elsewhere.heard().len(), nothing.heard().len()), (2, 0, 0));
}

/// Parks a sound message as a release that did not know its type would have.
async fn parked_as_unknown(store: &Store) {
    let message = outgoing("known now");
    let mut tx = store.begin().await.unwrap();
    let row = Parked {
        id: "hears-all.7".to_owned(),
        service: "hears-all".to_owned(),
        source: "/tidegate/api".to_owned(),
        message_id: message.message_id.clone(),
        subject: message.subject,
        reason: "unknown_type".to_owned(),
        error: "never heard of it".to_owned(),
        headers: "{}".to_owned(),
        body: message.body.into_bytes(),
        tries: 1,
        first_seen_at: NOON,
        parked_at: NOON,
        replayed_at: None,
        replayed_by: None,
    };
    tx.park(&row).await.unwrap();
    let mark = Mark {
        service: "hears-all",
        source: row.source,
        message_id: message.message_id,
        settled: Settled::Parked,
        reason: None,
        rollout_id: None,
        handled_at: NOON,
    };
    assert_eq!(tx.mark(&[mark]).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_type_that_this_release_knows_is_replayed_by_itself_at_the_start() {
    let process = Process::start().await;
    parked_as_unknown(&process.core.store).await;
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    let done = process.done("hears-all.7").await;
    assert_eq!((done.outcome.as_str(), done.asked.actor.as_str()), ("applied", "tidegate"));
    assert_eq!((process.parked().await.len(), clerk.heard()), (0, vec!["known now".to_owned()]));
}

#[tokio::test]
async fn a_replay_that_kills_the_process_does_so_five_times_at_most() {
    let process = Process::start().await;
    let id = process.parks(&mended::<HEARS_ALL>(1)).await;
    let process = process.restart().await;
    let mut tx = process.core.store.begin().await.unwrap();
    for _ in 0..4 {
        tx.suspect("hears-all", "/tidegate/api", "bad", NOON).await.unwrap();
    }
    tx.ask(&word(&id, Unpark::Replay)).await.unwrap();
    tx.commit().await.unwrap();
    let clerk = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &clerk);
    let done = process.done(&id).await;
    assert!(done.outcome == "parked" && done.why.unwrap().starts_with("kills_us"), "it was tried once more");
    assert_eq!(clerk.heard(), Vec::<String>::new());
}

#[tokio::test]
async fn a_service_that_parks_one_message_after_another_stops_taking_them() {
    let process = Process::start().await;
    let clerk = Clerk::<HEARS_ALL>::new(|_, _| Err(Failure::never("bad_state", "a bad release")));
    serve_handler(&process.core, &clerk);
    let ids: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    process.say(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    eventually("twenty-one are parked", async || process.parked().await.len() == 21).await;
    let other = Clerk::<HEARS_COMMANDS>::content();
    serve_handler(&process.core, &other);
    other.hears(30).await;
    assert_eq!(process.parked().await.len(), 21, "the others wait for a better release");
    let process = process.restart().await;
    let mended = Clerk::<HEARS_ALL>::content();
    serve_handler(&process.core, &mended);
    process.settles::<HEARS_ALL>("29").await;
    assert_eq!(mended.heard().len(), 9);
}
