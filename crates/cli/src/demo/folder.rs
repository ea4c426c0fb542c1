//! A folder that is gone when the demo is.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// A folder of our own.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("tidegate-demo-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed lies in the system's folder for such things and is removed there.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
