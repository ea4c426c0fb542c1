//! How far a version is from the one that it replaces, when both follow semantic versioning, and the pace that suits.

use std::fmt;

use crate::name::Version;

/// The highest part in which two versions differ: for models, the major part is another architecture, the minor one a better
/// model, the patch a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bump {
    /// `1.4.0` to `2.0.0`.
    Major,
    /// `1.4.0` to `1.5.0`.
    Minor,
    /// `1.4.0` to `1.4.1`, and what differs in its pre-release or build alone.
    Patch,
}

impl Bump {
    /// From one version to another, in either direction; none if one of them does not follow semantic versioning. A `v` before the
    /// number is no part of it.
    #[must_use]
    pub fn between(from: &Version, to: &Version) -> Option<Self> {
        let (from, to) = (parsed(from)?, parsed(to)?);
        Some(match (from.major == to.major, from.minor == to.minor) {
            (false, _) => Self::Major,
            (true, false) => Self::Minor,
            (true, true) => Self::Patch,
        })
    }

    /// The preset for those who name no policy.
    #[must_use]
    pub const fn preset(self) -> &'static str {
        match self {
            Self::Major => "conservative",
            Self::Minor => "agent-default",
            Self::Patch => "fast",
        }
    }
}

impl fmt::Display for Bump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Major => "a major change",
            Self::Minor => "a minor change",
            Self::Patch => "a patch",
        })
    }
}

fn parsed(version: &Version) -> Option<semver::Version> {
    let text = version.as_str();
    semver::Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::Bump;
    use crate::name::Version;
    use crate::policy::Policy;

    fn between(from: &str, to: &str) -> Option<&'static str> {
        Bump::between(&Version::new(from).unwrap(), &Version::new(to).unwrap()).map(Bump::preset)
    }

    #[test]
    fn r74_the_part_that_changes_picks_the_preset() {
        let cases = [
            ("1.4.0", "2.0.0", Some("conservative")),
            ("1.4.0", "1.5.0", Some("agent-default")),
            ("1.4.0", "1.4.1", Some("fast")),
            ("v1.4.0", "v2.0.0-rc.1", Some("conservative")),
            ("1.4.0-rc.1", "1.4.0", Some("fast")),
            ("1.4.0+cu12", "1.4.0+cu13", Some("fast")),
            // Back to an older one is as large a change as forth.
            ("2.0.0", "1.4.0", Some("conservative")),
        ];
        for (from, to, preset) in cases {
            assert_eq!(between(from, to), preset, "{from} to {to}");
        }
    }

    #[test]
    fn r74_what_is_no_semantic_version_picks_none() {
        for (from, to) in [
            ("v1", "v2"),
            ("1.4", "1.5"),
            ("1.4.0", "2024-11-20"),
            ("01.4.0", "1.4.1"),
            ("1.4.0", "99999999999999999999.0.0"),
        ] {
            assert_eq!(between(from, to), None, "{from} to {to}");
        }
    }

    #[test]
    fn each_pace_is_a_preset() {
        for bump in [Bump::Major, Bump::Minor, Bump::Patch] {
            assert!(Policy::preset(bump.preset()).is_some());
        }
    }
}
