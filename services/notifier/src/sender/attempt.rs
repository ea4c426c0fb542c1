//! What an answer makes of a delivery.

use judge::Span;
use rollout::At;
use store::{Delivery, Told};

use crate::outbound::{Reply, Unanswered};
use crate::told::cut;

/// The first wait after a failure; it doubles each time,
const AGAIN: Span = Span(1_000);
/// up to this.
const AGAIN_AT_MOST: Span = Span(15 * 60 * 1000);
/// What could not be told for that long is parked.
const GIVE_UP: Span = Span(24 * 60 * 60 * 1000);
/// So much of a receiver's words is kept.
const WORDS_CHARS_MAX: usize = 300;

/// What became of a try.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The receiver took it.
    Sent {
        /// What it calls it.
        receipt: Option<String>,
    },
    /// It may take it later.
    Later {
        /// In words.
        why: String,
        /// It said how many milliseconds to wait: that holds for the whole channel.
        after_ms: Option<i64>,
        /// It may have arrived.
        is_unsure: bool,
    },
    /// It will never take it.
    Never {
        /// In words.
        why: String,
    },
    /// A resolve whose trigger was never accepted.
    Unopened,
}

/// Why a delivery is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The receiver will never take it.
    Refused,
    /// It could not be told for a day.
    GaveUp,
    /// Its channel has no receiver any more.
    ChannelGone,
    /// There is nothing to resolve.
    TriggerNotAccepted,
}

impl Reason {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refused => "receiver_refused",
            Self::GaveUp => "gave_up",
            Self::ChannelGone => "channel_gone",
            Self::TriggerNotAccepted => "trigger_not_accepted",
        }
    }
}

/// Sorts what happened to a request by its status; `hidden` takes our secrets out of the receiver's words.
pub(crate) fn sorted(reply: Result<Reply, Unanswered>, hidden: impl Fn(&str) -> String) -> Answer {
    let reply = match reply {
        Ok(reply) => reply,
        Err(Unanswered::NotSent(why)) => return Answer::Later { why: hidden(&why), after_ms: None, is_unsure: false },
        Err(Unanswered::Unsure(why)) => return Answer::Later { why: hidden(&why), after_ms: None, is_unsure: true },
    };
    let words: String = hidden(reply.body.trim()).chars().flat_map(shown).collect();
    let why = cut(&format!("answered {}: {words}", reply.status), WORDS_CHARS_MAX);
    match reply.status {
        200..=299 => Answer::Sent { receipt: None },
        429 | 503 => Answer::Later { why, after_ms: reply.retry_after_ms, is_unsure: false },
        500..=599 => Answer::Later { why, after_ms: None, is_unsure: false },
        _ => Answer::Never { why },
    }
}

fn shown(character: char) -> Vec<char> {
    if character.is_control() { character.escape_default().collect() } else { vec![character] }
}

/// The row while it is sent, which is due for nobody else until then. One that is being sent already was so at a death.
pub(crate) fn begun(row: &Delivery, alone_until: Option<At>) -> Delivery {
    let (is_unsure, attempt_at) = (row.is_unsure || row.state == Told::Sending, alone_until.unwrap_or(row.attempt_at));
    Delivery { state: Told::Sending, tries: row.tries + 1, is_unsure, attempt_at, ..row.clone() }
}

/// The row after a try, and why it is parked if it is.
pub(crate) fn ended(row: &Delivery, answer: &Answer, now: At, random: u64) -> (Delivery, Option<Reason>) {
    let row = row.clone();
    let parked =
        |error: String, reason| (Delivery { state: Told::Parked, error: Some(error), ..row.clone() }, Some(reason));
    match answer {
        Answer::Sent { receipt } => (
            // The next attempt of a replay is not a repeat of one that was answered.
            Delivery { state: Told::Sent, error: None, receipt: receipt.clone().or(row.receipt), ..row },
            None,
        ),
        Answer::Never { why } => parked(why.clone(), Reason::Refused),
        Answer::Unopened => parked("its trigger was never accepted".to_owned(), Reason::TriggerNotAccepted),
        Answer::Later { why, after_ms, is_unsure } => {
            let row = Delivery { is_unsure: row.is_unsure || *is_unsure, error: Some(why.clone()), ..row };
            let attempt_at = now.plus_ms(after_ms.unwrap_or(0).max(wait_ms(row.tries, random)));
            if attempt_at > row.since_at.plus(GIVE_UP) {
                let error = Some(format!("not told within 24 h: {why}"));
                return (Delivery { state: Told::Parked, error, ..row }, Some(Reason::GaveUp));
            }
            (Delivery { state: Told::Waiting, attempt_at, ..row }, None)
        }
    }
}

