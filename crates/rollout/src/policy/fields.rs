//! Reading the fields of one map: what is unknown, written twice or of the wrong kind is found field by field.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Findings;
use super::node::{Content, Node};

/// How alike a name must be to one that we know before we offer that, as Jaro and Winkler measure it.
const ALIKE: f64 = 0.75;

/// Longest piece of foreign text that a message repeats, in characters.
const EXCERPT_CHARS: usize = 40;

/// The known fields of one map of the text.
pub(super) struct Fields<'a> {
    path: String,
    node: &'a Node,
    known: BTreeMap<&'a str, &'a Node>,
}

impl<'a> Fields<'a> {
    /// Takes the map `node` apart; what is not `known`, or comes twice, is refused.
    pub(super) fn of(node: &'a Node, path: &str, known: &[&str], findings: &mut Findings) -> Self {
        let mut fields = Self { path: path.to_owned(), node, known: BTreeMap::new() };
        let Content::Map(entries) = &node.content else {
            findings.refuse(
                path,
                node,
                format!("{} is no map of fields: write `{}: …`", described(node), known.first().unwrap_or(&"name")),
            );
            return fields;
        };
        for entry in entries {
            let path = fields.path_of(&excerpt(&entry.key));
            let is_known = known.contains(&entry.key.as_str());
            if !is_known {
                findings.refuse_at(path, entry.place, unknown(&entry.key, known));
                if let Some(meant) = nearest(&entry.key, known) {
                    findings.settle(fields.path_of(meant));
                }
            } else if fields.known.contains_key(entry.key.as_str()) {
                findings.refuse_at(path, entry.place, "written twice: keep one");
            } else if matches!(entry.node.content, Content::Scalar(Value::Null)) {
                findings.refuse(path, &entry.node, "nothing is written here: write a value, or leave the field out");
            } else if let Content::NotFinite(number) = entry.node.content {
                findings.refuse(path, &entry.node, format!("{number} is no finite number"));
            } else {
                fields.known.insert(&entry.key, &entry.node);
            }
        }
        fields
    }

    /// The full name of a field of this map.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The node of a field that is there.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        self.known.get(name).copied()
    }

    /// Takes a field out, for a reader of its own.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a Node> {
        self.known.remove(name)
    }

    /// Refuses each field that is not there, unless it was refused already; the second of each pair is an example of its value.
    pub(super) fn require(&self, names: &[(&str, &str)], findings: &mut Findings) {
        for (name, example) in names.iter().filter(|(name, _)| self.get(name).is_none()) {
            let path = self.path_of(name);
            if !findings.is_settled(&path) {
                findings.refuse(path, self.node, format!("missing: write one such as `{name}: {example}`"));
            }
        }
    }

    /// The fields that are there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Node)> {
        self.known.iter().map(|(name, node)| (*name, *node))
    }

    /// Reads a field if it is there and as it should be.
    pub(super) fn read<T>(
        &self,
        name: &str,
        findings: &mut Findings,
        read: impl Fn(&Node) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.get(name)?;
        read(node).map_err(|message| findings.refuse(self.path_of(name), node, message)).ok()
    }

    /// The items of a field that is a list.
    pub(super) fn list(&self, name: &str, findings: &mut Findings) -> Option<&'a [Node]> {
        let node = self.get(name)?;
        let Content::List(items) = &node.content else {
            findings.refuse(
                self.path_of(name),
                node,
                format!("{} is no list: write one item a line, each after `- `", described(node)),
            );
            return None;
        };
        Some(items)
    }

    /// Refuses the second of two names for one thing.
    pub(super) fn only_one_of(&self, names: [&str; 2], findings: &mut Findings) {
        if let [Some(_), Some(second)] = names.map(|name| self.get(name)) {
            let [first_name, second_name] = names;
            findings.refuse(self.path_of(second_name), second, format!("says the same as `{first_name}`: keep one"));
        }
    }
}

/// Reads a value as its own type reads it.
pub(super) fn typed<T: DeserializeOwned>(node: &Node) -> Result<T, String> {
    read_as(node.to_json())
}

/// Reads a JSON value as its own type reads it; the error is a sentence.
pub(super) fn read_as<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| plain(&error.to_string()))
}

/// What a node is, for a message.
pub(super) fn described(node: &Node) -> String {
    match &node.content {
        Content::Scalar(Value::Null) => "nothing".to_owned(),
        Content::Scalar(Value::String(text)) => format!("`{}`", excerpt(text)),
        Content::Scalar(scalar) => format!("`{scalar}`"),
        Content::NotFinite(number) => format!("`{number}`"),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a map".to_owned(),
    }
}

/// The beginning of a foreign text, printable and on one line.
pub(super) fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(EXCERPT_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(EXCERPT_CHARS).is_some() { short + "…" } else { short }
}

fn unknown(name: &str, known: &[&str]) -> String {
    nearest(name, known).map_or_else(
        || format!("unknown field; known here are {}", listed(known, "and")),
        |meant| format!("unknown field; did you mean `{meant}`?"),
    )
}

fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let alike = |candidate: &&str| strsim::jaro_winkler(&excerpt(name).to_lowercase(), candidate);
    known.iter().copied().filter(|candidate| alike(candidate) >= ALIKE).max_by(|a, b| alike(a).total_cmp(&alike(b)))
}

fn listed(names: &[&str], word: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {word} {last}", rest.join(", ")),
        None => "none".to_owned(),
    }
}

/// Serde's errors in words for people who write policies.
fn plain(message: &str) -> String {
    if message.starts_with("unknown variant") {
        let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        if let [word, choices @ ..] = names.as_slice() {
            let meant = nearest(word, choices).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            return format!("`{}` is no choice here: write {}{meant}", excerpt(word), listed(choices, "or"));
        }
    }
    let kinds = [
        (", expected u64", ": write a whole number"),
        (", expected u32", ": write a whole number"),
        (", expected u16", ": write a whole number"),
        (", expected f64", ": write a number"),
        (", expected a boolean", ": write true or false"),
        (", expected a string", ": write a text"),
    ];
    let message = message.strip_prefix("invalid type: ").unwrap_or(message);
    kinds.into_iter().fold(message.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}
