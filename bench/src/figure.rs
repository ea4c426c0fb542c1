//! A measured figure beside its floor, and the sheet of all of them.

use std::path::Path;

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};

const BEGIN: &str = "<!-- figures begin -->";
const END: &str = "<!-- figures end -->";

/// One line of the sheet.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: &'static str,
    /// What came out.
    pub(crate) ours: String,
    /// What the bare loop did in the same run, where there is one.
    pub(crate) floor: String,
    /// Ours to the floor.
    pub(crate) ratio: String,
    /// What it should be.
    pub(crate) target: &'static str,
    /// Whether it is.
    pub(crate) is_met: bool,
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    figures: Vec<Figure>,
}

impl Sheet {
    pub(crate) fn add(&mut self, figure: Figure) {
        say(&format!("{}: {} (floor {}, target {})", figure.what, figure.ours, figure.floor, figure.target));
        self.figures.push(figure);
    }

    #[expect(clippy::print_stdout, reason = "the table is what the program is for")]
    pub(crate) fn print(&self) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(HEADER);
        for figure in &self.figures {
            table.add_row(figure.cells());
        }
        println!("{table}");
    }

    /// Puts the rows between the markers of a Markdown file: each in the place of the one that was there, new ones at the end.
    pub(crate) fn save(&self, file: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        let (before, rest) = text.split_once(BEGIN).with_context(|| format!("no `{BEGIN}` in {}", file.display()))?;
        let (there, after) = rest.split_once(END).with_context(|| format!("no `{END}` in {}", file.display()))?;
        let mut rows: Vec<_> = there.lines().filter(|line| line.starts_with("| ")).skip(1).map(str::to_owned).collect();
        for figure in &self.figures {
            let row = format!("| {} |", figure.cells().join(" | "));
            match rows.iter_mut().find(|there| there.starts_with(&format!("| {} |", figure.what))) {
                Some(there) => *there = row,
                None => rows.push(row),
            }
        }
        let head = format!("| {} |\n|{}", HEADER.join(" | "), "---|".repeat(HEADER.len()));
        let text = format!("{before}{BEGIN}\n{head}\n{}\n{END}{after}", rows.join("\n"));
        std::fs::write(file, text).with_context(|| format!("can't write {}", file.display()))
    }
}

const HEADER: [&str; 6] = ["what", "measured", "floor", "ratio", "target", "met"];

impl Figure {
    fn cells(&self) -> [String; 6] {
        let met = if self.is_met { "yes" } else { "**no**" };
        [
            self.what.to_owned(),
            self.ours.clone(),
            self.floor.clone(),
            self.ratio.clone(),
            self.target.to_owned(),
            met.to_owned(),
        ]
    }
}

/// A line of progress.
#[expect(clippy::print_stderr, reason = "progress is for the person who waits")]
pub(crate) fn say(line: &str) {
    eprintln!("bench: {line}");
}

/// The value at a quantile, of values in any order.
pub(crate) fn quantile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "few values"
    )]
    let rank = ((sorted.len() as f64 * quantile).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// The one in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}
