//! Configuration: read once, from the environment, into checked values; every mistake is reported, not only the first.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::secret::Secret;
use crate::variables::is_known;

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't start with this configuration:")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// The environment while it is being read.
#[derive(Debug)]
pub struct Environment<F> {
    get: F,
    mistakes: Vec<String>,
}

impl Environment<fn(&str) -> Option<String>> {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(|name| {
            debug_assert!(is_known(name), "{name} is not in the table of variables");
            std::env::var(name).ok()
        })
    }
}

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    /// An environment that `get` reads.
    pub const fn new(get: F) -> Self {
        Self { get, mistakes: Vec::new() }
    }

    /// The variable, or `default` when it is not set; a bad value is noted and the default goes on.
    pub fn read<T: FromStr>(&mut self, name: &str, default: T) -> T
    where
        T::Err: fmt::Display,
    {
        self.given(name).unwrap_or(default)
    }

    /// The variable, if it is set; a bad value is noted and counts as not set.
    pub fn given<T: FromStr>(&mut self, name: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        let text = (self.get)(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(cause) => {
                self.mistakes.push(format!("{name}: `{}`: {cause}", text.escape_default()));
                None
            }
        }
    }

    /// The variable as it is written; none when it is not set, or set to nothing.
    pub fn text(&self, name: &str) -> Option<String> {
        (self.get)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The secret in the file that the variable names; a bad file is noted and counts as not set.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        let path = self.text(name)?;
        Secret::read(Path::new(&path))
            .map_err(|why| self.mistake(format!("{name}: {}: {why}", path.escape_default())))
            .ok()
    }

    /// Adds a mistake that only shows when values are seen together.
    pub fn mistake(&mut self, mistake: impl Into<String>) {
        self.mistakes.push(mistake.into());
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All mistakes.
    pub fn finish(self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes(self.mistakes)) }
    }
}
