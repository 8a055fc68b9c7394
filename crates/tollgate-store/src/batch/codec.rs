//! Rows as bytes: one byte of row version, then postcard.
//!
//! A row type that changes gets the next version byte and a reader for the old one, so that rows
//! can be brought up to date when they are next written.

use crate::error::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version rows have today, but for those that say otherwise.
const ROW_VERSION: u8 = 1;

/// A row's bytes.
pub(crate) fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, StoreError> {
    encode_version(ROW_VERSION, row)
}

/// A row's bytes, where its type has a version of its own.
pub(crate) fn encode_version<T: Serialize>(version: u8, row: &T) -> Result<Vec<u8>, StoreError> {
    let bytes = Vec::with_capacity(512);
    let mut bytes = postcard::to_extend(&version, bytes).map_err(|_| StoreError::Corrupt("version"))?;
    bytes = postcard::to_extend(row, bytes).map_err(|_| StoreError::Corrupt("row to write"))?;
    Ok(bytes)
}

/// The row of these bytes; `what` names it in an error.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, StoreError> {
    decode_version(ROW_VERSION, bytes, what)
}

/// The row that these bytes begin with, and what is behind it.
pub(crate) fn decode_first<'a, T: DeserializeOwned>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<(T, &'a [u8]), StoreError> {
    match bytes.split_first() {
        Some((&ROW_VERSION, rest)) => postcard::take_from_bytes(rest).map_err(|_| StoreError::Corrupt(what)),
        _ => Err(StoreError::Corrupt(what)),
    }
}

/// What stands behind a row of this type.
pub(crate) fn behind<'a, T: DeserializeOwned>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<&'a [u8], StoreError> {
    decode_first::<T>(bytes, what).map(|(_, rest)| rest)
}

/// The row of these bytes, where its type has a version of its own.
pub(crate) fn decode_version<T: DeserializeOwned>(
    version: u8,
    bytes: &[u8],
    what: &'static str,
) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((found, rest)) if *found == version => {
            postcard::from_bytes(rest).map_err(|_| StoreError::Corrupt(what))
        }
        _ => Err(StoreError::Corrupt(what)),
    }
}
