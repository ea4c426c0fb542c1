//! analyzer: one analysis request in, verdicts out. Ticks are its own deadlines; each tick's increments, the judge's new state
//! and the verdict are one commit, so any replica can close the next tick and any past one can be replayed.

mod analysis;
mod handler;
mod heard;
mod hour;
mod observed;
mod opened;
mod prometheus;
mod questions;
mod source;
mod tick;

use chassis::Core;

/// Runs the service.
pub fn serve(core: &Core) {
    let source =
        core.prometheus.as_ref().map(|configured| source::Source::new(prometheus::Prometheus::new(configured)));
    chassis::serve(core, handler::Analyzer { source });
}
