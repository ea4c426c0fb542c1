//! The last good routes on disk, so that a router starts and serves with everything else dead.
//!
//! The file is replaced whole: written beside, synced, renamed, the folder synced. It holds salts and headers, hence mode 0600. A
//! file that cannot be read is put aside, never overwritten, and the router starts empty.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rollout::Route;
use rollout::{Model, RolloutId, Tenant};
use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;
const OWNER_ONLY: u32 = 0o600;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    format: u32,
    pub(crate) saved_at_ms: u64,
    pub(crate) routes: Vec<Route>,
    #[serde(default)]
    pub(crate) locks: Vec<Lock>,
    /// Leases that ended, and stay ended until a newer generation comes.
    #[serde(default)]
    pub(crate) expired: Vec<Expired>,
}

/// The route of a model whose lease ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Expired {
    pub(crate) tenant: Tenant,
    pub(crate) model: Model,
    pub(crate) generation: i64,
}

/// The last beat that was heard, and when: in a file of its own, because it changes every few seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedBeat {
    pub(crate) beat: String,
    pub(crate) heard_at_ms: u64,
}

/// Rollouts of a model that never go forward again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Lock {
    pub(crate) tenant: Tenant,
    pub(crate) model: Model,
    pub(crate) rollouts: Vec<RolloutId>,
}

/// The folder that the file is in.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    /// Whoever writes beside a file is alone there.
    writing: Mutex<()>,
}

impl Saved {
    pub(crate) fn new(saved_at_ms: u64, routes: Vec<Route>, locks: Vec<Lock>, expired: Vec<Expired>) -> Self {
        Self { format: FORMAT, saved_at_ms, routes, locks, expired }
    }

    fn empty() -> Self {
        Self::new(0, Vec::new(), Vec::new(), Vec::new())
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        let saved: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if saved.format == FORMAT {
            Ok(saved)
        } else {
            Err(format!("its format is {}, and only {FORMAT} is known", saved.format))
        }
    }
}

impl Disk {
    /// Makes the folder if need be.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), writing: Mutex::default() })
    }

    fn path(&self) -> PathBuf {
        self.folder.join("routes.json")
    }

    /// What was saved last; nothing if there is no file or no good one.
    pub(crate) fn read(&self) -> io::Result<Saved> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::empty()),
            Err(error) => return Err(error),
        };
        let why = match Saved::read(&bytes) {
            Ok(saved) => return Ok(saved),
            Err(why) => why,
        };
        let aside = self.folder.join("routes.json.corrupt");
        tracing::warn!(path = %path.display(), "{} cannot be read, so it is now {} and no route is served: {why}", path.display(), aside.display());
        fs::rename(&path, &aside)?;
        Ok(Saved::empty())
    }

    /// Replaces what was saved. Returns when a power cut could not undo it.
    pub(crate) fn write(&self, saved: &Saved) -> io::Result<()> {
        self.replace("routes.json", &serde_json::to_vec(saved)?)
    }

    /// The beat that was saved last. Without a good one the routes' own age counts, which is greater.
    pub(crate) fn read_beat(&self) -> Option<SavedBeat> {
        serde_json::from_slice(&fs::read(self.folder.join("beat.json")).ok()?).ok()
    }

    /// Replaces the saved beat.
    pub(crate) fn write_beat(&self, beat: &SavedBeat) -> io::Result<()> {
        self.replace("beat.json", &serde_json::to_vec(beat)?)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let beside = self.folder.join(format!("{name}.next"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(&beside)?;
        // The mode above counts only for a file that is made, not for one that a crash left behind.
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_save_at_the_same_time_do_not_take_each_others_file_away() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        std::thread::scope(|scope| {
            for beat in ["a", "b", "c", "d"] {
                let disk = &disk;
                scope.spawn(move || {
                    for heard_at_ms in 0..50 {
                        disk.write_beat(&SavedBeat { beat: beat.to_owned(), heard_at_ms }).unwrap();
                    }
                });
            }
        });
        assert_eq!(disk.read_beat().unwrap().heard_at_ms, 49);
    }
}
