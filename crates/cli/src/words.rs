//! Numbers and instants in the words that every command uses.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use rollout::At;
use time::OffsetDateTime;

/// Basis points as percent: `5 %`, `12.5 %`.
pub(crate) fn share(basis_points: u32) -> String {
    format!("{} %", f64::from(basis_points) / 100.0)
}

/// A number with as many digits as tell something: whole above 100, three significant below.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if value.fract() == 0.0 && size < 1e15 => 0,
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.001.. => 4,
        _ => return format!("{value:.2e}"),
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A part of a whole in percent, or `-` of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    format!("{:.1} %", 100.0 * part as f64 / whole as f64)
}

/// What is there, or a dash.
pub(crate) fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A length of time in its two largest units: `1h 5m`, `12s`.
pub(crate) fn lasting(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// The instant as UTC: `2026-11-21 06:21:56`.
pub(crate) fn instant(at: At) -> String {
    let Some(at) = utc(at) else { return at.0.to_string() };
    let (hour, minute, second) = at.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02}", at.date())
}

/// The time of day in UTC, with milliseconds: `06:21:56.123`.
pub(crate) fn clock(at: At) -> String {
    let Some(at) = utc(at) else { return at.0.to_string() };
    let (hour, minute, second, millisecond) = at.to_hms_milli();
    format!("{hour:02}:{minute:02}:{second:02}.{millisecond:03}")
}

/// This process's clock.
pub(crate) fn now() -> At {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    At(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// A value as the word under which it is stored, such as `no_data`.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn utc(at: At) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).ok()
}

/// A text from elsewhere on one line, without what a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Notes that say the same of several fields, once for all of them.
pub(crate) fn grouped(notes: &[String]) -> Vec<String> {
    let mut groups: Vec<(Vec<&str>, &str)> = Vec::new();
    for note in notes {
        let (field, text) = note.split_once(": ").unwrap_or(("", note));
        match groups.iter_mut().find(|(_, known)| *known == text) {
            Some((fields, _)) => fields.push(field),
            None => groups.push((vec![field], text)),
        }
    }
    let told = groups.iter().map(|(fields, text)| match fields.as_slice() {
        [""] => plain(text),
        fields => plain(&format!("{}: {text}", fields.join(", "))),
    });
    told.collect()
}

/// A text in lines of at most `width` characters; every line but the first begins with `indent` blanks.
pub(crate) fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for (at, word) in text.split(' ').enumerate() {
        let letters = word.chars().count();
        if at > 0 && letters > 0 && length + 1 + letters > width {
            lines.push(" ".repeat(indent));
            length = indent;
        } else if at > 0 {
            lines.last_mut().into_iter().for_each(|line| line.push(' '));
            length += 1;
        }
        lines.last_mut().into_iter().for_each(|line| line.push_str(word));
        length += letters;
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}
