//! What `tidegate doctor` finds: how it stands with what the distributed form meets over, and what to do about it.

mod database;

use serde::Serialize;

use rollout::At;

use crate::clock::Clock;

pub use database::examine_database;

/// Clocks that are further apart are a warning, and an error: what is slewed at all is no more than that.
const APART_MS: (i64, i64) = (500, 2_000);

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warn,
    /// It does not work, or loses what it must not.
    Fail,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it stands.
    pub grade: Grade,
    /// With what.
    pub of: &'static str,
    /// What was seen.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(of: &'static str, found: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, of, found: found.into(), remedy: None }
    }

    /// It works, and somebody should do this.
    pub fn warn(of: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Warn, remedy: Some(remedy.into()), ..Self::ok(of, found) }
    }

    /// It does not work until somebody does this.
    pub fn fail(of: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Fail, ..Self::warn(of, found, remedy) }
    }
}

/// How far the clock of something is ahead of this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Whose.
    pub of: &'static str,
    /// By how much; behind, when it is negative. Not more exact than the way there takes.
    pub ms: i64,
}

impl Ahead {
    /// What a clock showed between two looks at this machine's.
    pub(crate) fn between(of: &'static str, (asked, answered): (At, At), shown: At) -> Self {
        let here = asked.plus_ms(answered.ms_since(asked) / 2);
        Self { of, ms: shown.ms_since(here) }
    }
}

/// The time of this machine.
pub(crate) fn here() -> At {
    Clock::system().now()
}

/// Judges the clocks against this machine's, and against each other.
#[must_use]
pub fn clocks(ahead: &[Ahead]) -> Option<Finding> {
    let all = || ahead.iter().map(|clock| clock.ms).chain([0]);
    let apart = all().max()? - all().min()?;
    let of = |clock: &Ahead| match clock.ms {
        ms if ms.abs() < APART_MS.0 => format!("the {}'s is that of this machine", clock.of),
        ms @ ..0 => format!("the {}'s is {:.1} s behind this machine's", clock.of, seconds(-ms)),
        ms => format!("the {}'s is {:.1} s ahead of this machine's", clock.of, seconds(ms)),
    };
    let found = ahead.iter().map(of).collect::<Vec<_>>().join(", ");
    let remedy = "set the clocks by NTP, and start again the services of a machine whose clock was behind";
    Some(match apart {
        _ if ahead.is_empty() => return None,
        apart if apart > APART_MS.1 => Finding::fail("clocks", found, remedy),
        apart if apart > APART_MS.0 => Finding::warn("clocks", found, remedy),
        _ => Finding::ok("clocks", found),
    })
}

#[expect(clippy::cast_precision_loss, reason = "times in milliseconds are far below 2^52")]
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_judged_by_the_two_that_are_furthest_apart() {
        let judged = |server: i64, database: i64| {
            let ahead = [Ahead { of: "server", ms: server }, Ahead { of: "database", ms: database }];
            clocks(&ahead).map(|finding| finding.grade)
        };
        assert_eq!(clocks(&[]), None);
        assert_eq!(judged(100, -100), Some(Grade::Ok));
        assert_eq!(judged(400, -400), Some(Grade::Warn));
        assert_eq!(judged(1_500, -1_500), Some(Grade::Fail));
        let behind = clocks(&[Ahead { of: "database", ms: -3_400 }]).unwrap();
        assert_eq!(behind.found, "the database's is 3.4 s behind this machine's");
        assert!(behind.remedy.unwrap().contains("NTP"));
    }

    #[test]
    fn what_a_clock_showed_is_compared_with_the_middle_of_the_way() {
        assert_eq!(Ahead::between("server", (At(1_000), At(1_200)), At(1_150)).ms, 50);
    }
}
