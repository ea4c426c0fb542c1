use super::{CELL_COUNT, EDGE_COUNT, LATENCY_EDGES_MS, bucket_of};

#[test]
fn edges_rise_by_at_most_a_twentieth_from_one_millisecond_upward() {
    for pair in LATENCY_EDGES_MS.windows(2) {
        assert!(pair[0] < pair[1], "{pair:?}");
        assert!(pair[0] < 1.0 || pair[1] / pair[0] <= 1.05 + 1e-12, "{pair:?}");
    }
    assert_eq!((LATENCY_EDGES_MS[0], LATENCY_EDGES_MS[EDGE_COUNT - 1]), (0.1, 600_000.0));
    assert_eq!(CELL_COUNT, EDGE_COUNT + 1);
}

#[test]
fn limits_that_people_write_are_edges() {
    for limit in [1.0, 1.05, 50.0, 100.0, 150.0, 200.0, 250.0, 500.0, 750.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0] {
        assert!(LATENCY_EDGES_MS.contains(&limit), "{limit}");
    }
    for limit in [5000.0, 7500.0, 10_000.0, 15_000.0, 30_000.0, 60_000.0, 120_000.0, 300_000.0] {
        assert!(LATENCY_EDGES_MS.contains(&limit), "{limit}");
    }
}

#[test]
fn a_latency_at_an_edge_belongs_below_it() {
    for (cell, edge) in LATENCY_EDGES_MS.iter().enumerate() {
        assert_eq!(bucket_of(*edge), cell);
        assert_eq!(bucket_of(edge.next_up()), cell + 1);
    }
}

#[test]
fn what_is_no_latency_still_has_a_cell() {
    assert_eq!((bucket_of(-5.0), bucket_of(0.0), bucket_of(f64::NEG_INFINITY)), (0, 0, 0));
    assert_eq!((bucket_of(f64::NAN), bucket_of(f64::INFINITY), bucket_of(1e9)), (EDGE_COUNT, EDGE_COUNT, EDGE_COUNT));
}
