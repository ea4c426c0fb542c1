//! A map of a source, from which fields are taken. What nobody took is named: that is how nothing is passed over.

use std::sync::Arc;

use judge::Span;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::note::Note;
use crate::word::excerpt;

/// Fields, or kinds of objects, that have no equal here, each with the reason and what to do instead.
pub(crate) type Reasons = &'static [(&'static str, &'static str)];

/// What is said of a field that nobody knows.
const UNKNOWN: &str = "is unknown here, so it was left out";

/// Where something stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    file: Arc<str>,
    /// The object, where it is not the one that everything is about.
    object: Option<String>,
    path: String,
}

/// The fields of a map that nobody has taken yet.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    place: Place,
    map: Map<String, Value>,
}

impl Place {
    pub(crate) fn of_file(file: &str) -> Self {
        Self { file: file.into(), object: None, path: String::new() }
    }

    /// The same place in an object beside the main one.
    pub(crate) fn of_object(&self, object: String) -> Self {
        Self { object: Some(object), ..self.clone() }
    }

    pub(crate) fn field(&self, name: &str) -> Self {
        let point = if self.path.is_empty() { "" } else { "." };
        Self { path: format!("{}{point}{}", self.path, excerpt(name)), ..self.clone() }
    }

    pub(crate) fn item(&self, at: usize) -> Self {
        Self { path: format!("{}[{at}]", self.path), ..self.clone() }
    }

    pub(crate) fn refuse(&self, message: impl Into<String>) -> Error {
        Error::Field { file: excerpt(&self.file), path: self.told(), message: message.into() }
    }

    pub(crate) fn note(&self, text: impl Into<String>) -> Note {
        Note { path: self.told(), text: text.into() }
    }

    fn told(&self) -> String {
        let object = self.object.iter().map(String::as_str);
        let path = if self.path.is_empty() && self.object.is_none() { "(whole)" } else { &self.path };
        object.chain([path]).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

impl Fields {
    pub(crate) fn of(value: Value, place: Place) -> Result<Self, Error> {
        match value {
            Value::Object(map) => Ok(Self { place, map }),
            other => Err(place.refuse(format!("{} is no map of fields", described(&other)))),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The same fields, in an object that has been named.
    pub(crate) fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// Takes a field out; nothing written is no field.
    pub(crate) fn take(&mut self, name: &str) -> Option<(Value, Place)> {
        self.map.remove(name).filter(|value| !value.is_null()).map(|value| (value, self.place.field(name)))
    }

    /// A text that stays where it is, because the field around it has no equal and is named as such.
    pub(crate) fn peek(&self, path: &[&str]) -> Option<&str> {
        self.peek_value(path)?.as_str()
    }

    /// The same of any value.
    pub(crate) fn peek_value(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.map.get(*first)?, |value, name| value.get(name))
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Error> {
        self.read(name, scalar_text, "is no text: write one")
    }

    pub(crate) fn required(&mut self, name: &str, example: &str) -> Result<String, Error> {
        let missing = self.place.field(name).refuse(format!("missing: write one such as `{name}: {example}`"));
        self.text(name)?.ok_or(missing)
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<Option<f64>, Error> {
        self.read(
            name,
            |value| value.as_f64().filter(|number| number.is_finite()),
            "is no number: write one such as `99`",
        )
    }

    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u32>, Error> {
        self.read(name, count, "is no whole number of 0 or more: write one such as `10`")
    }

    pub(crate) fn counts(&mut self, name: &str) -> Result<Vec<u32>, Error> {
        let read = |(value, place): (Value, Place)| {
            count(&value).ok_or_else(|| {
                place.refuse(format!("{} is no whole number of 0 or more: write one such as `10`", described(&value)))
            })
        };
        self.list(name)?.into_iter().map(read).collect()
    }

    pub(crate) fn truth(&mut self, name: &str) -> Result<bool, Error> {
        Ok(self.read(name, Value::as_bool, "is neither: write true or false")?.unwrap_or_default())
    }

    pub(crate) fn span(&mut self, name: &str) -> Result<Option<Span>, Error> {
        self.read(name, span, "is no length of time: write one such as `60s` or `5m`")
    }

    pub(crate) fn map(&mut self, name: &str) -> Result<Option<Self>, Error> {
        self.take(name).map(|(value, place)| Self::of(value, place)).transpose()
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<(Value, Place)>, Error> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some((Value::Array(items), place)) => {
                Ok(items.into_iter().enumerate().map(|(at, item)| (item, place.item(at))).collect())
            }
            Some((other, place)) => Err(place.refuse(format!("{} is no list", described(&other)))),
        }
    }

    pub(crate) fn maps(&mut self, name: &str) -> Result<Vec<Self>, Error> {
        self.list(name)?.into_iter().map(|(value, place)| Self::of(value, place)).collect()
    }

    /// The fields that are left, in the order of their names.
    pub(crate) fn into_pairs(self) -> impl Iterator<Item = (String, Value, Place)> {
        let Self { place, map } = self;
        map.into_iter().filter(|(_, value)| !value.is_null()).map(move |(name, value)| {
            let place = place.field(&name);
            (name, value, place)
        })
    }

    /// Names everything that is left.
    pub(crate) fn rest(self, reasons: Reasons, notes: &mut Vec<Note>) {
        for (name, value, place) in self.into_pairs() {
            let reason = reasons.iter().find(|(known, _)| *known == name).map_or(UNKNOWN, |(_, reason)| reason);
            notes.push(place.note(format!("{} {reason}", described(&value))));
        }
    }

    fn read<T>(&mut self, name: &str, read: impl Fn(&Value) -> Option<T>, wrong: &str) -> Result<Option<T>, Error> {
        let Some((value, place)) = self.take(name) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| place.refuse(format!("{} {wrong}", described(&value))))
    }
}

/// What a value is, for a message: a map by the fields that tell it from others.
pub(crate) fn described(value: &Value) -> String {
    match value {
        Value::Null => "(nothing)".to_owned(),
        Value::String(text) => format!("({})", excerpt(text)),
        Value::Array(items) if items.len() == 1 => "(a list of one)".to_owned(),
        Value::Array(items) => format!("(a list of {})", items.len()),
        Value::Object(map) => {
            let telling = ["kind", "name", "type"].iter().filter_map(|name| scalar_text(map.get(*name)?));
            let port = map.get("port").and_then(scalar_text).map(|port| format!("port {port}"));
            match telling.chain(port).map(|text| excerpt(&text)).collect::<Vec<_>>().as_slice() {
                [] => "(a map)".to_owned(),
                telling => format!("({})", telling.join(", ")),
            }
        }
        scalar => format!("({scalar})"),
    }
}

/// A scalar as a text; where a text is expected, others write numbers as well.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A whole number, also in quotes: Kubernetes has fields that may be either.
fn count(value: &Value) -> Option<u32> {
    scalar_text(value)?.parse().ok()
}

/// A length of time; a number, in quotes or not, counts seconds.
pub(crate) fn span(value: &Value) -> Option<Span> {
    let text = scalar_text(value)?;
    text.parse::<f64>().map_or_else(|_| text.parse().ok(), |seconds| Span::from_secs_f64(seconds).ok())
}
