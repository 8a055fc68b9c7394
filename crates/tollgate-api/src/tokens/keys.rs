//! The keys that the gateway signs its tokens with: made by it, replaced in time, and kept in a folder that is its owner's alone.
//!
//! | age of a key | |
//! |---|---|
//! | less than [`AHEAD_MS`] | published, not used yet, unless there is no other |
//! | up to [`ROTATE_MS`] | signs |
//! | [`AFTER_MS`] longer | published, so that what it signed holds |

use super::jwks;
use super::jws::{self, Algorithm, PublicKey, SigningPair};
use parking_lot::RwLock;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long before it signs a key is published.
const AHEAD_MS: u64 = 3_600_000;

/// How long a key signs.
const ROTATE_MS: u64 = 30 * 86_400_000;

/// How long a key is published after it has signed for the last time; longer than any token lives.
const AFTER_MS: u64 = 86_400_000;

/// Most keys read from a folder.
const KEYS_MAX: usize = 16;

const SUFFIX: &str = ".key";

/// How the name of a file ends that a key is being written to.
const BEGUN: &str = "begun";

/// How long nobody needs to write a key.
const LEFT_AFTER: Duration = Duration::from_secs(60);

struct SigningKey {
    created_at_ms: u64,
    pair: SigningPair,
    public: PublicKey,
}

/// The keys. Cheap to read.
pub struct TokenKeys {
    /// Where they are kept; none: in memory alone.
    folder: Option<PathBuf>,
    /// How new ones sign.
    algorithm: Algorithm,
    keys: RwLock<Vec<Arc<SigningKey>>>,
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKeys").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Keys that cannot be made, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeysError {
    /// The folder cannot be used.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// A file holds no key.
    #[error("{0}: is no signing key")]
    NoKey(PathBuf),
    /// The system has no randomness.
    #[error("the system gives no random numbers")]
    Random,
}

impl SigningKey {
    fn new(created_at_ms: u64, document: &[u8]) -> Option<Self> {
        let pair = SigningPair::from_pkcs8(document)?;
        let mut public = pair.public("");
        let digest = ring::digest::digest(&ring::digest::SHA256, &public.bytes);
        public.kid = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Some(Self { created_at_ms, pair, public })
    }
}

impl TokenKeys {
    /// Opens a folder of keys, and makes a first key of this algorithm if there is none; without a folder the keys end with the process.
    /// Keys of the other algorithm sign on until the new one was published for long enough.
    ///
    /// # Errors
    /// The folder cannot be used, or holds what is no key.
    pub fn open(folder: Option<&Path>, algorithm: Algorithm, now_ms: u64) -> Result<Self, TokenKeysError> {
        let mut keys = Vec::new();
        if let Some(folder) = folder {
            let failed = |error| TokenKeysError::Io(folder.to_owned(), error);
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
            for entry in std::fs::read_dir(folder).map_err(failed)?.take(KEYS_MAX * 4) {
                let path = entry.map_err(failed)?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                if let Some(stem) = name.and_then(|name| name.strip_suffix(SUFFIX)) {
                    keys.push(Arc::new(read(&path, stem)?));
                } else if path.extension().is_some_and(|end| end == BEGUN) && is_left(&path) {
                    // The process was ended while it wrote this one: nothing was signed with it.
                    remove_if_there(&path).map_err(failed)?;
                }
            }
        }
        let new = Self { folder: folder.map(Path::to_owned), algorithm, keys: RwLock::new(keys) };
        new.turn(now_ms)?;
        Ok(new)
    }

    /// Makes a new key when it is time, and lets go of those that nothing needs any more. Call it now and then.
    ///
    /// # Errors
    /// A new key cannot be made or kept; those there are go on.
    pub fn turn(&self, now_ms: u64) -> Result<(), TokenKeysError> {
        let mut keys = self.keys.read().clone();
        let age = |key: &SigningKey| now_ms.saturating_sub(key.created_at_ms);
        let is_over = |key: &SigningKey| age(key) >= ROTATE_MS + AHEAD_MS + AFTER_MS;
        let is_present = |key: &SigningKey| key.public.algorithm == self.algorithm && age(key) < ROTATE_MS;
        let needs_new = !keys.iter().any(|key| is_present(key));
        if !needs_new && !keys.iter().any(|key| is_over(key)) {
            return Ok(());
        }
        for key in keys.extract_if(.., |key| is_over(key)) {
            self.remove(&key);
        }
        if needs_new {
            keys.push(Arc::new(self.make(now_ms)?));
        }
        keys.sort_by_key(|key| key.created_at_ms);
        *self.keys.write() = keys;
        Ok(())
    }

