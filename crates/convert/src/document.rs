//! Texts taken apart: YAML with any number of documents, lists of objects, and JSON, which is YAML.

use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};

use crate::error::Error;
use crate::fields::{Fields, Place, Reasons, described};
use crate::note::Note;
use crate::word::excerpt;

/// Longest text: an object of Kubernetes has at most 1.5 MB, and nobody writes such ones.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Deepest nesting: a pod's template has about a dozen levels.
const DEPTH_MAX: usize = 64;

/// Most nodes of all documents of a text.
const NODES_MAX: usize = 50_000;

/// A text and what it is called in messages.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// Such as a file's name.
    pub name: &'a str,
    /// YAML or JSON.
    pub text: &'a str,
}

/// An object of Kubernetes: what it is, what it is called, and the rest of it.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) fields: Fields,
}

/// All values of all texts, each with its place.
pub(crate) fn values(documents: &[Document<'_>]) -> Result<Vec<(Value, Place)>, Error> {
    let mut values = Vec::new();
    for document in documents {
        let place = Place::of_file(document.name);
        values.extend(parsed(document)?.into_iter().map(|value| (value, place.clone())));
    }
    Ok(values)
}

fn parsed(document: &Document<'_>) -> Result<Vec<Value>, Error> {
    let unreadable = |message| Error::Unreadable { file: excerpt(document.name), message };
    if document.text.len() > TEXT_BYTES_MAX {
        return Err(unreadable(format!("{} bytes are more than {TEXT_BYTES_MAX}", document.text.len())));
    }
    let options = serde_saphyr::options! {
        // Without anchors no small text becomes a large one, and manifests have none.
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_nodes: NODES_MAX, max_aliases: 0, max_anchors: 0 },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(document.text, options).map_err(|error| unreadable(error.to_string()))
}

/// The objects, those of lists one by one.
fn objects(values: Vec<(Value, Place)>) -> Result<Vec<Object>, Error> {
    let mut objects = Vec::new();
    for (value, place) in values {
        let mut fields = Fields::of(value, place)?;
        let kind = fields.required("kind", "Canary")?;
        if kind.ends_with("List") {
            let items =
                fields.list("items")?.into_iter().map(|(value, place)| Object::of(Fields::of(value, place)?, None));
            objects.extend(items.collect::<Result<Vec<_>, _>>()?);
        } else {
            objects.push(Object::of(fields, Some(kind))?);
        }
    }
    Ok(objects)
}

/// What all objects have beside their `spec`.
const OF_KUBERNETES: Reasons = &[("status", "is what became of it there, and no part of a policy")];

impl Object {
    fn of(mut fields: Fields, kind: Option<String>) -> Result<Self, Error> {
        let kind = kind.map_or_else(|| fields.required("kind", "Canary"), Ok)?;
        let of_metadata = |name| fields.peek(&["metadata", name]).map(str::to_owned);
        let (name, namespace) = (of_metadata("name"), of_metadata("namespace"));
        let name = name.ok_or_else(|| {
            fields.place().field("metadata").field("name").refuse("missing: write one such as `name: vllm-agent`")
        })?;
        Ok(Self { kind, name, namespace, fields })
    }

    /// What it is called in messages: `Canary ai-serving/vllm-agent`.
    pub(crate) fn told(&self) -> String {
        let namespace = self.namespace.as_ref().map(|namespace| format!("{}/", excerpt(namespace))).unwrap_or_default();
        format!("{} {namespace}{}", excerpt(&self.kind), excerpt(&self.name))
    }

    /// The object as one beside the main one, so that messages say its name.
    pub(crate) fn aside(self) -> Self {
        let place = self.fields.place().of_object(self.told());
        Self { fields: self.fields.at(place), ..self }
    }

    /// Its `spec`; what else it has is named.
    pub(crate) fn spec(mut self, notes: &mut Vec<Note>) -> Result<Fields, Error> {
        let spec = self.fields.map("spec")?;
        let spec = spec.ok_or_else(|| self.fields.place().field("spec").refuse("missing: nothing is said"))?;
        // The version of its kind is understood by what it holds.
        self.fields.take("apiVersion");
        if let Some(mut metadata) = self.fields.map("metadata")? {
            metadata.take("name");
            metadata.take("namespace");
            for (_, value, place) in metadata.into_pairs() {
                notes
                    .push(place.note(format!("{} is for Kubernetes, which Tidegate does not know", described(&value))));
            }
        }
        self.fields.rest(OF_KUBERNETES, notes);
        Ok(spec)
    }
}

/// The objects beside the main one, and which of them it names.
pub(crate) struct Beside(Vec<(Object, bool)>);

impl Beside {
    pub(crate) fn of(objects: Vec<Object>) -> Self {
        Self(objects.into_iter().map(|object| (object.aside(), false)).collect())
    }

    /// The object that is meant; several may mean the same one.
    pub(crate) fn find(&mut self, is_meant: impl Fn(&Object) -> bool) -> Option<Object> {
        let (object, is_used) = self.0.iter_mut().find(|(object, _)| is_meant(object))?;
        *is_used = true;
        Some(object.clone())
    }

    /// Names those that nobody asked for.
    pub(crate) fn rest(self, notes: &mut Vec<Note>) {
        let idle = self.0.into_iter().filter(|(_, is_used)| !is_used);
        notes.extend(idle.map(|(object, _)| object.fields.place().note("nothing of the policy comes from it")));
    }
}

/// The one object of a kind, and the others.
pub(crate) fn one_of(kind: &str, values: Vec<(Value, Place)>) -> Result<(Object, Beside), Error> {
    let (meant, others): (Vec<_>, Vec<_>) = objects(values)?.into_iter().partition(|object| object.kind == kind);
    let mut meant = meant.into_iter();
    let one = meant.next().ok_or_else(|| Error::Missing(format!("there is no `kind: {kind}` in it")))?;
    match meant.next() {
        None => Ok((one, Beside::of(others))),
        Some(second) => {
            Err(second.fields.place().refuse(format!("{} is a second one: import one at a time", second.told())))
        }
    }
}
