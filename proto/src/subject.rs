//! The subject grammar: `tg.<lane>.<tenant>.<model>.<noun>.<verb>`.
//!
//! Tenant and model are escaped so that nothing that a person can choose reaches the bus as a wildcard, a dot or a byte that
//! is not ASCII; the mapping is injective and reversible, and its result is also a valid key of a key-value bucket.

use std::fmt;

use rollout::{Model, Tenant};

/// Who may be in front of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// What people and the registry ask for.
    Cmd,
    /// What other systems ask for.
    In,
    /// Requests between services and their answers.
    Normal,
    /// What can only take traffic away from a candidate.
    Urgent,
    /// What happened.
    News,
    /// What was counted.
    Obs,
}

impl Lane {
    /// Every lane.
    pub const ALL: &[Self] = &[Self::Cmd, Self::In, Self::Normal, Self::Urgent, Self::News, Self::Obs];

    /// The token in a subject.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Cmd => "cmd",
            Self::In => "in",
            Self::Normal => "normal",
            Self::Urgent => "urgent",
            Self::News => "news",
            Self::Obs => "obs",
        }
    }
}

/// A subject. Only this module builds the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Who may be in front of whom.
    pub lane: Lane,
    /// Whose model; none where no tenant is meant.
    pub tenant: Option<Tenant>,
    /// The model; none where no model is meant.
    pub model: Option<Model>,
    /// `noun.verb`.
    pub name: String,
}

impl Subject {
    /// Reads a subject.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut tokens = text.splitn(5, '.');
        if tokens.next()? != "tg" {
            return None;
        }
        let lane = tokens.next()?;
        let lane = Lane::ALL.iter().copied().find(|known| known.token() == lane)?;
        let tenant = optional(tokens.next()?, |name| Tenant::new(name).ok())?;
        let model = optional(tokens.next()?, |name| Model::new(name).ok())?;
        let name = tokens.next()?;
        let well_formed = name.split('.').count() == 2
            && name.split('.').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
        well_formed.then(|| Self { lane, tenant, model, name: name.to_owned() })
    }
}

/// `_` stands for none; anything else must unescape to a good name.
#[expect(clippy::option_option, reason = "the outer one says whether the token is well formed")]
fn optional<T>(token: &str, parse: impl FnOnce(String) -> Option<T>) -> Option<Option<T>> {
    if token == "_" { Some(None) } else { parse(unescape(token)?).map(Some) }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = |name: Option<&str>| name.map_or_else(|| "_".to_owned(), escape);
        let (tenant, model) =
            (token(self.tenant.as_ref().map(Tenant::as_str)), token(self.model.as_ref().map(Model::as_str)));
        write!(f, "tg.{}.{tenant}.{model}.{}", self.lane.token(), self.name)
    }
}

/// Letters, digits and `-` stand for themselves, every other byte is `_` and two hex digits in lower case.
#[must_use]
pub fn escape(name: &str) -> String {
    use std::fmt::Write as _;
    name.bytes().fold(String::with_capacity(name.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "_{byte:02x}");
        }
        text
    })
}

/// Undoes [`escape`]; `None` for a text that it can't have made.
#[must_use]
pub fn unescape(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'_' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    (escape(&name) == token && !name.is_empty()).then_some(name)
}

/// The key of a model in a bucket: `<tenant>.<model>`, escaped.
#[must_use]
pub fn key(tenant: &Tenant, model: &Model) -> String {
    format!("{}.{}", escape(tenant.as_str()), escape(model.as_str()))
}

/// Whether `subject` fits `filter`, in which `*` stands for one token and a last `>` for all that follow.
#[must_use]
pub fn fits(filter: &str, subject: &str) -> bool {
    let (mut wanted, mut given) = (filter.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), given.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(want), Some(token)) if want == "*" || want == token => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_with_a_slash_becomes_one_token() {
        let subject = Subject {
            lane: Lane::Cmd,
            tenant: Some(Tenant::default_tenant()),
            model: Model::new("meta/llama-3.1").ok(),
            name: "version.promote".to_owned(),
        };
        assert_eq!(subject.to_string(), "tg.cmd.default.meta_2fllama-3_2e1.version.promote");
        assert_eq!(Subject::parse(&subject.to_string()), Some(subject));
    }

    #[test]
    fn a_filter_fits_token_by_token() {
        assert!(fits("tg.cmd.*.*.rollout.*", "tg.cmd.a.b.rollout.stop"));
        assert!(fits("tg.obs.>", "tg.obs.a.b.requests.counted"));
        for other in ["tg.cmd.a.b.rollout", "tg.cmd.a.b.rollout.stop.x", "tg.urgent.a.b.rollout.stop"] {
            assert!(!fits("tg.cmd.*.*.rollout.*", other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn escaping_is_injective_reversible_and_harmless(name in "\\PC{1,40}") {
            let token = escape(&name);
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(unescape(&token), Some(name));
        }

        #[test]
        fn no_text_panics_the_parser(text in "\\PC{0,80}") {
            let _ = Subject::parse(&text);
        }
    }
}
