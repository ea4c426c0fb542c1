//! One template: parsed when it is saved, filled in when it is used.
//!
//! Values come from names that people choose. Each is escaped for where it stands, and then the filled-in text is parsed again: its
//! tree must be the template's with only those label values changed. What would say anything else is not sent.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use super::scan::{Piece, pieces};
use crate::tick::Arm;

/// Longest template, in bytes: what is parsed is walked by recursion.
const BYTES_MAX: usize = 1_000;

/// Functions that make increases out of counters.
const INCREASES: [&str; 8] = ["rate", "irate", "increase", "delta", "idelta", "deriv", "resets", "changes"];

/// A placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// The model.
    Model,
    /// The version of the arm that is asked about.
    Version,
    /// The tenant.
    Tenant,
    /// `candidate` or `stable`.
    Arm,
    /// The index of the step, from 0.
    Step,
}

/// What placeholders stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// The model.
    pub model: String,
    /// The version of the arm.
    pub version: String,
    /// The tenant.
    pub tenant: String,
    /// The arm.
    pub arm: Arm,
    /// The index of the step, from 0.
    pub step: u32,
}

/// A template that has been parsed.
#[derive(Debug, Clone)]
pub struct Template {
    pieces: Vec<Piece>,
    tree: Expr,
}

impl Variable {
    const ALL: [Self; 5] = [Self::Model, Self::Version, Self::Tenant, Self::Arm, Self::Step];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Version => "version",
            Self::Tenant => "tenant",
            Self::Arm => "arm",
            Self::Step => "step",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.name() == name)
    }
}

impl Values {
    fn of(&self, variable: Variable) -> String {
        match variable {
            Variable::Model => self.model.clone(),
            Variable::Version => self.version.clone(),
            Variable::Tenant => self.tenant.clone(),
            Variable::Arm => match self.arm {
                Arm::Candidate => "candidate".to_owned(),
                Arm::Stable => "stable".to_owned(),
            },
            Variable::Step => self.step.to_string(),
        }
    }
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// If it is no PromQL, or placeholders stand where they may not; the error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("{} bytes: a template has at most {BYTES_MAX}", text.len()));
        }
        let pieces = pieces(text)?;
        let mut tree = parsed(text)?;
        let selectors = selectors(&mut tree);
        if selectors.iter().any(|selector| !selector.matchers.or_matchers.is_empty()) {
            return Err("`or` has no place between label matchers: write a regular expression".to_owned());
        }
        if selectors.len() != pieces.iter().filter(|piece| **piece == Piece::Open).count() {
            return Err("write braces behind each name of a series, as in `up{}`".to_owned());
        }
        let quoted = selectors.iter().flat_map(|selector| &selector.matchers.matchers).map(|matcher| &matcher.value);
        let in_values: usize = quoted.map(|value| count(value)).sum();
        if in_values != pieces.iter().filter(|piece| matches!(piece, Piece::Value(..))).count() {
            return Err("a placeholder stands in a text that is no label value".to_owned());
        }
        Ok(Self { pieces, tree })
    }

    /// Whether a placeholder is used.
    #[must_use]
    pub fn uses(&self, variable: Variable) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Value(used, _) if *used == variable))
    }

    /// Whether this is the selector of a raw counter.
    ///
    /// # Errors
    /// If it is anything else; the error is a sentence.
    pub fn is_counter(&self) -> Result<(), String> {
        let mut calls = Calls::default();
        let Ok(_) = walk_expr(&mut calls, &self.tree);
        if let Some(name) = calls.0.iter().find(|name| INCREASES.contains(&name.as_str())) {
            return Err(format!("give the raw counter without {name}(); increases are computed from samples"));
        }
        let selector = match &self.tree {
            Expr::VectorSelector(selector) => selector,
            Expr::MatrixSelector(_) => return Err("leave the range out: give the raw counter".to_owned()),
            _ => {
                return Err(
                    "give the raw counter, one selector such as `requests_total{version=\"{version}\"}`; its series are added up"
                        .to_owned(),
                );
            }
        };
        if selector.offset.is_some() || selector.at.is_some() {
            return Err("leave `offset` and `@` out: samples are read for the time of each tick".to_owned());
        }
        Ok(())
    }

    /// Whether this can give one number.
    ///
    /// # Errors
    /// If it can't; the error is a sentence.
    pub fn is_number(&self) -> Result<(), String> {
        match self.tree.value_type() {
            ValueType::Vector | ValueType::Scalar => Ok(()),
            ValueType::Matrix | ValueType::String => {
                Err("this is a range or a text: write an expression that gives one number".to_owned())
            }
        }
    }

    /// The name of the series that a raw counter selects, where it is written as one.
    pub(crate) fn series(&self) -> Option<&str> {
        match &self.tree {
            Expr::VectorSelector(selector) => selector.name.as_deref(),
            _ => None,
        }
    }

    /// The query, with a matcher forced into each selector if one is given.
    ///
    /// # Errors
    /// If the text would say anything else than the template with other label values; the error is a sentence.
    pub fn fill(&self, values: &Values, forced: Option<(&str, &str)>) -> Result<String, String> {
        let text: String = self.pieces.iter().map(|piece| written(piece, values, forced)).collect();
        let injected = || "a label value would change what the query says: it is not sent".to_owned();
        let mut filled = parsed(&text).map_err(|_| injected())?;
        let mut meant = self.tree.clone();
        for selector in selectors(&mut meant) {
            for matcher in &mut selector.matchers.matchers {
                let is_regex = matches!(matcher.op, MatchOp::Re(_) | MatchOp::NotRe(_));
                matcher.value = substituted(&matcher.value, values, is_regex);
            }
            if let Some((name, value)) = forced {
                selector.matchers.matchers.insert(0, Matcher::new(MatchOp::Equal, name, value));
            }
        }
        if plain(&mut filled) == plain(&mut meant) { Ok(text) } else { Err(injected()) }
    }
}

