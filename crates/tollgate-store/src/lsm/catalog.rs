//! Which keyspaces there are.
//!
//! One small file, written anew whenever one comes or goes: a checksum and the list. Numbers are never used twice, so the journal may still
//! name a keyspace that was deleted.

use crate::lsm::error::LsmError;
use crate::lsm::keyspace::KeyspaceOptions;
use crate::lsm::segment::sync_folder;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

const NAME: &str = "catalog";
const MAGIC: &[u8; 8] = b"TGcatlg1";

/// A keyspace's entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) options: KeyspaceOptions,
}

/// All entries, and the number that the next one gets.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Catalog {
    pub(super) next: u32,
    pub(super) entries: Vec<Entry>,
}

impl Catalog {
    /// Reads a folder's; none: there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, LsmError> {
        let bytes = match std::fs::read(folder.join(NAME)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = || LsmError::Damaged("the list of keyspaces".to_owned());
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (checksum, list) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        if xxh3_64(list) != u64::from_le_bytes(*checksum) {
            return Err(damaged());
        }
        postcard::from_bytes(list).map(Some).map_err(|_| damaged())
    }

    /// Writes it durably, in one step.
    pub(super) fn write(&self, folder: &Path) -> Result<(), LsmError> {
        let list = postcard::to_stdvec(self).map_err(std::io::Error::other)?;
        let unfinished = folder.join("catalog.new");
        let mut file = File::create(&unfinished)?;
        file.write_all(MAGIC)?;
        file.write_all(&xxh3_64(&list).to_le_bytes())?;
        file.write_all(&list)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, folder.join(NAME))?;
        sync_folder(folder)?;
        Ok(())
    }
}
