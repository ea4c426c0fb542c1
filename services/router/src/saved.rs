//! The last good routes on disk, so that a router starts and serves with everything else dead.
//!
//! `routes.json` holds all of them, and `routes.log` what changed since, a line for each change, so that one model's route costs no
//! more where there are ten thousand. The first is replaced whole: written beside, synced, renamed, the folder synced; at the first
//! change after a start, after an error, and when the second has grown longer. Only lines that name the number of the first count.
//! Both hold salts and headers, hence mode 0600. What cannot be read is put aside, never overwritten, and the router starts empty.

use std::collections::BTreeMap;

use rollout::{Model, RolloutId, Route, Tenant};
use serde::{Deserialize, Serialize};

mod disk;

pub(crate) use disk::Disk;

const FORMAT: u32 = 2;

/// What a file or a line of the log holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    format: u32,
    /// Of the file; a line of the log has the number of the file that it follows.
    number: u64,
    pub(crate) saved_at_ms: u64,
    pub(crate) models: Vec<Kept>,
}

/// All that is kept of a model.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) tenant: Tenant,
    pub(crate) model: Model,
    pub(crate) route: Option<Route>,
    /// Rollouts that never go forward again.
    #[serde(default)]
    pub(crate) locks: Vec<RolloutId>,
    /// Whether the lease of this route has ended; it stays so until a newer generation comes.
    #[serde(default)]
    pub(crate) is_expired: bool,
}

/// The last beat that was heard, and when: in a file of its own, because it changes every few seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedBeat {
    pub(crate) beat: String,
    pub(crate) heard_at_ms: u64,
}

impl Saved {
    const fn empty() -> Self {
        Self { format: FORMAT, number: 0, saved_at_ms: 0, models: Vec::new() }
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let Head { format } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if format != FORMAT {
            return Err(format!("its format is {format}, and only {FORMAT} is known"));
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    /// The same after the lines of a log. A last line that is not whole was never confirmed.
    fn after(self, log: &[u8]) -> Result<Self, String> {
        let mut saved_at_ms = self.saved_at_ms;
        let of = |kept: Kept| ((kept.tenant.clone(), kept.model.clone()), kept);
        let mut models: BTreeMap<_, _> = self.models.into_iter().map(of).collect();
        let mut lines = log.split_inclusive(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            match Self::read(line) {
                Ok(change) if change.number == self.number => {
                    saved_at_ms = change.saved_at_ms;
                    models.extend(change.models.into_iter().map(of));
                }
                Ok(_) => {}
                Err(_) if lines.peek().is_none() => {}
                Err(why) => return Err(format!("a line of its log: {why}")),
            }
        }
        Ok(Self { saved_at_ms, models: models.into_values().collect(), ..self })
    }
}
