use rollout::Policy;

use super::{SOURCES, exported, imported, read, told};
use crate::Target;

#[test]
fn each_source_becomes_a_policy_and_everything_without_equal_is_named() {
    let names = [
        "flagger_vllm_agent",
        "flagger_webhooks",
        "flagger_ab",
        "argo_background",
        "argo_without_equal",
        "agent_sre_rollout",
    ];
    for (name, (format, texts)) in names.into_iter().zip(SOURCES) {
        let converted = imported(format, texts).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        insta::assert_snapshot!(name, told(&converted));
    }
}

#[test]
fn each_policy_becomes_manifests_and_everything_without_equal_is_named() {
    let own = include_str!("../golden/every-part.yaml");
    for (name, text) in [("flagger", Policy::preset("flagger").unwrap()), ("every_part", own)] {
        for (word, target) in [("flagger", Target::Flagger), ("argo", Target::Argo)] {
            insta::assert_snapshot!(format!("export_{word}_of_{name}"), told(&exported(target, &read(text))));
        }
    }
}
