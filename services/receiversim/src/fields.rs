//! What a field must be.

use serde_json::{Map, Value};

/// The problems of an object, field by field.
pub(crate) struct Fields<'a> {
    path: &'static str,
    object: Option<&'a Map<String, Value>>,
    pub(crate) problems: Vec<String>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(path: &'static str, value: &'a Value) -> Self {
        let object = value.as_object();
        let problems = if object.is_none() { vec![format!("{path} is no object")] } else { Vec::new() };
        Self { path, object, problems }
    }

    /// Refuses what is not one of these.
    pub(crate) fn only(mut self, known: &[&str]) -> Self {
        for name in self.object.into_iter().flatten().map(|(name, _)| name) {
            if !known.contains(&name.as_str()) {
                self.problems.push(format!("{}.{name} is not known", self.path));
            }
        }
        self
    }

    /// A text of 1 to `chars` characters.
    pub(crate) fn text(mut self, name: &str, chars: usize) -> Self {
        let good = |text: &str| (1..=chars).contains(&text.chars().count());
        if !self.get(name).and_then(Value::as_str).is_some_and(good) {
            self.problems.push(format!("{}.{name} is no text of 1 to {chars} characters", self.path));
        }
        self
    }

    /// The same, if it is there.
    pub(crate) fn text_or_none(self, name: &str, chars: usize) -> Self {
        if self.get(name).is_none_or(Value::is_null) { self } else { self.text(name, chars) }
    }

    /// One of these words.
    pub(crate) fn word(mut self, name: &str, words: &[&str]) -> Self {
        if !self.get(name).and_then(Value::as_str).is_some_and(|word| words.contains(&word)) {
            self.problems.push(format!("{}.{name} is none of {words:?}", self.path));
        }
        self
    }

    /// An instant of RFC 3339, if it is there.
    pub(crate) fn instant_or_none(mut self, name: &str) -> Self {
        let parsed = |text: &str| time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
        if let Some(value) = self.get(name)
            && value.as_str().is_none_or(|text| parsed(text).is_err())
        {
            self.problems.push(format!("{}.{name} is no instant", self.path));
        }
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.and_then(|object| object.get(name))
    }
}
