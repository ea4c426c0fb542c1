//! Bucketing, version 1: which arm a session is in.
//!
//! The hash is MurmurHash3 x86 32-bit. A candidate has the lowest buckets, so raising its share moves sessions in and never out.

use judge::murmur3;

use crate::split::{Share, WHOLE};

/// Salt and key that are together no longer than this are put together on the stack.
const TOGETHER_BYTES: usize = 256;

/// The bucket of `key` under `salt`, 0 to 9,999.
#[must_use]
pub fn bucket(salt: &str, key: &str) -> u32 {
    let (salt, key) = (salt.as_bytes(), key.as_bytes());
    let mut together = [0; TOGETHER_BYTES];
    let end = salt.len() + 1 + key.len();
    let hash = if end <= TOGETHER_BYTES {
        together[..salt.len()].copy_from_slice(salt);
        together[salt.len()] = b':';
        together[salt.len() + 1..end].copy_from_slice(key);
        murmur3(&together[..end])
    } else {
        murmur3(&[salt, b":", key].concat())
    };
    // The high half of a 32 by 14 bit product: always below 10,000.
    u32::try_from((u64::from(hash) * u64::from(WHOLE)) >> 32).unwrap_or(0)
}

/// The index of the arm whose range holds `bucket`; arms take consecutive ranges in their order. The last arm takes what is left.
#[must_use]
pub fn arm_of(bucket: u32, shares: impl IntoIterator<Item = Share>) -> usize {
    let mut upper = 0;
    let mut last = 0;
    for (index, share) in shares.into_iter().enumerate() {
        upper += share.basis_points();
        if bucket < upper {
            return index;
        }
        last = index;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hash_gives_the_values_of_the_contract() {
        for (text, hash) in [
            ("", 0),
            ("a", 1_009_084_850),
            ("hello", 613_153_351),
            ("ab", 2_613_040_991),
            ("rollout-7f3c:sess-1", 1_739_436_158),
        ] {
            assert_eq!(murmur3(text.as_bytes()), hash, "{text}");
        }
        assert_eq!(bucket("rollout-7f3c", "sess-1"), 4049);
    }

    #[test]
    fn five_percent_of_100_000_sessions_is_five_percent() {
        let inside = (0..100_000).filter(|n| bucket("salt", &format!("sess-{n}")) < 500).count();
        assert!((4870..=5130).contains(&inside), "{inside}");
    }

    #[test]
    fn independent_rollouts_hit_independent_people() {
        let both = (0..100_000)
            .map(|n| format!("sess-{n}"))
            .filter(|key| bucket("a", key) < 2500 && bucket("b", key) < 2500)
            .count();
        assert!((5900..=6600).contains(&both), "{both}");
    }

    proptest! {
        #[test]
        fn raising_the_share_loses_nobody(salt in ".{0,40}", key in ".{0,80}", low in 0u32..=WHOLE, high in 0u32..=WHOLE) {
            let (low, high) = (low.min(high), low.max(high));
            let shares = |points| { let share = Share::of_basis_points(points).unwrap(); [share, share.rest()] };
            let bucket = bucket(&salt, &key);
            prop_assert!(bucket < WHOLE);
            prop_assert!(arm_of(bucket, shares(low)) != 0 || arm_of(bucket, shares(high)) == 0);
        }

        #[test]
        fn a_long_key_is_hashed_like_a_short_one(salt in ".{0,40}", key in ".{200,400}") {
            let hash = murmur3(format!("{salt}:{key}").as_bytes());
            prop_assert_eq!(u64::from(bucket(&salt, &key)), (u64::from(hash) * 10_000) >> 32);
        }
    }
}
