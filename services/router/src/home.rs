//! The folder of a router that runs alone: one process at a time, and a name of its own, so that the control plane can tell the
//! next process of a folder from a stranger that took the same name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use uuid::Uuid;

/// An open folder; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Home {
    /// A UUID.
    pub(crate) id: String,
    _lock: File,
}

impl Home {
    /// Takes the folder, which is made if need be.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(folder.join("home"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("another router is using it")),
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        let mut id = String::new();
        file.read_to_string(&mut id)?;
        if id.len() != 32 || Uuid::try_parse(&id).is_err() {
            id = Uuid::new_v4().simple().to_string();
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(id.as_bytes())?;
            file.sync_all()?;
        }
        Ok(Self { id, _lock: file })
    }
}
