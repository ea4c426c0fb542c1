use super::{Bounds, Notes, Sample, Series};

const BOUNDS: Bounds = Bounds { start_ms: 0, max_gap_ms: 60 };

fn at(at_ms: i64, value: f64) -> Sample {
    Sample { at_ms, value }
}

#[test]
fn a_silence_that_the_source_vouches_for_is_no_gap() {
    let (mut series, mut notes) = (Series::default(), Notes::default());
    assert_eq!(series.advance(at(10, 5.0), true, BOUNDS, &mut notes), None);
    series.stay(500);
    assert_eq!(series.advance(at(520, 8.0), false, BOUNDS, &mut notes), Some(3.0));
    assert_eq!(series.advance(at(1000, 9.0), false, BOUNDS, &mut notes), None);
    assert_eq!(notes, Notes { gap_dropped: 1, ..Notes::default() });
}

#[test]
fn what_is_put_right_or_dropped_is_counted() {
    let (mut series, mut notes) = (Series::default(), Notes::default());
    for sample in [at(10, 5.0), at(20, f64::NAN), at(20, -1.0), at(20, 3.0), at(15, 9.0), at(20, 3.0)] {
        series.advance(sample, true, BOUNDS, &mut notes);
    }
    assert_eq!(notes, Notes { resets: 1, rejected: 3, ..Notes::default() });
}

#[test]
fn times_at_the_ends_of_the_range_do_no_harm() {
    let (mut series, mut notes) = (Series::default(), Notes::default());
    let bounds = Bounds { start_ms: i64::MIN, max_gap_ms: i64::MAX };
    series.advance(at(i64::MIN, 1.0), true, bounds, &mut notes);
    assert_eq!(series.advance(at(i64::MAX, 2.0), false, bounds, &mut notes), Some(1.0));
}
