//! Dry runs: metrics whose failure changes nothing.
//!
//! Argo takes each name for a pattern that may stand anywhere in a metric's name, and one that a template says holds for all templates of
//! the analysis. What is read here are names, with or without `^` and `$` around them, and `.*`; other patterns are named.

use crate::error::Error;
use crate::fields::{Fields, Place};
use crate::note::Note;
use crate::word::excerpt;

/// All metrics, as the documentation of Argo writes it.
const ALL: &str = ".*";

/// What makes a pattern of a name.
const SPECIAL: [char; 14] = ['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'];

/// The dry runs of one analysis.
#[derive(Debug, Default)]
pub(super) struct Dry(Vec<Pattern>);

/// One of them, as it is written.
#[derive(Debug)]
struct Pattern {
    place: Place,
    text: String,
}

impl Dry {
    /// Takes over what a run, or a template of it, says.
    pub(super) fn read(&mut self, fields: &mut Fields, notes: &mut Vec<Note>) -> Result<(), Error> {
        for mut dry in fields.maps("dryRun")? {
            let text = dry.required("metricName", "success-rate")?;
            self.0.push(Pattern { place: dry.place().field("metricName"), text });
            dry.rest(&[], notes);
        }
        Ok(())
    }

    pub(super) fn has(&self, metric: &str) -> bool {
        self.0.iter().any(|pattern| pattern.means(metric))
    }

    /// Names those that mean none of the metrics, or more of them than they say.
    pub(super) fn finish(self, metrics: &[String], notes: &mut Vec<Note>) {
        notes.extend(self.0.iter().filter_map(|pattern| pattern.told(metrics)));
    }
}

impl Pattern {
    fn means(&self, metric: &str) -> bool {
        let is_part = !self.text.contains(SPECIAL) && metric.contains(&self.text);
        self.text == ALL || self.name() == metric || is_part
    }

    /// The name without what says that it is the whole of it.
    fn name(&self) -> &str {
        self.text.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).unwrap_or(&self.text)
    }

    fn told(&self, metrics: &[String]) -> Option<Note> {
        let meant: Vec<&str> = metrics.iter().map(String::as_str).filter(|metric| self.means(metric)).collect();
        let more: Vec<&str> = meant.iter().copied().filter(|metric| *metric != self.name()).collect();
        let text = if meant.is_empty() {
            "was left out: no metric of the analysis is called that, and of patterns only `.*` is read, so what it means is judged; \
             write the name of each metric"
                .to_owned()
        } else if more.is_empty() || self.text == ALL {
            return None;
        } else {
            format!("means whatever has it in its name, there as here: {}", excerpt(&more.join(", ")))
        };
        Some(self.place.note(format!("({}) {text}", excerpt(&self.text))))
    }
}

#[cfg(test)]
mod tests {
    use super::{Dry, Pattern};
    use crate::fields::Place;

    fn dry(text: &str) -> Dry {
        Dry(vec![Pattern { place: Place::of_file("it"), text: text.to_owned() }])
    }

    /// Which of some metrics are dry, and what is told of that.
    fn read(text: &str) -> (Vec<String>, Option<String>) {
        let metrics = ["p95", "p99", "errors", "errors-total"].map(str::to_owned);
        let meant = metrics.iter().filter(|metric| dry(text).has(metric)).cloned().collect();
        let mut notes = Vec::new();
        dry(text).finish(&metrics, &mut notes);
        (meant, notes.pop().map(|note| note.text))
    }

    #[test]
    fn a_name_means_its_metric_and_the_pattern_for_all_means_all() {
        assert_eq!(read("p95"), (vec!["p95".to_owned()], None));
        assert_eq!(read("^errors$"), (vec!["errors".to_owned()], None));
        let (meant, note) = read(".*");
        assert_eq!((meant.len(), note), (4, None));
    }

    #[test]
    fn a_part_of_names_means_all_of_them_and_is_named() {
        let (meant, note) = read("errors");
        assert_eq!(meant, ["errors", "errors-total"]);
        assert_eq!(note.unwrap(), "(errors) means whatever has it in its name, there as here: errors-total");
        assert_eq!(read("p9").0, ["p95", "p99"]);
    }

    #[test]
    fn what_means_no_metric_and_each_other_pattern_is_named() {
        for text in ["latency", "p9.", "^p", "errors|p95"] {
            let (meant, note) = read(text);
            assert_eq!(meant, [""; 0], "{text}");
            assert!(note.unwrap().starts_with(&format!("({text}) was left out: ")), "{text}");
        }
    }
}
