//! What a PostgreSQL server keeps of a password. It is made here, because a server writes statements into its log, with the password
//! if that stood in one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// As many as the server itself takes.
const ROUNDS: u32 = 4_096;

/// The verifier of a password under a salt (RFC 5802 section 3, with SHA-256), as `pg_authid` has it.
pub(super) fn verifier(password: &str, salt: &[u8; 16]) -> String {
    let salted = salted(password.as_bytes(), salt);
    let stored = Sha256::digest(mac(&salted, &[b"Client Key"]));
    let server = mac(&salted, &[b"Server Key"]);
    let text = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    format!("SCRAM-SHA-256${ROUNDS}:{}${}:{}", text(salt), text(&stored), text(&server))
}

/// `Hi` of the RFC, which is PBKDF2 with one block.
fn salted(password: &[u8], salt: &[u8; 16]) -> [u8; 32] {
    let mut round = mac(password, &[salt, &1_u32.to_be_bytes()]);
    let mut all = round;
    for _ in 1..ROUNDS {
        round = mac(password, &[&round]);
        all.iter_mut().zip(round).for_each(|(all, byte)| *all ^= byte);
    }
    all
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_that_of_another_implementation() {
        // By hashlib of Python. That the server takes it is seen where services log in.
        let known = "SCRAM-SHA-256$4096:AAECAwQFBgcICQoLDA0ODw==$THoPhoTAuqyoQsK4dUHncUzgfD8fdmhsgKZhWVqNP5U=:7YiHMMi2OcXGRogub03Ek06JRZ9bkhTOdCzHa5iPLiQ=";
        assert_eq!(verifier("secret", &std::array::from_fn(|place| u8::try_from(place).unwrap())), known);
    }
}
