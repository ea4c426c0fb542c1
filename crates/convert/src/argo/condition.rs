//! Conditions of an analysis, as far as they compare one number with a limit.
//!
//! The language behind them can say anything. What is read here are the forms that the documentation and most templates have: the
//! result or its first element, perhaps with a default, and beside it what to think of no data. That may only decide where there is
//! none: joined in the other way it decides always, whatever the limit says, and so the condition is not read.

use judge::check::{Limit, RuleSet};

/// A comparison of the result with a limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    comparison: Comparison,
    limit: Limit,
    /// Whether it also says what no data means.
    pub(crate) is_about_missing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

const WORDS: [(&str, Comparison); 4] =
    [(">=", Comparison::AtLeast), ("<=", Comparison::AtMost), (">", Comparison::Above), ("<", Comparison::Below)];

/// What holds only where there is no number, without blanks.
const MISSING: [&str; 7] = [
    "len(result)==0",
    "len(result)<1",
    "result==nil",
    "isNaN(result)",
    "isNaN(result[0])",
    "isInf(result)",
    "isInf(result[0])",
];

/// What holds only where there is one, beside the opposites of what is asked of the missing.
const PRESENT: [&str; 4] = ["len(result)>0", "len(result)>=1", "len(result)!=0", "result!=nil"];

impl Condition {
    /// Reads a condition; one that says more than a limit is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        // A number that is there must leave the decision to the limit, in a success as in a failure.
        let (word, is_guard): (_, fn(&str) -> bool) =
            if text.contains("&&") { ("&&", is_present) } else { ("||", is_missing) };
        let (guards, limits): (Vec<&str>, Vec<&str>) = text.split(word).map(bare).partition(|part| is_guard(part));
        let [limit] = limits.as_slice() else { return None };
        let read = Self::comparison(limit)?;
        Some(Self { is_about_missing: read.is_about_missing || !guards.is_empty(), ..read })
    }

    fn comparison(text: &str) -> Option<Self> {
        let (word, comparison) = WORDS.into_iter().find(|(word, _)| text.contains(word))?;
        let (left, right) = text.split_once(word)?;
        let (value, limit, comparison) = match Limit::parse(right) {
            Ok(limit) => (left, limit, comparison),
            Err(_) => (right, Limit::parse(left).ok()?, comparison.turned()),
        };
        let has_default = is_default(value);
        let is_read = limit.value.is_finite() && (has_default || matches!(value, "result" | "result[0]"));
        is_read.then_some(Self { comparison, limit, is_about_missing: has_default })
    }

    /// The condition that holds where this one does not.
    pub(crate) fn opposite(&self) -> Self {
        let comparison = match self.comparison {
            Comparison::Above => Comparison::AtMost,
            Comparison::AtLeast => Comparison::Below,
            Comparison::Below => Comparison::AtLeast,
            Comparison::AtMost => Comparison::Above,
        };
        Self { comparison, ..self.clone() }
    }

    /// Whether both say the same of a number that is there.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.comparison, self.limit.value) == (other.comparison, other.limit.value)
    }

    /// The rule that is broken where the condition holds.
    pub(crate) fn rules(&self) -> RuleSet {
        // The number rather than its text: `90.000000` is 90.
        let (limit, mut rules) = (Some(Limit::from(self.limit.value)), RuleSet::default());
        match self.comparison {
            Comparison::Above => rules.gt = limit,
            Comparison::AtLeast => rules.gte = limit,
            Comparison::Below => rules.lt = limit,
            Comparison::AtMost => rules.lte = limit,
        }
        rules
    }
}

impl Comparison {
    /// The same with its sides exchanged.
    const fn turned(self) -> Self {
        match self {
            Self::Above => Self::Below,
            Self::AtLeast => Self::AtMost,
            Self::Below => Self::Above,
            Self::AtMost => Self::AtLeast,
        }
    }
}

fn is_missing(part: &str) -> bool {
    MISSING.contains(&part)
}

fn is_present(part: &str) -> bool {
    let denied = part.strip_prefix('!').or_else(|| part.strip_prefix("not"));
    PRESENT.contains(&part) || denied.is_some_and(|part| part.starts_with("is") && is_missing(part))
}

/// `default(result, 0)`, without blanks.
fn is_default(text: &str) -> bool {
    let inside = text.strip_prefix("default(").and_then(|rest| rest.strip_suffix(')'));
    inside
        .and_then(|inside| inside.split_once(','))
        .is_some_and(|(value, number)| matches!(value, "result" | "result[0]") && number.parse::<f64>().is_ok())
}

/// Without brackets around the whole.
fn bare(text: &str) -> &str {
    match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inside) if !inside.contains(['(', ')']) => inside,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::Condition;

    #[test]
    fn one_number_against_a_limit_is_read_in_each_usual_form() {
        let rule = |text: &str| {
            serde_json::to_string(&Condition::read(text).unwrap_or_else(|| panic!("{text}")).rules()).unwrap()
        };
        for (text, expected) in [
            ("result[0] >= 0.95", r#"{"gte":0.95}"#),
            ("result < 0.05", r#"{"lt":0.05}"#),
            ("(result[0] > 10)", r#"{"gt":10.0}"#),
            ("0.05 >= result[0]", r#"{"lte":0.05}"#),
            ("len(result) == 0 || result[0] < 0.05", r#"{"lt":0.05}"#),
            ("len(result) > 0 && result[0] >= 0.95", r#"{"gte":0.95}"#),
            ("isNaN(result[0]) || result[0] >= 90.000000", r#"{"gte":90.0}"#),
            ("not isNaN(result[0]) && result != nil && result[0] < 3", r#"{"lt":3.0}"#),
            ("default(result, 0) < 5", r#"{"lt":5.0}"#),
        ] {
            assert_eq!(rule(text), expected, "{text}");
        }
    }

    #[test]
    fn what_says_more_than_a_limit_is_not_read() {
        for text in [
            "result == true",
            "result.ok && result.successPercent >= 0.90",
            "all(result, # < 1000)",
            "max(result) < 0.05",
            "result[0] >= 0.5 && result[0] <= 2",
            "result[1] > 3",
            "result[0] > NaN",
            "result > inf",
            "",
            "||",
            ">",
        ] {
            assert_eq!(Condition::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_question_for_data_that_outweighs_the_limit_is_not_read() {
        for text in [
            // Holds whenever there is a number.
            "len(result) > 0 || result[0] >= 0.95",
            "result != nil || result[0] >= 0.95",
            "!isNaN(result[0]) || result[0] >= 0.95",
            // Never holds where there is one.
            "len(result) == 0 && result[0] < 0.05",
            "isNaN(result[0]) && result[0] >= 90",
            "isInf(result) && result[0] >= 90",
            // One of each, and both words.
            "isNaN(result[0]) || len(result) > 0 || result[0] < 0.05",
            "(len(result) == 0 || result[0] < 0.05) && !isNaN(result[0])",
            "len(result) == 0 || result[0] < 0.05 && !isNaN(result[0])",
        ] {
            assert_eq!(Condition::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_condition_and_its_opposite_divide_all_numbers() {
        let condition = Condition::read("result[0] >= 0.95").unwrap();
        assert!(condition.opposite().is_same(&Condition::read("result < 0.95").unwrap()));
        assert!(condition.opposite().opposite().is_same(&condition));
    }
}