    /// Signs claims with the present key.
    pub(crate) fn sign(&self, claims: &impl serde::Serialize, now_ms: u64) -> Option<String> {
        let keys = self.keys.read();
        let is_known_by_now = |key: &&Arc<SigningKey>| now_ms.saturating_sub(key.created_at_ms) >= AHEAD_MS;
        let is_wanted =
            |key: &&Arc<SigningKey>| key.public.algorithm == self.algorithm && is_known_by_now(key);
        let known = keys.iter().rev().find(is_wanted).or_else(|| keys.iter().rev().find(is_known_by_now));
        let key = known.or(keys.first())?;
        jws::sign(&key.pair, &key.public.kid, claims)
    }

    /// The public keys.
    #[must_use]
    pub fn public(&self) -> Vec<PublicKey> {
        self.keys.read().iter().map(|key| key.public.clone()).collect()
    }

    /// The public keys as a key set.
    #[must_use]
    pub fn key_set(&self) -> Vec<u8> {
        jwks::write(&self.public())
    }

    fn path(&self, key: &SigningKey) -> Option<PathBuf> {
        let name = format!("{}-{}{SUFFIX}", key.created_at_ms, key.public.kid);
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    fn make(&self, now_ms: u64) -> Result<SigningKey, TokenKeysError> {
        let document = SigningPair::generate(self.algorithm).ok_or(TokenKeysError::Random)?;
        let key = SigningKey::new(now_ms, &document).ok_or(TokenKeysError::Random)?;
        if let Some(path) = self.path(&key) {
            write_whole(&path, &document).map_err(|error| TokenKeysError::Io(path.clone(), error))?;
        }
        tracing::info!(kid = key.public.kid, "a new key for tokens");
        Ok(key)
    }

    fn remove(&self, key: &SigningKey) {
        if let Some(path) = self.path(key)
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(%error, path = %path.display(), "an old key for tokens could not be removed");
        }
    }
}

/// Writes a key so that its file is there whole or not at all, whenever the process is ended. What was begun and never
/// ended is written over by the next.
fn write_whole(path: &Path, document: &[u8]) -> std::io::Result<()> {
    let begun = path.with_extension(BEGUN);
    remove_if_there(&begun)?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&begun)?;
    file.write_all(document)?;
    file.sync_all()?;
    std::fs::rename(&begun, path)?;
    // The name, too, has to be on the disk before anything is signed.
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

