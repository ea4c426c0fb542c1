//! Texts within their limits: cut on characters, with a mark.

/// What a text ends with that was cut.
const MARK: char = '…';

/// At most `chars` characters of a text.
pub(crate) fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars.saturating_sub(1)).chain([MARK]).collect()
}

/// At most `chars` characters of a text once it is escaped as Slack asks; an escape is never cut in two.
pub(super) fn escaped(text: &str, chars: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let written = match character {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            other => other.to_string(),
        };
        let long = written.chars().count();
        let left = chars.saturating_sub(used);
        if long > left || (long == left && rest.peek().is_some()) {
            out.push(MARK);
            break;
        }
        used += long;
        out.push_str(&written);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_on_characters_with_a_mark() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("", 3), "");
    }

    #[test]
    fn escapes_count_and_are_never_cut_in_two() {
        assert_eq!(escaped("a<b & c>d", 100), "a&lt;b &amp; c&gt;d");
        assert_eq!(escaped("<!channel>", 100), "&lt;!channel&gt;");
        assert_eq!(escaped("ab", 2), "ab");
        assert_eq!(escaped("abc", 2), "a…");
        for limit in 1..40 {
            let text = escaped("x<y>&z und ein längerer Schluß", limit);
            assert!(text.chars().count() <= limit, "{limit}: {text}");
            let without = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            assert!(!without.contains(['&', '<', '>']), "{limit}: {text}");
        }
    }
}
