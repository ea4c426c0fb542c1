use proptest::prelude::*;
use serde_json::json;

use super::{Counts, Signal, Signals, add_signal};
use crate::SignalName;

fn mean(n: f64, s1: f64, cap: Option<f64>) -> Signal {
    Signal::Mean { n, s1, s2: s1, cap }
}

#[test]
fn signals_of_one_kind_add_up_and_others_are_left_alone() {
    let mut count = Signal::Count { k: 1.0, n: 10.0 };
    assert!(count.add(&Signal::Count { k: 2.0, n: 20.0 }));
    assert_eq!(count, Signal::Count { k: 3.0, n: 30.0 });
    assert!(!count.add(&mean(1.0, 1.0, None)));
    assert_eq!(count, Signal::Count { k: 3.0, n: 30.0 });
    let mut capped = mean(1.0, 1.0, Some(5.0));
    assert!(!capped.add(&mean(1.0, 1.0, None)), "values cut elsewhere are another series");
    let mut gauge = Signal::Gauge { value: 1.0, n: None };
    assert!(gauge.add(&Signal::Gauge { value: 2.0, n: None }));
    assert_eq!(gauge, Signal::Gauge { value: 2.0, n: None });
}

#[test]
fn sums_stay_finite() {
    let mut count = Signal::Count { k: f64::MAX, n: f64::MAX };
    count.add(&Signal::Count { k: f64::MAX, n: f64::MAX });
    assert!(count.is_sound());
    assert!(!Signal::Count { k: f64::NAN, n: 1.0 }.is_sound());
    assert!(!Signal::Count { k: -1.0, n: 1.0 }.is_sound());
}

#[test]
fn a_histogram_is_written_sparse() {
    let mut counts = Counts::new();
    counts.add_events(7, 2);
    counts.add_events(3, 1);
    counts.add_events(usize::MAX, 1);
    let signal = Signal::Histogram { counts };
    assert_eq!(serde_json::to_value(&signal).unwrap(), json!({"histogram": {"counts": [[3, 1], [7, 2], [416, 1]]}}));
    let unknown: Result<Counts, _> = serde_json::from_value(json!([[417, 1]]));
    assert!(unknown.unwrap_err().to_string().contains("no histogram cell 417"));
}

#[test]
fn what_was_counted_since_an_earlier_reading_is_the_difference_or_a_reset() {
    let counts = |cells: &[u64]| Counts::from_dense(cells);
    assert_eq!(counts(&[2, 0, 5]).since(&counts(&[1, 0, 5])), Some(counts(&[1])));
    assert_eq!(counts(&[2, 1]).since(&Counts::new()), Some(counts(&[2, 1])));
    assert_eq!(counts(&[2]).since(&counts(&[2, 1])), None);
    assert_eq!(counts(&[0, 5]).since(&counts(&[1, 1])), None);
    assert_eq!(counts(&[1, 5]).since(&counts(&[2, 1])), None);
}

proptest! {
    #[test]
    fn the_order_of_increments_within_a_tick_does_not_matter(
        parts in prop::collection::vec((0_u8..3, 0_u32..1000, 0_u32..1000, 0_usize..500), 0..20),
    ) {
        let increments: Vec<(SignalName, Signal)> = parts
            .iter()
            .map(|(kind, a, b, cell)| match kind {
                0 => (SignalName::error(), Signal::Count { k: f64::from(*a), n: f64::from(*b) }),
                1 => (SignalName::observation("x"), mean(f64::from(*a), f64::from(*b), None)),
                _ => {
                    let mut counts = Counts::new();
                    counts.add_events(*cell, u64::from(*a));
                    (SignalName::latency(), Signal::Histogram { counts })
                }
            })
            .collect();
        let sum = |increments: &mut dyn Iterator<Item = &(SignalName, Signal)>| {
            let mut signals = Signals::new();
            increments.for_each(|(name, signal)| { add_signal(&mut signals, name, signal); });
            signals
        };
        prop_assert_eq!(sum(&mut increments.iter()), sum(&mut increments.iter().rev()));
    }
}
