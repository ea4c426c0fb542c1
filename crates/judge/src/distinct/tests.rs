use super::{Distinct, REGISTER_COUNT, begin, hash, place};

fn sessions(range: std::ops::Range<u32>) -> Distinct {
    let (begin, mut distinct) = (begin("salt"), Distinct::default());
    range.for_each(|n| distinct.insert(hash(begin, &format!("sess-{n}"))));
    distinct
}

#[test]
fn few_sessions_are_counted_almost_exactly_and_many_within_five_percent() {
    assert_eq!((Distinct::default().estimate(), Distinct::default().is_empty()), (0, true));
    for n in [1, 2, 10, 84, 500, 2_025, 10_000, 100_000, 400_000] {
        let (estimate, n) = (sessions(0..n).estimate() as f64, f64::from(n));
        let error = (estimate - n).abs() / n;
        assert!(error <= if n < 100.0 { 0.03 } else { 0.05 }, "{n} were counted as {estimate}");
    }
}

#[test]
fn a_merge_counts_what_is_in_both_once_and_repeats_change_nothing() {
    let (mut left, right) = (sessions(0..30_000), sessions(20_000..50_000));
    left.merge(&right);
    assert_eq!(left, sessions(0..50_000));
    left.merge(&right);
    assert_eq!(left, sessions(0..50_000));
}

#[test]
fn the_text_gives_the_same_registers_back_and_is_short_for_few() {
    for n in [0, 1, 84, 2_000, 200_000] {
        let distinct = sessions(0..n);
        let text = serde_json::to_string(&distinct).unwrap();
        assert_eq!(serde_json::from_str::<Distinct>(&text).unwrap(), distinct);
        assert!(text.len() <= REGISTER_COUNT + 2 && (n > 84 || text.len() < 500), "{n}: {} bytes", text.len());
    }
}

#[test]
fn text_that_is_no_set_is_refused() {
    let too_many = format!("\"{}\"", "A".repeat(REGISTER_COUNT + 1));
    for text in ["\"4097A\"", "\"99999999999999999999999\"", "\"A-\"", "\"é\"", "7", &too_many] {
        assert!(serde_json::from_str::<Distinct>(text).is_err(), "{text}");
    }
}

#[test]
fn every_hash_has_a_place_and_the_hash_is_for_ever() {
    assert_eq!((place(0), place(u64::MAX), place(1)), ((0, 52), (REGISTER_COUNT - 1, 1), (0, 52)));
    assert_eq!(place(1 << 51), (0, 1));
    assert_eq!(hash(begin("salt"), "sess-1"), 14_434_953_782_196_121_500);
}
