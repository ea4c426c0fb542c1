//! Names of tenants, models, versions and rollouts, checked once at the border.
//!
//! The grammars are those of the subjects and of the tables, so a value of one of these types can be put into a subject,
//! a path or a row without a second check.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A name that does not follow its grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad {what} `{text}`: {rule}")]
pub struct BadName {
    what: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $pattern:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` against the grammar.
            ///
            /// # Errors
            /// [`BadName`] when the text does not follow it.
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                let follows: fn(&str) -> bool = $check;
                if follows(&text) { Ok(Self(text)) } else { Err(BadName { what: $what, text: shortened(&text), rule: $rule }) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        judge::written_as!($name, stringify!($name), {"description": $rule, "type": "string", "pattern": $pattern});

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// Who owns a model; `default` where nobody says otherwise.
    Tenant, "tenant", "1 to 32 of `a-z 0-9 -`, not beginning with `-`",
    "^[a-z0-9][a-z0-9-]{0,31}$",
    |text| begins_with(text, |b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

name!(
    /// The name of a model, an agent or a prompt that has versions.
    Model, "model", "1 to 96 of `A-Z a-z 0-9 . _ / @ + -`, beginning with a letter or digit, without `..` or `//`",
    "^(?!.*(\\.\\.|//))[A-Za-z0-9][A-Za-z0-9._/@+-]{0,95}$",
    |text| begins_with(text, |b| b.is_ascii_alphanumeric())
        && text.len() <= 96
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/@+-".contains(&b))
        && !text.contains("..")
        && !text.contains("//")
);

name!(
    /// One version of a model.
    Version, "version", "1 to 64 of `A-Z a-z 0-9 . _ + -`, beginning with a letter or digit",
    "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$",
    |text| begins_with(text, |b| b.is_ascii_alphanumeric())
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
);

name!(
    /// The id of a rollout: `r` and 25 letters made from the promote message (see [`RolloutId::of`]).
    RolloutId, "rollout id", "`r` and 25 letters of Crockford's base32 in lower case",
    "^r[0-9abcdefghjkmnpqrstvwxyz]{25}$",
    |text| text.len() == 26
        && text.starts_with('r')
        && text.bytes().skip(1).all(|b| CROCKFORD.contains(&b))
);

name!(
    /// The name of a policy.
    PolicyName, "policy name", "1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit",
    "^[a-z0-9][a-z0-9._-]{0,63}$",
    |text| begins_with(text, |b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
);

name!(
    /// The name of a router among others.
    RouterName, "router name", "1 to 40 of `a-z 0-9 -`, beginning with a letter or digit",
    "^[a-z0-9][a-z0-9-]{0,39}$",
    |text| begins_with(text, |b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && text.len() <= 40
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl Tenant {
    /// The tenant of those who name none.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self("default".to_owned())
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self::default_tenant()
    }
}

impl RolloutId {
    /// The id that a promote message gives its rollout: the front of `sha256(source, 0x00, id)`, so that whoever accepts the
    /// message can name the rollout before its row exists, and every road of one event leads to one rollout.
    #[must_use]
    pub fn of(source: &str, message_id: &str) -> Self {
        let digest = identity(source, message_id);
        let letters = (0..25).map(|letter| {
            let value = (0..5).fold(0usize, |value, bit| {
                let at = letter * 5 + bit;
                value << 1 | usize::from(digest[at / 8] >> (7 - at % 8) & 1)
            });
            char::from(CROCKFORD[value])
        });
        Self(std::iter::once('r').chain(letters).collect())
    }
}

/// The id under which a message from outside is passed on: `x.` and 32 hex digits of the digest that also names its rollout, whatever
/// its sender calls it.
#[must_use]
pub fn forwarded_id(source: &str, message_id: &str) -> String {
    use std::fmt::Write as _;
    identity(source, message_id).iter().take(16).fold("x.".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What identifies a message: its id within its source.
fn identity(source: &str, message_id: &str) -> [u8; 32] {
    Sha256::new().chain_update(source).chain_update([0]).chain_update(message_id).finalize().into()
}

fn begins_with(text: &str, allowed: fn(u8) -> bool) -> bool {
    text.bytes().next().is_some_and(allowed)
}

fn shortened(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_grammar() {
        assert!(Tenant::new("acme-1").is_ok() && Tenant::new("Acme").is_err() && Tenant::new("").is_err());
        assert!(Model::new("meta/llama-3.1").is_ok() && Model::new("a..b").is_err() && Model::new("a*").is_err());
        assert!(Version::new("1.4.0+cu12").is_ok() && Version::new("1/2").is_err() && Version::new("v\u{e9}").is_err());
    }

    #[test]
    fn a_rollout_id_is_made_from_source_and_message_id() {
        let id = RolloutId::of("/ci", "1");
        assert_eq!(id, RolloutId::of("/ci", "1"));
        assert_ne!(id, RolloutId::of("/ci1", ""));
        assert!(RolloutId::new(id.as_str()).is_ok());
    }

    #[test]
    fn a_message_from_outside_is_passed_on_under_the_digest_of_its_identity() {
        // printf '/ci\0001' | sha256sum
        assert_eq!(forwarded_id("/ci", "1"), "x.a62f952275bfeb8c9f8318a5271b2b27");
        assert_ne!(forwarded_id("/ci1", ""), forwarded_id("/ci", "1"));
    }
}
