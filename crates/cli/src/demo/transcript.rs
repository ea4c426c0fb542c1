//! What the demo prints: a clock, what happens, and a table for each story.

use std::io;
use std::time::Instant;

use proto::http::RolloutView;

use super::Scene;
use super::measure::Measured;
use super::play::Played;
use super::rows;
use super::story::Story;
use super::told::Told;
use crate::progress;
use crate::screen::{Screen, Table, Tone};
use crate::words::wrapped;

/// Lines are at most this long.
const WIDTH: usize = 96;
/// The width of the clock, under which long lines go on.
const INDENT: usize = 16;

/// Writes the transcript.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transcript {
    screen: Screen,
    began: Instant,
}

impl Transcript {
    pub(super) fn new(screen: Screen, began: Instant) -> Self {
        Self { screen, began }
    }

    pub(super) fn opening(&self, scene: &Scene) -> io::Result<()> {
        self.screen.line(format!("tidegate demo: API {}, router http://{}", scene.client.base(), scene.router))?;
        self.screen.line("everything is real: model servers, requests, router, rollouts; nothing is left behind\n")
    }

    /// Something that the demo did.
    pub(super) fn told(&self, story: &Story, what: &str) -> io::Result<()> {
        self.screen.line(fitted(&format!("{}{what}", self.clock(story))))
    }

    /// Something that the rollout did; `felt` is the candidate's share of the answers in this step so far.
    pub(super) fn moved(&self, story: &Story, view: &RolloutView, felt: Option<String>) -> io::Result<()> {
        let felt = felt.map(|felt| format!("  (sessions got {felt})")).unwrap_or_default();
        let line = fitted(&format!("{}{}{felt}", self.clock(story), progress::line(view)));
        self.screen.line(self.screen.paint(progress::tone(view.stage), &line))
    }

    /// What is broken in the step.
    pub(super) fn issues(&self, issues: &[String]) -> io::Result<()> {
        let told = issues.iter().map(|issue| fitted(&format!("{:INDENT$}! {issue}", "")));
        told.into_iter().try_for_each(|issue| self.screen.line(self.screen.paint(Tone::Bad, &issue)))
    }

    pub(super) fn table(&self, played: &Played, measured: &Measured) -> io::Result<()> {
        let title = format!("\n{}: {}: {}", played.story.name, played.story.about, played.rollout.stage);
        self.screen.line(self.screen.paint(progress::tone(played.rollout.stage), &title))?;
        let mut table = Table::new(["MEASURED", "VALUE"]);
        for (what, value) in rows::rows(played, measured) {
            table.row([what, value]);
        }
        self.screen.line(table.text())
    }

    /// What the receivers got.
    pub(super) fn told_outside(&self, told: Told) -> io::Result<()> {
        let mut table = Table::new(["TOLD", "TIMES"]);
        for (what, times) in told.rows() {
            table.row([what.to_owned(), times.to_string()]);
        }
        self.screen.line(format!("\n{}", table.text()))
    }

    pub(super) fn closing(&self, flaws: &[String]) -> io::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        self.screen.line("")?;
        for flaw in flaws {
            self.screen.line(self.screen.paint(Tone::Bad, &fitted(&format!("WRONG: {flaw}"))))?;
        }
        let (tone, verdict) =
            if flaws.is_empty() { (Tone::Good, "all as it should be") } else { (Tone::Bad, "not as it should be") };
        self.screen.line(self.screen.paint(tone, &format!("{verdict}, in {seconds:.1} s")))
    }

    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        self.screen.line(text)
    }

    fn clock(&self, story: &Story) -> String {
        format!("{:6.1} s  {:<4}  ", self.began.elapsed().as_secs_f64(), story.name)
    }
}

fn fitted(text: &str) -> String {
    wrapped(text, WIDTH, INDENT)
}
