//! What the process itself has used, under the names that client libraries of Prometheus give it.

use std::fmt::Write as _;
use std::time::Duration;

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};

/// A part of the page for Prometheus. Where the system does not tell the memory, it is without that.
pub(crate) fn page() -> String {
    let used = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
    let mut text = String::from("# HELP process_cpu_seconds_total Time on processors\n");
    // Writing into a String can't fail.
    let _ = writeln!(text, "# TYPE process_cpu_seconds_total counter");
    let _ = writeln!(text, "process_cpu_seconds_total {}", used.as_secs_f64());
    if let Some(bytes) = resident_bytes() {
        let _ = writeln!(text, "# HELP process_resident_memory_bytes Memory in use");
        let _ = writeln!(text, "# TYPE process_resident_memory_bytes gauge");
        let _ = writeln!(text, "process_resident_memory_bytes {bytes}");
    }
    text
}

/// Its second figure is in pages (proc(5), `statm`).
fn resident_bytes() -> Option<usize> {
    let figures = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = figures.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * page_size())
}
