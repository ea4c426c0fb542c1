//! A template taken apart at its quotes: what is PromQL, what is a placeholder, and where a selector's braces open. The text is
//! only cut here; what it means, the parser says.

use super::template::Variable;

/// Deepest nesting of parentheses: the syntax tree is walked by recursion.
const DEPTH_MAX: usize = 32;

/// A stretch of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// PromQL as it stands.
    Text(String),
    /// A placeholder inside a label value in double quotes; whether that value is a regular expression.
    Value(Variable, bool),
    /// Behind the brace that opens a selector: another matcher can stand here.
    Open,
}

/// The pieces of a template.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut scan = Scan { rest: text, done: Vec::new(), text: String::new(), depth: 0 };
    while let Some(next) = scan.take() {
        match next {
            '"' => scan.quoted()?,
            '\'' | '`' => scan.raw(next)?,
            '#' => return Err("a comment (`#`) has no place in a template".to_owned()),
            '{' => {
                if let Some(variable) = placeholder(scan.rest).and_then(|(name, _)| Variable::named(name)) {
                    return Err(outside(variable));
                }
                scan.flush();
                scan.done.push(Piece::Open);
            }
            '(' => {
                scan.depth += 1;
                if scan.depth > DEPTH_MAX {
                    return Err(format!("nested deeper than {DEPTH_MAX}: no query needs that"));
                }
            }
            ')' => scan.depth = scan.depth.saturating_sub(1),
            _ => {}
        }
    }
    scan.flush();
    Ok(scan.done)
}

struct Scan<'a> {
    rest: &'a str,
    done: Vec<Piece>,
    text: String,
    depth: usize,
}

impl Scan<'_> {
    /// The next character, which has become text.
    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        self.text.push(next);
        Some(next)
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.done.push(Piece::Text(std::mem::take(&mut self.text)));
        }
    }

    /// The rest of a value in double quotes, where placeholders may stand.
    fn quoted(&mut self) -> Result<(), String> {
        let before = self.text.trim_end_matches('"').trim_end();
        let is_regex = before.ends_with("=~") || before.ends_with("!~");
        loop {
            if self.rest.starts_with('{')
                && let Some((name, length)) = placeholder(&self.rest[1..])
            {
                let variable = Variable::named(name).ok_or_else(|| {
                    format!("`{{{name}}}` is no placeholder: there are {{model}}, {{version}}, {{tenant}}, {{arm}} and {{step}}")
                })?;
                self.flush();
                self.done.push(Piece::Value(variable, is_regex));
                self.rest = &self.rest[1 + length..];
                continue;
            }
            match self.take() {
                Some('"') => return Ok(()),
                Some('\\') => _ = self.take(),
                Some(_) => {}
                None => return Err("a quote is not closed".to_owned()),
            }
        }
    }

    /// The rest of a value in other quotes, where what escapes mean differs: no placeholders there.
    fn raw(&mut self, quote: char) -> Result<(), String> {
        loop {
            if self.rest.starts_with('{')
                && let Some(variable) = placeholder(&self.rest[1..]).and_then(|(name, _)| Variable::named(name))
            {
                return Err(outside(variable));
            }
            match self.take() {
                Some(end) if end == quote => return Ok(()),
                Some('\\') if quote == '\'' => _ = self.take(),
                Some(_) => {}
                None => return Err("a quote is not closed".to_owned()),
            }
        }
    }
}

/// The word up to the next closing brace, if it is one, with the length of both.
fn placeholder(text: &str) -> Option<(&str, usize)> {
    let name = text.split_once('}')?.0;
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_word.then_some((name, name.len() + 1))
}

fn outside(variable: Variable) -> String {
    let name = variable.name();
    format!("`{{{name}}}` stands outside of a label value in double quotes: write it as in {name}=\"{{{name}}}\"")
}
