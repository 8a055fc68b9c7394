//! A password. It cannot be printed, and is wiped when it is dropped.

use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// Most bytes of a file with a password.
const FILE_MAX_BYTES: usize = 4096;

/// A password.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The password of a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The password that is a file's first line.
    ///
    /// # Errors
    /// The file cannot be read, is empty or too large.
    pub fn of_file(path: &Path) -> std::io::Result<Self> {
        let text = Zeroizing::new(std::fs::read_to_string(path)?);
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() || text.len() > FILE_MAX_BYTES {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "not one line with a password"));
        }
        Ok(Self::new(line.to_owned()))
    }

    /// The password, for the broker's client alone.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_first_line_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "p@ss word\nsecond\n").unwrap();
        let secret = Secret::of_file(&path).unwrap();
        assert_eq!(secret.expose(), "p@ss word");
        assert_eq!(format!("{secret:?}"), "Secret");
        std::fs::write(&path, "\n").unwrap();
        assert!(Secret::of_file(&path).is_err());
    }
}
