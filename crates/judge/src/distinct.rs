//! How many different sessions there were, without keeping one: the registers of a HyperLogLog.
//!
//! Routers keep the registers as atomics, one instruction a request and no lock, and what they send merges over routers, restarts
//! and repeats by taking the larger of two: that is why they are here, and not in a crate that hides them behind `&mut`. 4,096
//! registers tell the number within 1.6 % (one standard deviation), small ones almost exactly. The estimate is the one without
//! constants of Ertl (2017). Hash, registers and text are part of what routers send: changing them is changing a message.

use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bits of a hash that choose the register.
const BITS: u32 = 12;

/// Number of registers.
pub const REGISTER_COUNT: usize = 1 << BITS;

/// The largest value of a register: the bits of 64 that are left. One letter tells it.
const VALUE_MAX: u8 = 52;

/// The letters of the values from 1 up.
const LETTERS: &[u8; VALUE_MAX as usize] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A set of sessions that can be added to, merged and counted, and never read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distinct(Box<[u8]>);

impl Default for Distinct {
    fn default() -> Self {
        Self(vec![0; REGISTER_COUNT].into())
    }
}

impl Distinct {
    /// From the values of all registers; what is missing is 0 and what is too large the largest value.
    #[must_use]
    pub fn of(registers: impl IntoIterator<Item = u8>) -> Self {
        let mut distinct = Self::default();
        for (register, value) in distinct.0.iter_mut().zip(registers) {
            *register = value.min(VALUE_MAX);
        }
        distinct
    }

    /// Adds an item by its hash.
    pub fn insert(&mut self, hash: u64) {
        let (at, value) = place(hash);
        self.0[at] = self.0[at].max(value);
    }

    /// Adds all items of another set; those that are in both count once.
    pub fn merge(&mut self, other: &Self) {
        for (register, value) in self.0.iter_mut().zip(&other.0) {
            *register = (*register).max(*value);
        }
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|value| *value == 0)
    }

    /// About how many different items were added.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        let mut counts = [0.0_f64; VALUE_MAX as usize + 1];
        for value in &self.0 {
            counts[usize::from(*value)] += 1.0;
        }
        let all = REGISTER_COUNT as f64;
        let above = counts[1..].iter().rev().fold(0.0, |sum, count| 0.5 * (sum + count));
        let estimate = all * all / (2.0 * std::f64::consts::LN_2 * (above + all * sigma(counts[0] / all)));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and `as` stops at the ends"
        )]
        let whole = estimate.round() as u64;
        whole
    }
}

/// What empty registers say about small numbers.
fn sigma(share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut sum) = (share, 1.0, share);
    loop {
        x *= x;
        let before = sum;
        sum += x * y;
        y += y;
        if sum <= before {
            return sum;
        }
    }
}

/// The register of a hash, and the value that it has at least.
#[must_use]
pub fn place(hash: u64) -> (usize, u8) {
    let at = (hash >> (64 - BITS)) as usize;
    let zeros = (hash << BITS).leading_zeros().min(u32::from(VALUE_MAX) - 1);
    (at, u8::try_from(zeros + 1).unwrap_or(VALUE_MAX))
}

/// The begin of a hash: everything that is hashed begins with the same secret, so that nobody can look for a session in a set.
#[must_use]
pub fn begin(secret: &str) -> u64 {
    fnv(fnv(0xcbf2_9ce4_8422_2325, secret), ":")
}

/// The hash of an item after `begin`: FNV-1a, with its bits stirred as MurmurHash3 does at its end.
#[must_use]
pub fn hash(begin: u64, item: &str) -> u64 {
    let mut hash = fnv(begin, item);
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

fn fnv(begin: u64, text: &str) -> u64 {
    text.bytes().fold(begin, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Written as text: a letter for a value, a number for a run of empty registers.
impl Serialize for Distinct {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        let mut run = 0;
        for value in &self.0 {
            match value.checked_sub(1).and_then(|at| LETTERS.get(usize::from(at))) {
                None => run += 1,
                Some(letter) => {
                    if run > 0 {
                        write!(text, "{run}").map_err(serde::ser::Error::custom)?;
                    }
                    run = 0;
                    text.push(char::from(*letter));
                }
            }
        }
        to.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mut registers = Vec::new();
        let mut run: usize = 0;
        for byte in text.bytes() {
            match LETTERS.iter().position(|letter| *letter == byte) {
                Some(at) => {
                    registers.resize(registers.len() + run, 0);
                    registers.push(u8::try_from(at + 1).unwrap_or(VALUE_MAX));
                    run = 0;
                }
                None if byte.is_ascii_digit() => run = run * 10 + usize::from(byte - b'0'),
                None => return Err(de::Error::custom("a register is a letter, and a run of empty ones a number")),
            }
            if registers.len() + run > REGISTER_COUNT {
                return Err(de::Error::custom(format!("there are {REGISTER_COUNT} registers")));
            }
        }
        Ok(Self::of(registers))
    }
}

#[cfg(test)]
mod tests;
