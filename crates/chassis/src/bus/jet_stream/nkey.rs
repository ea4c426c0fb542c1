//! Who we are on a nats-server: whoever holds the seed of a key whose public half the server knows.

use nkeys::{KeyPair, KeyPairType};

use crate::secret::Secret;

/// Text that is no seed. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the seed of a user's nkey, which begins with SU")]
pub struct NoSeed;

/// A new seed of a user.
///
/// # Errors
/// When the machine has no randomness.
pub fn new_seed() -> Result<Secret, NoSeed> {
    KeyPair::new_user().seed().map(Secret::of).map_err(|_| NoSeed)
}

/// The half that the server may know.
///
/// # Errors
/// When it is no seed of a user.
pub fn public_key(seed: &Secret) -> Result<String, NoSeed> {
    let pair = KeyPair::from_seed(seed.expose()).map_err(|_| NoSeed)?;
    if pair.key_pair_type() == KeyPairType::User { Ok(pair.public_key()) } else { Err(NoSeed) }
}
