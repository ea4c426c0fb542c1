//! What is wrong with a policy: every problem at once, each with its field and, when it came from a text, its line and column.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::node::{Node, Place};

/// Most problems that one answer lists: a text can be wrong in more ways than anyone reads.
const PROBLEMS_MAX: usize = 100;

/// One reason why a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The field, such as `steps[1].dwell`; empty for the policy as a whole.
    pub path: String,
    /// What is wrong and what to write.
    pub message: String,
    /// Its line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Its column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
}

/// A policy that is refused, with all reasons in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub struct PolicyError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// The problems that are found while a policy is read, and the fields that need no second complaint.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: Vec<Problem>,
    settled: Vec<String>,
}

impl Problem {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>, place: Option<Place>) -> Self {
        let (line, column) = place.map(|place| (place.line, place.column)).unzip();
        Self { path: path.into(), message: message.into(), line, column }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let line_end = if at == 0 { "" } else { "\n" };
            write!(f, "{line_end}{problem}")?;
        }
        Ok(())
    }
}

impl PolicyError {
    pub(super) fn of(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl Findings {
    /// Something is wrong with the field `path`, which is `node`.
    pub(super) fn refuse(&mut self, path: impl Into<String>, node: &Node, message: impl Into<String>) {
        self.refuse_at(path, node.place, message);
    }

    /// Something is wrong at `place`.
    pub(super) fn refuse_at(&mut self, path: impl Into<String>, place: Option<Place>, message: impl Into<String>) {
        let path = path.into();
        self.settled.push(path.clone());
        self.problems.push(Problem::new(path, message, place));
    }

    /// A later complaint about `path` would only repeat what was said already under another name.
    pub(super) fn settle(&mut self, path: String) {
        self.settled.push(path);
    }

    /// Adds what the compiler found, each with its place in `root`, but for what follows from a field that could not be read.
    pub(super) fn add_unless_settled(&mut self, root: &Node, found: Vec<Problem>) {
        let fresh: Vec<Problem> = found.into_iter().filter(|problem| !self.is_settled(&problem.path)).collect();
        self.problems.extend(fresh.into_iter().map(|problem| {
            let place = root.place_of(&problem.path);
            Problem::new(problem.path, problem.message, place)
        }));
    }

    /// Whether something was said about the field already, or about one in it or around it.
    pub(super) fn is_settled(&self, path: &str) -> bool {
        self.settled.iter().any(|settled| are_related(settled, path))
    }

    /// The error, if anything was found.
    pub(super) fn into_error(mut self) -> Option<PolicyError> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        let surplus = self.problems.len().saturating_sub(PROBLEMS_MAX);
        if surplus > 0 {
            self.problems.truncate(PROBLEMS_MAX);
            self.problems.push(Problem::new("", format!("and {surplus} more problems"), None));
        }
        (!self.problems.is_empty()).then_some(PolicyError { problems: self.problems })
    }
}

/// Whether one of two fields is the other or contains it.
fn are_related(one: &str, other: &str) -> bool {
    let (outer, inner) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    inner.strip_prefix(outer).is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}
