//! The policies that ship with the program, as the files that a person would write.

use super::Policy;

macro_rules! presets {
    ($($name:literal),+ $(,)?) => {
        impl Policy {
            /// The names of the presets.
            pub const PRESETS: &[&str] = &[$($name),+];

            /// The text of a preset.
            #[must_use]
            pub fn preset(name: &str) -> Option<&'static str> {
                match name {
                    $($name => Some(include_str!(concat!("../../../../policies/", $name, ".yaml"))),)+
                    _ => None,
                }
            }
        }
    };
}

presets![
    "starter",
    "llm-upgrade",
    "agent-default",
    "fast",
    "conservative",
    "aggressive",
    "triggers",
    "flagger",
    "llm-large",
    "llm-small",
    "activate",
    "demo",
];
