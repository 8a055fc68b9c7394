//! A master key in this process's memory.

use super::{MasterError, MasterKey};
use crate::envelope::{self, Key};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A master key in memory. Its id says nothing about it.
#[derive(Debug)]
pub struct LocalMaster {
    id: String,
    key: Key,
}

impl LocalMaster {
    /// Of a key.
    #[must_use]
    pub fn new(key: Key) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.expose()).expect("any key length");
        mac.update(b"tollgate master key id v1");
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        Self { id: format!("local:{}", hex::encode(&digest[..8])), key }
    }
}

impl MasterKey for LocalMaster {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap(&self, key: &Key, bound_to: &[u8]) -> Result<Vec<u8>, MasterError> {
        Ok(envelope::seal(&self.key, bound_to, key.expose()))
    }

    fn unwrap(&self, wrapped: &[u8], bound_to: &[u8]) -> Result<Key, MasterError> {
        let plain = envelope::open(&self.key, bound_to, wrapped).map_err(|_| MasterError::Refused)?;
        Key::from_slice(&plain).ok_or(MasterError::Refused)
    }
}
