//! Reading a struct that is somebody else's (a check of the judge, a smoke test) field by field, so that each bad field is found at
//! its own place. Which fields there are, its own `Deserialize` says; a list of ours would fall behind.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde_json::{Map, Value};

use super::error::Findings;
use super::fields::{Fields, read_as};

/// The fields of `fields` that `T` reads, put into `base`, which holds a harmless value for each field that `T` requires.
pub(super) fn checked<T: DeserializeOwned>(
    fields: &Fields<'_>,
    base: &Map<String, Value>,
    findings: &mut Findings,
) -> Map<String, Value> {
    let mut whole = base.clone();
    for (name, node) in fields.iter() {
        let mut alone = base.clone();
        alone.insert(name.to_owned(), node.to_json());
        match read_as::<T>(Value::Object(alone)) {
            Ok(_) => _ = whole.insert(name.to_owned(), node.to_json()),
            Err(message) => findings.refuse(fields.path_of(name), node, message),
        }
    }
    whole
}

/// The names of the fields of `T`, as its own `Deserialize` gives them.
pub(super) fn names_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let names = Cell::new([].as_slice());
    // It always fails: only the names are wanted.
    let _ = T::deserialize(Names(&names));
    names.get()
}

struct Names<'a>(&'a Cell<&'static [&'static str]>);

#[derive(Debug)]
struct OnlyNames;

impl fmt::Display for OnlyNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only the names of the fields are wanted")
    }
}

impl std::error::Error for OnlyNames {}

impl de::Error for OnlyNames {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = OnlyNames;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, OnlyNames> {
        self.0.set(fields);
        Err(OnlyNames)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, OnlyNames> {
        Err(OnlyNames)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}
