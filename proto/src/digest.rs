//! Digests of what was judged, and by what.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// `sha256:` and the SHA-256 of a value as JSON, in hexadecimal. Values of one type have their fields in one order, and floats in the
/// shortest form that reads back as they were, so equal values have equal digests.
#[must_use]
pub fn digest(value: &impl Serialize) -> String {
    // Two values without JSON would have one digest.
    let json = serde_json::to_vec(value).expect("what is judged is maps with names, lists and numbers");
    Sha256::digest(json).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn a_digest_is_that_of_the_json() {
        // printf '[0.1,"a"]' | sha256sum
        assert_eq!(digest(&(0.1, "a")), "sha256:81f2e79f54dd751146b260eeb53cc63508ac9412e64146fe66908f744e0b534f");
    }
}
