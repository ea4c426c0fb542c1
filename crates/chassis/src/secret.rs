//! Secrets: read from files that nobody else can read, and never shown.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// No key, token or URL is longer.
const BYTES_MAX: u64 = 4_096;
/// Permissions of others than the owner and the group.
const OTHERS: u32 = 0o007;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Secret {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, and nothing that is in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|cause| format!("can't read the file: {cause}"))?;
        let known = file.metadata().map_err(|cause| format!("can't read the file: {cause}"))?;
        let mode = known.permissions().mode();
        if mode & OTHERS != 0 {
            return Err(format!("others can read the file (mode {:04o}): `chmod 600` it", mode & 0o7777));
        }
        let mut text = String::new();
        file.take(BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|_| "the file is no text, so it holds no secret of ours".to_owned())?;
        let text = text.trim();
        if text.is_empty() {
            return Err("the file is empty".to_owned());
        }
        if text.len() as u64 > BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the file does not hold one word of printable characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// A secret that was made here.
    #[must_use]
    pub const fn of(text: String) -> Self {
        Self(text)
    }

    /// The text, for where it must be sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` without this secret: receivers like to repeat what they were sent.
    #[must_use]
    pub fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_secret_is_read_without_its_line_end_and_never_shown() {
        let secret = Secret::read(file("abc123\n", 0o600).path()).unwrap();
        assert_eq!((secret.expose(), format!("{secret:?}")), ("abc123", "***".to_owned()));
        assert_eq!(secret.hidden_in("no such key: abc123"), "no such key: ***");
    }

    #[test]
    fn a_file_that_others_can_read_or_that_holds_no_word_is_refused() {
        let refused = |text: &str, mode| Secret::read(file(text, mode).path()).unwrap_err();
        assert_eq!(refused("abc", 0o644), "others can read the file (mode 0644): `chmod 600` it");
        assert_eq!(refused(" \n", 0o600), "the file is empty");
        assert_eq!(refused("two words", 0o600), "the file does not hold one word of printable characters");
        assert!(Secret::read(Path::new("/nowhere/at/all")).unwrap_err().starts_with("can't read the file: "));
    }
}
