//! Standard output: lines, tables and JSON. Colours appear on a terminal only, and never where `NO_COLOR` is set.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ColumnConstraint, ContentArrangement, Row, presets};
use serde::Serialize;

use crate::words::plain;

/// Tables fit this many columns, whatever the terminal has: what is pasted into a message should not break there.
pub(crate) const WIDTH: u16 = 80;

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Careful,
    Strong,
    Quiet,
}

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// Whether a person sees it.
    pub(crate) is_terminal: bool,
    has_colour: bool,
}

/// A table of one line per row; a cell that is too long ends in `…`.
pub(crate) struct Table(comfy_table::Table);

impl Screen {
    pub(crate) fn of_stdout() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_terminal, has_colour: is_terminal && !is_refused }
    }

    /// Writes one line, or several that are joined already.
    pub(crate) fn line(self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{}", text.as_ref())
    }

    /// Writes a value as JSON for programs.
    pub(crate) fn json(self, value: &impl Serialize) -> io::Result<()> {
        self.line(serde_json::to_string_pretty(value)?)
    }

    /// The text in a colour, where there are colours.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.has_colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Careful => "33",
            Tone::Strong => "1",
            Tone::Quiet => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
        let mut header = Row::from(header);
        header.max_height(1);
        table.set_truncation_indicator("…").set_header(header);
        Self(table)
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let mut row = Row::from(cells.map(|cell| plain(&cell)));
        row.max_height(1);
        self.0.add_row(row);
    }

    /// Never shortens these columns: what is in them is meant to be copied.
    pub(crate) fn keep(mut self, columns: &[usize]) -> Self {
        for &at in columns {
            if let Some(column) = self.0.column_mut(at) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        self
    }

    /// The lines, the header first.
    pub(crate) fn lines(mut self) -> Vec<String> {
        self.0.column_iter_mut().for_each(|column| _ = column.set_padding((0, 2)));
        self.0.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    pub(crate) fn text(self) -> String {
        self.lines().join("\n")
    }
}
