//! What stands in the bucket where a wish belongs: the wish, one of ours before it, or what somebody else put there. Values in, an
//! answer out. That a route was stopped is an addition to a wish, and makes no other route of it.

use chassis::Entry;
use rollout::Route;

/// What stands there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum There {
    /// The wish; perhaps with the word that it was stopped.
    Wish(Box<Route>),
    /// An older wish, as far as anybody can know.
    Older,
    /// A higher generation: a newer wish, or nobody's.
    Higher(Foreign),
    /// Nobody's wish.
    Foreign(Foreign),
}

/// What somebody else put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Counts the changes of the value: which change this is.
    pub(crate) revision: i64,
    /// 0 where it is no route.
    pub(crate) generation: i64,
    /// In words.
    pub(crate) what: String,
}

/// Compares what stands at `key` with the wish, and with what was put there last as far as this process knows.
pub(crate) fn compare(key: &str, entry: &Entry, wish: &Route, ours: Option<&Route>) -> There {
    let foreign = |generation, what| Foreign { revision: entry.revision, generation, what };
    let found = match read(key, entry) {
        Ok(found) => found,
        Err(why) => return There::Foreign(foreign(0, format!("a value that is no route of the model: {why}"))),
    };
    let generation = found.generation;
    if generation > wish.generation {
        return There::Higher(foreign(
            generation,
            format!("a route of generation {generation} that nobody wished for"),
        ));
    }
    let was_stopped = ours.is_some_and(|ours| ours.stopped && ours.generation == generation);
    if generation == wish.generation {
        return if (Route { stopped: wish.stopped, ..found.clone() }) == *wish && (found.stopped || !was_stopped) {
            There::Wish(Box::new(found))
        } else {
            There::Foreign(foreign(generation, format!("another route of generation {generation} than the wished one")))
        };
    }
    if ours.is_some_and(|ours| ours.generation == wish.generation) {
        return There::Foreign(foreign(generation, format!("an older route, of generation {generation}")));
    }
    There::Older
}

/// The route that stands at `key`, if it is one that a target could take.
fn read(key: &str, entry: &Entry) -> Result<Route, String> {
    let route: Route = serde_json::from_str(&entry.value).map_err(|error| error.to_string())?;
    let own = proto::subject::key(&route.tenant, &route.model);
    if own == key { route.check().map(|()| route) } else { Err(format!("it is the route of {own}")) }
}
