//! Instants: milliseconds since 1970 UTC, as the tables store them.

use judge::Span;
use serde::{Deserialize, Serialize};

/// An instant in milliseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct At(pub i64);

impl At {
    /// The instant `span` later.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        self.plus_ms(span.ms())
    }

    /// The instant so many milliseconds later; it stops at the ends of time instead of wrapping.
    #[must_use]
    pub fn plus_ms(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds since `earlier`; negative when it is later.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}
