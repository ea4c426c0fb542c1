//! Whatever is given: an answer, never a panic; and whatever is put into a source is named.

use proptest::prelude::*;
use rollout::Policy;
use serde_json::{Value, json};

use super::{SOURCES, exported, imported};
use crate::document::values;
use crate::{Document, Format, Target};

const FORMATS: [Format; 3] = [Format::Flagger, Format::Argo, Format::AgentSre];

/// A word that no source knows.
const STRANGE: &str = "zebra";

/// All documents of a source, as JSON.
fn trees(texts: &[&str]) -> Vec<Value> {
    let documents: Vec<_> = texts.iter().map(|text| Document { name: "it", text }).collect();
    values(&documents).unwrap().into_iter().map(|(value, _)| value).collect()
}

fn text_of(trees: &[Value]) -> String {
    trees.iter().map(|tree| format!("{tree}\n---\n")).collect()
}

/// `spec.metrics[0]` of `/spec/metrics/0`.
fn path_of(pointer: &str) -> String {
    pointer.split('/').filter(|part| !part.is_empty()).fold(String::new(), |path, part| {
        let part = part.replace("~1", "/");
        if part.parse::<usize>().is_ok() {
            format!("{path}[{part}]")
        } else if path.is_empty() {
            part
        } else {
            format!("{path}.{part}")
        }
    })
}

#[test]
fn a_field_that_nobody_knows_is_named_wherever_it_stands() {
    for (format, texts) in SOURCES {
        let whole = trees(texts);
        for (at, tree) in whole.iter().enumerate() {
            let mut pointers = Vec::new();
            places(tree, "", &mut pointers);
            for pointer in pointers.into_iter().filter(|pointer| tree.pointer(pointer).is_some_and(Value::is_object)) {
                let mut changed = whole.clone();
                changed[at].pointer_mut(&pointer).unwrap()[STRANGE] = json!("seen");
                let path = path_of(&pointer);
                match imported(format, &[&text_of(&changed)]) {
                    // Either itself, or what is around it as a whole.
                    Ok(made) => assert!(
                        made.notes.iter().any(|note| {
                            let place = note.path.rsplit(' ').next().unwrap_or_default();
                            place.ends_with(STRANGE)
                                || format!("{path}.").starts_with(&format!("{place}."))
                                || format!("{path}[").starts_with(&format!("{place}["))
                                || note.text.contains("nothing of the policy comes from it")
                        }),
                        "{path}: {:#?}",
                        made.notes
                    ),
                    Err(error) => assert!(error.to_string().contains(STRANGE), "{path}: {error}"),
                }
            }
        }
    }
}

fn answer(format: Format, text: &str) {
    match imported(format, &[text]) {
        Ok(made) => {
            let policy = Policy::from_yaml(&made.text).expect("what is handed out is a policy");
            for target in [Target::Flagger, Target::Argo] {
                let _ = exported(target, &policy);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn strange() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-2..200_i64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z0-9{}\\[\\]().=<>&| \"]{0,30}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{}, [], 1])),
    ]
}

/// Every place in a tree, as pointers.
fn places(tree: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match tree {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| places(value, &format!("{at}/{}", name.replace('/', "~1")), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_answered(text in ".{0,200}", format in proptest::sample::select(&FORMATS[..])) {
        answer(format, &text);
    }

    #[test]
    fn any_change_of_a_source_is_answered(
        source in 0..SOURCES.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), strange()), 1..4),
    ) {
        let (format, texts) = SOURCES[source];
        let mut changed = trees(texts);
        for (tree, place, value) in changes {
            let tree = tree.index(changed.len());
            let mut found = Vec::new();
            places(&changed[tree], "", &mut found);
            let pointer: &String = place.get(&found);
            *changed[tree].pointer_mut(pointer).unwrap() = value;
        }
        answer(format, &text_of(&changed));
    }

    #[test]
    fn any_preset_is_exported_under_any_name(preset in proptest::sample::select(Policy::PRESETS), name in any::<String>()) {
        let policy = Policy::from_yaml(Policy::preset(preset).unwrap()).unwrap();
        for (target, format) in [(Target::Flagger, Format::Flagger), (Target::Argo, Format::Argo)] {
            let naming = crate::Naming { name: name.clone(), namespace: name.clone(), port: 1 };
            let made = crate::export(target, &policy, &naming).unwrap().text;
            let back = imported(format, &[&made]);
            prop_assert!(back.is_ok(), "{:?}\n{}", back, made);
        }
    }
}