/// Whether a file that was begun was left by a process that has ended: another on the same folder may be writing it this very moment.
fn is_left(begun: &Path) -> bool {
    let written = std::fs::metadata(begun).and_then(|about| about.modified());
    written.is_ok_and(|at| at.elapsed().is_ok_and(|since| since >= LEFT_AFTER))
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads a key; its file's name begins with the moment it was made.
fn read(path: &Path, stem: &str) -> Result<SigningKey, TokenKeysError> {
    let no_key = || TokenKeysError::NoKey(path.to_owned());
    let created_at_ms = stem.split_once('-').and_then(|(at, _)| at.parse().ok()).ok_or_else(no_key)?;
    let bytes = std::fs::read(path).map_err(|error| TokenKeysError::Io(path.to_owned(), error))?;
    SigningKey::new(created_at_ms, &Zeroizing::new(bytes)).ok_or_else(no_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    const NOW: u64 = 1_790_000_000_000;

    #[test]
    fn keys_outlive_the_process_and_are_their_owner_s_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("tokens");
        let keys = TokenKeys::open(Some(&place), Algorithm::Es256, NOW).unwrap();
        let token = keys.sign(&json!({}), NOW).unwrap();
        let again = TokenKeys::open(Some(&place), Algorithm::Es256, NOW + 5).unwrap();
        assert_eq!(again.public(), keys.public());
        assert_eq!(jws::verify(&token, &again.public()), Ok(()));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place), 0o700);
        for entry in std::fs::read_dir(&place).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        assert!(!format!("{keys:?}").contains("pair"));
        std::fs::write(place.join("5-x.key"), "no key").unwrap();
        assert!(matches!(
            TokenKeys::open(Some(&place), Algorithm::EdDsa, NOW),
            Err(TokenKeysError::NoKey(_))
        ));
    }

    #[test]
    fn a_key_that_was_half_written_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let begun = folder.path().join(format!("{NOW}-0011223344556677.{BEGUN}"));
        std::fs::write(&begun, "half a k").unwrap();
        let long_ago = std::time::SystemTime::now() - 2 * LEFT_AFTER;
        std::fs::File::options().write(true).open(&begun).unwrap().set_modified(long_ago).unwrap();
        let keys = TokenKeys::open(Some(folder.path()), Algorithm::EdDsa, NOW).unwrap();
        assert_eq!(keys.public().len(), 1);
        assert!(!begun.exists(), "what is no key is not kept");
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.map(|name| name.into_string().unwrap()).all(|name| name.ends_with(SUFFIX)));
        // What is written is there whole under its name, and nowhere else.
        let path = folder.path().join("5-x.key");
        std::fs::write(path.with_extension(BEGUN), "half").unwrap();
        write_whole(&path, b"whole").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert!(!path.with_extension(BEGUN).exists());
    }

    #[test]
    fn servers_that_start_together_do_not_take_each_others_files() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let opened = std::thread::scope(|scope| {
                let open = || TokenKeys::open(Some(folder.path()), Algorithm::EdDsa, NOW);
                let threads: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            });
            for opened in opened {
                assert!(!opened.unwrap().public().is_empty());
            }
        }
    }

    #[test]
    fn they_turn_with_an_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let keys = TokenKeys::open(Some(folder.path()), Algorithm::EdDsa, NOW).unwrap();
        let first = keys.public()[0].clone();
        let kid_at = |now_ms| {
            let token = keys.sign(&json!({}), now_ms).unwrap();
            assert_eq!(jws::verify(&token, &keys.public()), Ok(()));
            jws::verify(&token, std::slice::from_ref(&first)).is_ok()
        };
        assert!(kid_at(NOW));
        keys.turn(NOW + ROTATE_MS - 1).unwrap();
        assert_eq!(keys.public().len(), 1);
        let later = NOW + ROTATE_MS;
        keys.turn(later).unwrap();
        assert_eq!(keys.public().len(), 2, "the next one is published");
        assert!(kid_at(later + AHEAD_MS - 1) && !kid_at(later + AHEAD_MS));
        keys.turn(later + AHEAD_MS + AFTER_MS - 1).unwrap();
        assert_eq!(keys.public().len(), 2, "what the first has signed still holds");
        keys.turn(later + AHEAD_MS + AFTER_MS).unwrap();
        assert_eq!(keys.public().len(), 1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_algorithm_begins_when_its_key_was_published_for_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let open = |algorithm, now_ms| TokenKeys::open(Some(folder.path()), algorithm, now_ms).unwrap();
        let signs = |keys: &TokenKeys, now_ms| {
            let token = keys.sign(&json!({}), now_ms).unwrap();
            let public = keys.public();
            assert_eq!(jws::verify(&token, &public), Ok(()));
            let of = |key: &&PublicKey| jws::verify(&token, std::slice::from_ref(*key)).is_ok();
            public.iter().find(of).unwrap().algorithm
        };
        let first = open(Algorithm::EdDsa, NOW);
        assert_eq!(signs(&first, NOW), Algorithm::EdDsa);
        let later = NOW + AHEAD_MS;
        let changed = open(Algorithm::Es256, later);
        assert_eq!(changed.public().len(), 2);
        assert_eq!(signs(&changed, later + AHEAD_MS - 1), Algorithm::EdDsa);
        assert_eq!(signs(&changed, later + AHEAD_MS), Algorithm::Es256);
        // And back: the key is there still.
        let back = open(Algorithm::EdDsa, later + AHEAD_MS);
        assert_eq!((back.public().len(), signs(&back, later + AHEAD_MS)), (2, Algorithm::EdDsa));
    }
}
