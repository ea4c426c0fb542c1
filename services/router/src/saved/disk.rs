//! The files themselves.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{FORMAT, Kept, Saved, SavedBeat};

const OWNER_ONLY: u32 = 0o600;
const WHOLE: &str = "routes.json";
const LOG: &str = "routes.log";
/// A log that is shorter than this, in bytes, is never too long.
const LOG_LEAST: u64 = 256 * 1024;

/// The folder that the files are in.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    files: Mutex<Files>,
    /// The beat that was written last.
    beat: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Files {
    /// Of the last `routes.json`, whether it came about or not.
    number: u64,
    /// None if the next change has to write everything.
    log: Option<Log>,
}

#[derive(Debug, Clone, Copy)]
struct Log {
    bytes: u64,
    /// The length of `routes.json`.
    whole: u64,
}

impl Disk {
    /// Makes the folder if need be.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), files: Mutex::default(), beat: Mutex::default() })
    }

    /// What was saved last; nothing if there is no file or no good one.
    pub(crate) fn read(&self) -> io::Result<Saved> {
        let Some(whole) = read(&self.folder.join(WHOLE))? else { return Ok(Saved::empty()) };
        let log = read(&self.folder.join(LOG))?.unwrap_or_default();
        match Saved::read(&whole).and_then(|saved| saved.after(&log)) {
            Ok(saved) => {
                // What a killed process wrote may not be on the disk yet, and is about to be told as if it were.
                sync(&self.folder.join(WHOLE))?;
                sync(&self.folder.join(LOG))?;
                sync(&self.folder)?;
                self.files().number = saved.number;
                Ok(saved)
            }
            Err(why) => {
                self.put_aside(&why)?;
                Ok(Saved::empty())
            }
        }
    }

    fn put_aside(&self, why: &str) -> io::Result<()> {
        let (path, aside) = (self.folder.join(WHOLE), self.folder.join(format!("{WHOLE}.corrupt")));
        tracing::warn!(path = %path.display(), "{} cannot be read, so it is now {} and no route is served: {why}", path.display(), aside.display());
        fs::rename(&path, &aside)?;
        match fs::rename(self.folder.join(LOG), self.folder.join(format!("{LOG}.corrupt"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    /// Whether the next change has to be written with all that did not change.
    pub(crate) fn wants_all(&self) -> bool {
        self.files().log.as_ref().is_none_or(|log| log.bytes > log.whole.max(LOG_LEAST))
    }

    /// Replaces what was saved. Returns when a power cut could not undo it.
    pub(crate) fn replace_all(&self, saved_at_ms: u64, models: Vec<Kept>) -> io::Result<()> {
        let mut files = self.files();
        // Greater than that of any other file, and of one that may have come about in spite of an error, whose lines are there yet.
        files.number = saved_at_ms.max(files.number + 1);
        files.log = None;
        let whole = serde_json::to_vec(&Saved { format: FORMAT, number: files.number, saved_at_ms, models })?;
        self.replace(WHOLE, &whole)?;
        // Its old lines name another number; a crash before this leaves them, and they count for nothing.
        empty(&self.folder.join(LOG))?;
        sync(&self.folder)?;
        files.log = Some(Log { bytes: 0, whole: whole.len() as u64 });
        Ok(())
    }

    /// Adds what changed to what was saved. Returns when a power cut could not undo it. After an error everything is written next.
    pub(crate) fn add(&self, saved_at_ms: u64, models: Vec<Kept>) -> io::Result<()> {
        let mut files = self.files();
        let Log { bytes, whole } = files.log.take().ok_or_else(|| io::Error::other("there is no log"))?;
        let mut line = serde_json::to_vec(&Saved { format: FORMAT, number: files.number, saved_at_ms, models })?;
        line.push(b'\n');
        // Not made anew: whoever took the file away took changes with it.
        let mut log = OpenOptions::new().append(true).open(self.folder.join(LOG))?;
        log.write_all(&line)?;
        log.sync_data()?;
        files.log = Some(Log { bytes: bytes + line.len() as u64, whole });
        Ok(())
    }

    /// The beat that was saved last. Without a good one the routes' own age counts, which is greater.
    pub(crate) fn read_beat(&self) -> Option<SavedBeat> {
        serde_json::from_slice(&fs::read(self.folder.join("beat.json")).ok()?).ok()
    }

    /// Replaces the saved beat, unless it is that one.
    pub(crate) fn write_beat(&self, beat: &SavedBeat) -> io::Result<()> {
        let mut last = self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(&beat.beat) {
            self.replace("beat.json", &serde_json::to_vec(beat)?)?;
            *last = Some(beat.beat.clone());
        }
        Ok(())
    }

    /// For one writer at a time.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = self.folder.join(format!("{name}.next"));
        let mut file = empty(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, self.folder.join(name))?;
        sync(&self.folder)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An empty file, whatever there was.
fn empty(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(path)?;
    // The mode above counts only for a file that is made, not for one that a crash left behind.
    file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    Ok(file)
}

/// Waits until a file or a folder, if there is one, is on the disk as it is.
fn sync(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a file holds, if there is one.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rollout::{Model, RolloutId, Tenant};

    use super::*;

    /// A model of which nothing but `locks` locked rollouts is known.
    fn kept(model: &str, locks: usize) -> Kept {
        Kept {
            tenant: Tenant::default_tenant(),
            model: Model::new(model).unwrap(),
            route: None,
            locks: (0..locks).map(|number| RolloutId::of("/tests", &number.to_string())).collect(),
            is_expired: false,
        }
    }

    /// What a router that starts now would read: when it was saved, and each model with the number of its locks.
    fn read(folder: &Path) -> (u64, Vec<String>) {
        let saved = Disk::open(folder).unwrap().read().unwrap();
        let told = |kept: Kept| format!("{} {}", kept.model, kept.locks.len());
        (saved.saved_at_ms, saved.models.into_iter().map(told).collect())
    }

    fn models(told: &[&str]) -> Vec<String> {
        told.iter().map(|told| (*told).to_owned()).collect()
    }

    #[test]
    fn what_is_read_is_all_that_was_saved_with_what_changed_since() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        assert!(disk.wants_all());
        disk.replace_all(1, vec![kept("a", 1), kept("b", 0)]).unwrap();
        assert!(!disk.wants_all());
        disk.add(2, vec![kept("b", 2)]).unwrap();
        disk.add(3, vec![kept("c", 0), kept("b", 1)]).unwrap();
        assert_eq!(read(folder.path()), (3, models(&["a 1", "b 1", "c 0"])));
        // What a cut left of a line, which was not confirmed.
        let log = folder.path().join(LOG);
        let lines = fs::read(&log).unwrap();
        fs::write(&log, &lines[..lines.len() - 9]).unwrap();
        assert_eq!(read(folder.path()), (2, models(&["a 1", "b 2"])));
    }

    #[test]
    fn lines_of_a_former_file_count_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join(LOG);
        let disk = Disk::open(folder.path()).unwrap();
        disk.replace_all(1, Vec::new()).unwrap();
        disk.add(2, vec![kept("a", 0)]).unwrap();
        let former = fs::read(&log).unwrap();
        disk.replace_all(1, Vec::new()).unwrap();
        // As if the power had gone before the log was emptied.
        fs::write(&log, former).unwrap();
        assert_eq!(read(folder.path()), (1, Vec::new()));
    }

    #[test]
    fn a_log_that_is_longer_than_the_file_is_replaced_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        disk.replace_all(0, Vec::new()).unwrap();
        let mut count = 0;
        while !disk.wants_all() {
            disk.add(count, vec![kept("a", 16)]).unwrap();
            count += 1;
        }
        assert!(fs::metadata(folder.path().join(LOG)).unwrap().len() > LOG_LEAST);
        disk.replace_all(count, vec![kept("a", 1)]).unwrap();
        assert_eq!(fs::metadata(folder.path().join(LOG)).unwrap().len(), 0);
        assert_eq!(read(folder.path()), (count, models(&["a 1"])));
    }

    #[test]
    fn a_log_that_is_broken_in_the_middle_is_put_aside_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        disk.replace_all(1, vec![kept("a", 0)]).unwrap();
        disk.add(2, vec![kept("b", 0)]).unwrap();
        let log = folder.path().join(LOG);
        let line = fs::read(&log).unwrap();
        fs::write(&log, [b"{\n", &line[..]].concat()).unwrap();
        assert_eq!(read(folder.path()), (0, Vec::new()));
        for (name, is_there) in
            [(WHOLE, false), (LOG, false), ("routes.json.corrupt", true), ("routes.log.corrupt", true)]
        {
            assert_eq!(folder.path().join(name).exists(), is_there, "{name}");
        }
    }

    #[test]
    fn a_log_that_was_taken_away_is_not_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        disk.replace_all(1, Vec::new()).unwrap();
        fs::remove_file(folder.path().join(LOG)).unwrap();
        assert!(disk.add(2, vec![kept("a", 0)]).is_err());
        assert!(disk.wants_all());
    }
}