/// The wait after a number of tries, with up to a quarter more, so that many do not come at once.
fn wait_ms(tries: i64, random: u64) -> i64 {
    let doublings = u32::try_from(tries.clamp(1, 20) - 1).unwrap_or(0);
    let wait = (AGAIN.ms() << doublings).min(AGAIN_AT_MOST.ms() * 4 / 5);
    let jitter = i64::try_from(random % 1_000).unwrap_or(0);
    wait + wait / 4 * jitter / 1_000
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn row(state: Told, tries: i64) -> Delivery {
        Delivery {
            channel: "pagerduty".to_owned(),
            about: "r".to_owned(),
            version: 3,
            kind: "trigger".to_owned(),
            dedup_key: "rollout/default/r".to_owned(),
            body: Value::Null,
            subject: String::new(),
            news: "{}".to_owned(),
            state,
            tries,
            is_unsure: false,
            receipt: None,
            error: None,
            since_at: At(0),
            attempt_at: At(0),
        }
    }

    fn answered(status: u16, retry_after_ms: Option<i64>) -> Answer {
        sorted(Ok(Reply { status, retry_after_ms, body: "no\nkey hush".to_owned() }), |text| {
            text.replace("hush", "***")
        })
    }

    #[test]
    fn only_429_5xx_and_failures_of_the_network_are_tried_again() {
        assert_eq!(answered(202, None), Answer::Sent { receipt: None });
        for status in [301, 302, 400, 401, 403, 404, 408, 410, 413] {
            assert_eq!(answered(status, Some(1)), Answer::Never { why: format!("answered {status}: no\\nkey ***") });
        }
        for (status, after_ms) in [(429, Some(30_000)), (503, Some(30_000)), (500, None), (504, None)] {
            let later = Answer::Later { why: format!("answered {status}: no\\nkey ***"), after_ms, is_unsure: false };
            assert_eq!(answered(status, Some(30_000)), later);
        }
        let failed = |failed| matches!(sorted(Err(failed), str::to_owned), Answer::Later { is_unsure: true, .. });
        assert!(failed(Unanswered::Unsure("gone".to_owned())) && !failed(Unanswered::NotSent("gone".to_owned())));
    }

    #[test]
    fn waits_grow_from_one_second_to_a_quarter_of_an_hour() {
        let waits: Vec<i64> = (1..=12).map(|tries| wait_ms(tries, 0) / 1_000).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 720, 720]);
        assert!((1..=1_000).all(|tries| (1_000..=AGAIN_AT_MOST.ms()).contains(&wait_ms(tries, 999))));
        assert!(wait_ms(1, 999) > wait_ms(1, 0));
    }

    #[test]
    fn a_receiver_that_says_how_long_is_believed() {
        let later = |after_ms| Answer::Later { why: String::new(), after_ms, is_unsure: false };
        assert_eq!(ended(&row(Told::Sending, 1), &later(Some(30_000)), At(5), 0).0.attempt_at, At(30_005));
        assert_eq!(ended(&row(Told::Sending, 1), &later(Some(0)), At(5), 0).0.attempt_at, At(1_005));
        assert_eq!(ended(&row(Told::Sending, 1), &later(None), At(5), 0).0.attempt_at, At(1_005));
    }

    #[test]
    fn after_a_day_it_is_parked_and_a_refusal_parks_at_once() {
        let later = Answer::Later { why: "answered 500: ".to_owned(), after_ms: None, is_unsure: false };
        let day = GIVE_UP.ms();
        let (waits, reason) = ended(&row(Told::Sending, 99), &later, At(day - 720_000), 0);
        assert_eq!((waits.state, reason), (Told::Waiting, None));
        let (over, reason) = ended(&row(Told::Sending, 99), &later, At(day - 719_999), 0);
        assert_eq!((over.state, reason), (Told::Parked, Some(Reason::GaveUp)));
        assert_eq!(over.error.as_deref(), Some("not told within 24 h: answered 500: "));
        let (refused, reason) = ended(&row(Told::Sending, 1), &Answer::Never { why: "no".to_owned() }, At(1), 0);
        assert_eq!((refused.state, reason), (Told::Parked, Some(Reason::Refused)));
    }

    #[test]
    fn what_was_being_sent_at_a_death_or_ended_without_an_answer_is_a_repeat() {
        assert!(!begun(&row(Told::Waiting, 0), None).is_unsure);
        assert!(begun(&row(Told::Sending, 1), None).is_unsure);
        let unsure = Answer::Later { why: String::new(), after_ms: None, is_unsure: true };
        let after = ended(&begun(&row(Told::Waiting, 0), None), &unsure, At(0), 0).0;
        assert!(begun(&after, None).is_unsure);
        assert_eq!(begun(&after, None).tries, 2);
    }
}
