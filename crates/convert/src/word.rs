//! Names and texts of others, made fit for a policy.

/// Longest name of a policy, and of a metric.
const CHARS_MAX: usize = 63;

/// Longest piece of foreign text that a message repeats, in characters.
const EXCERPT_CHARS: usize = 60;

/// A name that a policy may have.
pub(crate) fn policy_name(text: &str) -> String {
    let name = only(text, |letter| letter.is_ascii_alphanumeric() || "._-".contains(letter), '-');
    let name = name.trim_start_matches(|letter: char| !letter.is_ascii_alphanumeric());
    if name.is_empty() { "imported".to_owned() } else { name.to_owned() }
}

/// A name that a metric may have.
pub(crate) fn metric_name(text: &str) -> String {
    let name = only(text, |letter| letter.is_ascii_alphanumeric(), '_');
    let name = name.trim_matches('_');
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return name.to_owned();
    }
    only(&format!("metric_{name}"), |_| true, '_').trim_end_matches('_').to_owned()
}

/// The beginning of a foreign text, printable and on one line.
pub(crate) fn excerpt(text: &str) -> String {
    let mut letters = text.chars();
    let short: String = letters.by_ref().take(EXCERPT_CHARS).map(visible).collect();
    if letters.next().is_some() { short + "…" } else { short }
}

/// Without what a terminal would obey or a line would end at.
pub(crate) fn visible(letter: char) -> char {
    if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}') { ' ' } else { letter }
}

/// The text in small letters, every run of others replaced by one letter.
fn only(text: &str, is_fine: impl Fn(char) -> bool, other: char) -> String {
    let mut name = String::new();
    for letter in text.chars().map(|letter| letter.to_ascii_lowercase()) {
        if is_fine(letter) {
            name.push(letter);
        } else if !name.ends_with(other) {
            name.push(other);
        }
        if name.len() >= CHARS_MAX {
            break;
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::{excerpt, metric_name, policy_name};

    #[test]
    fn names_of_others_become_names_of_ours() {
        assert_eq!(metric_name("404s percentage"), "metric_404s_percentage");
        assert_eq!(metric_name("request-success-rate"), "request_success_rate");
        assert_eq!((metric_name("é"), metric_name("")), ("metric".to_owned(), "metric".to_owned()));
        assert_eq!(policy_name("GPT-3.5 → GPT-4o"), "gpt-3.5-gpt-4o");
        assert_eq!(policy_name("→"), "imported");
        assert!(metric_name(&"9".repeat(900)).len() <= 63);
    }

    #[test]
    fn what_is_repeated_of_others_is_short_and_on_one_line() {
        assert_eq!(excerpt("a\nb\u{1b}[31m"), "a b [31m");
        assert_eq!(excerpt(&"x".repeat(100)).chars().count(), 61);
    }
}
