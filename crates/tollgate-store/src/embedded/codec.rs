//! Rows as bytes: one byte of row version, then postcard.
//!
//! A row type that changes gets the next version byte and a reader for the old one, so that rows
//! can be brought up to date when they are next written.

use crate::error::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version all rows have today.
const ROW_VERSION: u8 = 1;

/// A row's bytes.
pub(super) fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, StoreError> {
    let bytes = Vec::with_capacity(512);
    let mut bytes = postcard::to_extend(&ROW_VERSION, bytes).map_err(|_| StoreError::Corrupt("version"))?;
    bytes = postcard::to_extend(row, bytes).map_err(|_| StoreError::Corrupt("row to write"))?;
    Ok(bytes)
}

/// The row of these bytes; `what` names it in an error.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&ROW_VERSION, rest)) => postcard::from_bytes(rest).map_err(|_| StoreError::Corrupt(what)),
        _ => Err(StoreError::Corrupt(what)),
    }
}
