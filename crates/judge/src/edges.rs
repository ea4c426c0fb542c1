//! The latency histogram that routers count into and the judge reads.
//!
//! Upper edges are inclusive and round: every decade from 1 ms has 1.00 to 2.00 by 0.05, to 4.0 by 0.1, to 10 by 0.2, and 7.5. So a
//! neighbour is at most 5 % away, and a limit that people write (250, 750, 5000) is an edge, which makes "equal to the limit" exact.
//! The table is part of what routers send and the ledger stores: changing it is changing a message.

/// Number of finite edges.
pub const EDGE_COUNT: usize = 416;

/// Number of cells: one for each finite edge and a last one for everything above.
pub const CELL_COUNT: usize = EDGE_COUNT + 1;

/// Upper edges in milliseconds, ascending, 0.1 ms to 600,000 ms (ten minutes).
pub static LATENCY_EDGES_MS: [f64; EDGE_COUNT] = ladder();

/// The cell of a latency in milliseconds. What is no number goes to the last cell: it must not look fast.
#[must_use]
pub fn bucket_of(ms: f64) -> usize {
    if ms.is_nan() {
        return EDGE_COUNT;
    }
    LATENCY_EDGES_MS.partition_point(|edge| *edge < ms)
}

const fn ladder() -> [f64; EDGE_COUNT] {
    const BELOW_ONE: [f64; 10] = [0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
    const LAST: u32 = 600_000 * 100;
    let mut edges = [0.0; EDGE_COUNT];
    let mut count = 0;
    while count < BELOW_ONE.len() {
        edges[count] = BELOW_ONE[count];
        count += 1;
    }
    // Hundredths in whole numbers, divided once: the nearest f64 to each decimal.
    let (mut mantissa, mut decade) = (100, 1);
    while mantissa * decade <= LAST {
        edges[count] = (mantissa * decade) as f64 / 100.0;
        count += 1;
        mantissa = next_mantissa(mantissa);
        if mantissa == 1000 {
            mantissa = 100;
            decade *= 10;
        }
    }
    assert!(count == EDGE_COUNT, "the table is filled to its end");
    edges
}

const fn next_mantissa(mantissa: u32) -> u32 {
    match mantissa {
        740 => 750,
        750 => 760,
        0..200 => mantissa + 5,
        200..400 => mantissa + 10,
        _ => mantissa + 20,
    }
}

#[cfg(test)]
mod tests;
