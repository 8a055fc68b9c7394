//! Master keys: what wraps the keys of the vault. [`MasterSource`] says where one comes from.

mod local;
mod pkcs11;
mod source;

use crate::envelope::Key;
use std::fmt::Debug;

pub use local::LocalMaster;
pub use pkcs11::{PinSource, Pkcs11Config, Pkcs11Master};
pub use source::MasterSource;

/// Why a master key cannot be had or used. Carries nothing of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MasterError {
    /// It cannot be had; the text says why.
    #[error("{0}")]
    Source(String),
    /// What holds the key does not answer.
    #[error("the master key cannot be reached: {0}")]
    Unreachable(String),
    /// What is to be unwrapped was altered, belongs elsewhere, or was wrapped by another key.
    #[error("the key cannot be unwrapped")]
    Refused,
}

/// Wraps and unwraps the keys of the vault. Its own key may be where this process never sees it.
pub trait MasterKey: Send + Sync + Debug {
    /// Names the key; the same key has the same id at every start. Shown and stored in clear.
    fn id(&self) -> &str;

    /// Wraps a key, bound to what it is for.
    ///
    /// # Errors
    /// [`MasterError`].
    fn wrap(&self, key: &Key, bound_to: &[u8]) -> Result<Vec<u8>, MasterError>;

    /// Unwraps a key that was wrapped for the same use.
    ///
    /// # Errors
    /// [`MasterError`].
    fn unwrap(&self, wrapped: &[u8], bound_to: &[u8]) -> Result<Key, MasterError>;
}
