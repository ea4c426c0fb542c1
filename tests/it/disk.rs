//! Small disks, real ones, which a test can fill.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A disk of its own; end whoever uses it first.
pub(crate) struct Disk(TempDir);

impl Disk {
    /// One of a size such as `16m`; none where the machine does not let this test mount one, which it says.
    #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tidegate"]).arg(folder.path());
        if mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: this user can't mount a disk of {size}");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A folder on it.
    pub(crate) fn folder(&self) -> TempDir {
        tempfile::tempdir_in(self.path()).unwrap()
    }

    /// Fills what is left, to the last byte; gives the file.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = std::fs::File::options().create(true).append(true).open(&path).unwrap();
        let mut bytes: &[u8] = &[0; 64 * 1024];
        while !bytes.is_empty() {
            if file.write_all(bytes).is_err() {
                bytes = &bytes[..bytes.len() / 2];
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
