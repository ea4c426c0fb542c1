//! From weights or iterations to steps.

use judge::Span;
use rollout::Share;

use crate::draft::Step;
use crate::error::Error;
use crate::fields::{Fields, described};
use crate::note::Note;

/// All of the traffic, as Flagger writes it.
const WHOLE: u32 = 100;

/// What stands for users that were chosen by a header, or for none at all: somebody's requests must be judged.
const CHOSEN: u32 = 10;

/// The steps: each weight for one interval, and then everything.
pub(super) fn steps(analysis: &mut Fields, interval: Span, notes: &mut Vec<Note>) -> Result<Vec<Step>, Error> {
    let place = analysis.place().clone();
    let weights = weights(analysis, notes)?;
    let (weights, dwell) = match analysis.count("iterations")?.filter(|count| *count > 0) {
        Some(count) => {
            notes.extend(
                weights
                    .iter()
                    .take(1)
                    .map(|_| place.field("iterations").note("goes before the weights, there as here")),
            );
            (vec![CHOSEN], iterations(analysis, (count, interval), notes)?)
        }
        None if weights.is_empty() => {
            return Err(
                place.refuse("neither weights nor iterations: write `stepWeight: 10`, or `stepWeights: [5, 25, 50]`")
            );
        }
        None => (weights, interval),
    };
    if weights.last() == Some(&WHOLE) {
        notes.push(place.note(
            "100 % is the promotion here: Flagger looks at it for one more interval; write a `dwell` at the last step for that, \
             or `bake`, which keeps the former version ready",
        ));
    }
    let share = |weight: &u32| Share::of_percent(f64::from(*weight)).map_err(|why| place.refuse(why));
    let below = weights.iter().filter(|weight| **weight < WHOLE).map(|weight| Ok(Step::new(share(weight)?, dwell)));
    below.chain([Ok(Step::new(Share::WHOLE, Span::default()))]).collect()
}

/// What the candidate gets from interval to interval until it is promoted.
fn weights(analysis: &mut Fields, notes: &mut Vec<Note>) -> Result<Vec<u32>, Error> {
    let place = analysis.place().clone();
    let step = analysis.count("stepWeight")?.unwrap_or_default();
    let listed = analysis.counts("stepWeights")?;
    let most = analysis.count("maxWeight")?;
    let at = place.field("stepWeights");
    if listed.iter().any(|weight| !(1..=WHOLE).contains(weight)) || !listed.is_sorted_by(|a, b| a < b) {
        return Err(at.refuse("these do not grow from 1 to 100: write weights such as `[5, 25, 50]`"));
    }
    if step == 0 {
        let idle = most.filter(|_| !listed.is_empty());
        notes.extend(
            idle.map(|_| place.field("maxWeight").note("is not looked at beside `stepWeights`, there as here")),
        );
        return Ok(listed);
    }
    notes.extend(listed.first().map(|_| at.note("only says where to end beside `stepWeight`, there as here")));
    let most = listed.last().copied().or(most.filter(|most| *most > 0)).unwrap_or(WHOLE).min(WHOLE);
    let grown = std::iter::successors(Some(step.min(WHOLE)), |weight| {
        (*weight < most).then(|| weight.saturating_add(step).min(WHOLE))
    });
    Ok(grown.collect())
}

/// How long the users that were chosen are looked at.
fn iterations(analysis: &mut Fields, (count, interval): (u32, Span), notes: &mut Vec<Note>) -> Result<Span, Error> {
    let at = analysis.place().field("iterations");
    notes.push(match analysis.take("match") {
        Some((matched, place)) => place.note(format!(
            "{} chooses users by what they send; here sessions are put into the candidate by a hash, and {CHOSEN} % of them stand for \
             those users: write the share that they are",
            described(&matched)
        )),
        None => at.note(format!(
            "is a blue/green deployment, which is tried without users; only what users ask is judged here, so {CHOSEN} % of the \
             sessions get it for as long, and `smoke` asks it once before"
        )),
    });
    Some(Span(interval.0.saturating_mul(count.into())))
        .filter(|dwell| *dwell <= Span::MAX)
        .ok_or_else(|| at.refuse(format!("({count}) times {interval} is more than ten years: write fewer")))
}
