//! The model itself: a few words decide the sentiment, the draw decides how sure it is.

use serde_json::{Value, json};

use crate::draw::{Draw, rounded};

/// The classes, in the order of the output.
pub(crate) const LABELS: [&str; 3] = ["negative", "neutral", "positive"];
const POSITIVE: [&str; 8] = ["good", "great", "love", "loved", "excellent", "happy", "wonderful", "best"];
const NEGATIVE: [&str; 8] = ["bad", "awful", "hate", "hated", "terrible", "sad", "poor", "worst"];

/// The answer for one text, without version and latency.
pub(crate) fn of(text: &str, draw: &Draw) -> Value {
    let class = class(text);
    let rest = (1.0 - draw.confidence) / 2.0;
    let probability = |label: usize| rounded(if label == class { draw.confidence } else { rest });
    json!({
        "sentiment": LABELS[class],
        "confidence": rounded(draw.confidence),
        "probabilities": {
            LABELS[0]: probability(0),
            LABELS[1]: probability(1),
            LABELS[2]: probability(2),
        },
    })
}

fn class(text: &str) -> usize {
    let text = text.to_lowercase();
    let words = || text.split(|letter: char| !letter.is_alphanumeric());
    let good = words().filter(|word| POSITIVE.contains(word)).count();
    let bad = words().filter(|word| NEGATIVE.contains(word)).count();
    match good.cmp(&bad) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => 1,
        std::cmp::Ordering::Greater => 2,
    }
}