fn parsed(text: &str) -> Result<Expr, String> {
    promql_parser::parser::parse(text).map_err(|cause| format!("no PromQL: {}", cause.replace('\n', " ")))
}

fn written(piece: &Piece, values: &Values, forced: Option<(&str, &str)>) -> String {
    match piece {
        Piece::Text(text) => text.clone(),
        Piece::Value(variable, is_regex) => escaped(&meant(*variable, values, *is_regex)),
        Piece::Open => forced.map(|(name, value)| format!("{name}=\"{}\",", escaped(value))).unwrap_or_default(),
    }
}

/// A value as a label value in double quotes writes it.
#[must_use]
pub fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A value as it is meant where it stands: in a regular expression each of its characters means itself.
fn meant(variable: Variable, values: &Values, is_regex: bool) -> String {
    let value = values.of(variable);
    if is_regex { literal(&value) } else { value }
}

/// A regular expression that matches exactly this text.
#[must_use]
pub fn literal(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn substituted(value: &str, values: &Values, is_regex: bool) -> String {
    let mut done = String::new();
    let mut rest = value;
    while let Some((before, variable, behind)) = next(rest) {
        done.push_str(before);
        done.push_str(&meant(variable, values, is_regex));
        rest = behind;
    }
    done + rest
}

/// The first placeholder of a label value, with what stands before and behind it.
fn next(value: &str) -> Option<(&str, Variable, &str)> {
    value.match_indices('{').find_map(|(at, _)| {
        let (name, behind) = value[at + 1..].split_once('}')?;
        Some((&value[..at], Variable::named(name)?, behind))
    })
}

fn count(value: &str) -> usize {
    let mut rest = value;
    let mut found = 0;
    while let Some((_, _, behind)) = next(rest) {
        (found, rest) = (found + 1, behind);
    }
    found
}

/// A tree without compiled expressions, which say nothing that their texts do not.
fn plain(tree: &mut Expr) -> &Expr {
    for selector in selectors(tree) {
        for matcher in &mut selector.matchers.matchers {
            let is_not = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRe(_));
            if matches!(matcher.op, MatchOp::Re(_) | MatchOp::NotRe(_)) {
                matcher.name.insert(0, '~');
            }
            matcher.op = if is_not { MatchOp::NotEqual } else { MatchOp::Equal };
        }
    }
    tree
}

/// All selectors of a tree, from left to right.
fn selectors(tree: &mut Expr) -> Vec<&mut VectorSelector> {
    match tree {
        Expr::Aggregate(aggregate) => {
            let inner = selectors(&mut aggregate.expr);
            aggregate.param.iter_mut().flat_map(|param| selectors(param)).chain(inner).collect()
        }
        Expr::Unary(unary) => selectors(&mut unary.expr),
        Expr::Binary(binary) => selectors(&mut binary.lhs).into_iter().chain(selectors(&mut binary.rhs)).collect(),
        Expr::Paren(paren) => selectors(&mut paren.expr),
        Expr::Subquery(subquery) => selectors(&mut subquery.expr),
        Expr::Call(call) => call.args.args.iter_mut().flat_map(|inner| selectors(inner)).collect(),
        Expr::VectorSelector(selector) => vec![selector],
        Expr::MatrixSelector(selector) => vec![&mut selector.vs],
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Vec::new(),
    }
}

/// The functions that a tree calls.
#[derive(Default)]
struct Calls(Vec<String>);

impl ExprVisitor for Calls {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, tree: &Expr) -> Result<bool, Self::Error> {
        if let Expr::Call(call) = tree {
            self.0.push(call.func.name.to_owned());
        }
        Ok(true)
    }
}
