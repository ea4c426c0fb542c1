//! Queries of others for Prometheus: their placeholders filled in, and what then becomes of them here.

use judge::{Check, Query};

use crate::draft::refusal;
use crate::fields::Place;
use crate::note::Note;
use crate::word::{excerpt, metric_name};

/// Said of every query that is taken over.
const SELECTS: &str = "the query asks for what it names, so it must select the candidate by itself; where your series carry \
                       the version, write `version=\"{version}\"` into it, and both versions can be compared";

/// The text with each `{{ name }}` replaced by its value; the first one that has none otherwise.
pub(crate) fn filled(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((inside, behind)) = behind.split_once("}}") else {
            return Err(excerpt(&format!("{{{{{behind}")));
        };
        let name = inside.trim_matches('-').trim();
        done += before;
        done += &value(name).ok_or_else(|| excerpt(&format!("{{{{{inside}}}}}")))?;
        rest = behind;
    }
    Ok(done + rest)
}

/// The check made to ask a query; if we can't take that, a note says why and what to do.
pub(crate) fn asking(query: &str, (name, check): (&str, Check), place: &Place, notes: &mut Vec<Note>) -> Option<Check> {
    let check = Check {
        metric: metric_name(name),
        query: Some(Query { value: Some(query.trim().to_owned()), ..Query::default() }),
        // One number says nothing about its samples.
        min_samples: None,
        ..check
    };
    if let Some(why) = refusal(&check) {
        notes.push(place.note(format!(
            "({}) was left out, it can't be taken over as it is: {why}; write a check of your own for it",
            excerpt(name)
        )));
        return None;
    }
    notes.push(place.note(SELECTS));
    Some(check)
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn placeholders_are_replaced_and_one_without_a_value_is_named() {
        let value = |name: &str| (name == "args.service-name").then(|| "web".to_owned());
        assert_eq!(
            filled("a{x=\"{{args.service-name}}-{{ args.service-name }}\"}", value).unwrap(),
            "a{x=\"web-web\"}"
        );
        assert_eq!(filled("up{{{ args.other }}}", value).unwrap_err(), "{{{ args.other }}");
        assert_eq!(filled("up{{ if", value).unwrap_err(), "{{ if");
    }
}
