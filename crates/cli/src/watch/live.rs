//! The part of `watch` that moves: a bar for the step, below the lines that stay. Elsewhere than on a terminal it is silent.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use proto::http::RolloutView;
use rollout::Stage;

use crate::progress;
use crate::screen::Screen;
use crate::words::{lasting, now};

const REDRAW: Duration = Duration::from_millis(120);

/// What is shown while a rollout is watched.
pub(super) struct Live {
    screen: Screen,
    bar: Option<ProgressBar>,
}

impl Live {
    pub(super) fn new(screen: Screen, view: &RolloutView) -> Self {
        let bar = (screen.is_terminal && !view.stage.is_final()).then(|| {
            let bar = ProgressBar::new(1);
            let style = ProgressStyle::with_template("{spinner} {bar:10} {prefix:>4} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(REDRAW);
            bar
        });
        Self { screen, bar }
    }

    /// A line that stays.
    pub(super) fn line(&self, text: &str) -> std::io::Result<()> {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.screen.line(text)),
            None => self.screen.line(text),
        }
    }

    /// How far the step is, and the line as it is now.
    pub(super) fn show(&self, view: &RolloutView) {
        let Some(bar) = &self.bar else { return };
        let dwell = view.plan.steps.get(view.step as usize).map_or(0, |step| step.dwell.ms());
        let spent =
            view.applied_at.filter(|_| view.stage == Stage::Observing).map_or(0, |at| now().ms_since(at).max(0));
        bar.set_length(u64::try_from(dwell.max(1)).unwrap_or(1));
        bar.set_position(u64::try_from(spent.min(dwell)).unwrap_or(0));
        // What is left of the step stands first, where no terminal is too narrow for it.
        bar.set_prefix(if spent > 0 && dwell > spent { lasting(dwell - spent) } else { String::new() });
        bar.set_message(progress::line(view));
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Live {
    /// An interrupted watch leaves the terminal as it found it.
    fn drop(&mut self) {
        self.end();
    }
}
