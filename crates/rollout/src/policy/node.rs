//! The tree of a policy's text, each node with its place, before anything is known about its meaning.
//!
//! The YAML parser is used here and nowhere else. It only makes the tree: what the fields are, what is written twice and what is
//! no number is found by us, so that one answer can name every problem. The limits hold before anything is allocated for the
//! text: its length, its depth, its nodes, and no anchors at all, so that no small text becomes a large one.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use super::error::Problem;

/// Longest text of a policy.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Deepest nesting of a policy.
const DEPTH_MAX: usize = 32;

/// Most nodes: 200 steps and 50 checks with every field written have about 4,000.
const NODES_MAX: usize = 5_000;

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Option<Place>,
    pub(super) content: Content,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Content {
    /// Null, a truth value, a finite number or a text.
    Scalar(Value),
    /// Not a number, or an infinite one.
    NotFinite(f64),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the text; a key may come twice.
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Option<Place>,
    pub(super) node: Node,
}

impl Node {
    /// Reads a text within its limits.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        if text.len() > TEXT_BYTES_MAX {
            let message =
                format!("the text has {} bytes: a policy has at most {} KiB", text.len(), TEXT_BYTES_MAX / 1024);
            return Err(Problem::new("", message, None));
        }
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: DEPTH_MAX,
                max_nodes: NODES_MAX,
                max_aliases: 0,
                max_anchors: 0,
                max_documents: 1,
            },
            duplicate_keys: DuplicateKeyPolicy::LastWins,
            merge_keys: MergeKeyPolicy::Error,
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
            reject_unsupported_tags: true,
            strict_booleans: true,
            with_snippet: false,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| refusal(&error))
    }

    /// The value without its places; what is not finite becomes a text.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::NotFinite(number) => Value::String(number.to_string()),
            Content::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect())
            }
        }
    }

    /// The place of a field such as `steps[1].dwell`, or of the nearest node around it.
    pub(super) fn place_of(&self, path: &str) -> Option<Place> {
        let mut node = self;
        for name in names(path) {
            let Some(inner) = node.inner(name) else { break };
            node = inner;
        }
        node.place
    }

    /// A field such as `steps[1].dwell`, if it is written.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        names(path).try_fold(self, Self::inner)
    }

    /// A field of a map by its name, or an item of a list by its number.
    fn inner(&self, name: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node),
            Content::List(items) => name.parse::<usize>().ok().and_then(|at| items.get(at)),
            Content::Scalar(_) | Content::NotFinite(_) => None,
        }
    }

    /// The first key anywhere in it that its map has already.
    pub(super) fn written_twice(&self) -> Option<&Entry> {
        match &self.content {
            Content::Scalar(_) | Content::NotFinite(_) => None,
            Content::List(items) => items.iter().find_map(Self::written_twice),
            Content::Map(entries) => {
                let mut seen = BTreeSet::new();
                entries
                    .iter()
                    .find_map(|entry| if seen.insert(&entry.key) { entry.node.written_twice() } else { Some(entry) })
            }
        }
    }

    /// A number in it that is none.
    pub(super) fn not_finite(&self) -> Option<f64> {
        match &self.content {
            Content::NotFinite(number) => Some(*number),
            Content::Scalar(_) => None,
            Content::List(items) => items.iter().find_map(Self::not_finite),
            Content::Map(entries) => entries.iter().find_map(|entry| entry.node.not_finite()),
        }
    }
}

impl From<Value> for Node {
    /// A tree without places.
    fn from(value: Value) -> Self {
        let content = match value {
            Value::Array(items) => Content::List(items.into_iter().map(Self::from).collect()),
            Value::Object(fields) => Content::Map(
                fields.into_iter().map(|(key, value)| Entry { key, place: None, node: Self::from(value) }).collect(),
            ),
            scalar => Content::Scalar(scalar),
        };
        Self { place: None, content }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(from)?;
        Ok(Self { place: place(spanned.referenced), content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Content, E> {
        Ok(Content::Scalar(truth.into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Content, E> {
        Ok(Content::Scalar(number.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Content, E> {
        Ok(Content::Scalar(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Content, E> {
        Ok(serde_json::Number::from_f64(number)
            .map_or(Content::NotFinite(number), |number| Content::Scalar(number.into())))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Scalar(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = map.next_entry::<Spanned<String>, Node>()? {
            entries.push(Entry { key: key.value, place: place(key.referenced), node });
        }
        Ok(Content::Map(entries))
    }
}

/// The parts of a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[']).map(|name| name.trim_end_matches(']')).filter(|name| !name.is_empty())
}

fn place(location: Location) -> Option<Place> {
    (location.line() > 0).then(|| Place { line: location.line(), column: location.column() })
}

/// The parser's error in words for people who write policies; its place is kept apart, so the text loses it.
fn refusal(error: &serde_saphyr::Error) -> Problem {
    let location = error.location();
    let message = match error {
        serde_saphyr::Error::Budget { breach, .. } => beyond(breach),
        serde_saphyr::Error::MergeKeyNotAllowed { .. } => "`<<` merges nothing here: write the fields out".to_owned(),
        // Brackets are counted by the scanner first, whose limit has no variant of its own.
        other if other.to_string().starts_with("recursion limit") => too_deep(),
        other => other.to_string(),
    };
    let ending = location
        .map(|location| format!(" at line {}, column {}", location.line(), location.column()))
        .unwrap_or_default();
    Problem::new("", message.replace(&ending, ""), location.and_then(place))
}

fn beyond(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. } => {
            "anchors and aliases are off here: write the value out".to_owned()
        }
        BudgetBreach::Documents { .. } => "a second document begins here: write one policy a file".to_owned(),
        BudgetBreach::Depth { .. } => too_deep(),
        BudgetBreach::Nodes { .. } => format!("more than {NODES_MAX} values: no policy needs that many"),
        other => format!("too large: {other:?}"),
    }
}

fn too_deep() -> String {
    format!("nested deeper than {DEPTH_MAX}: no policy needs that")
}
