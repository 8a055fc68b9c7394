//! What the vault's store holds: its tables, their keys and rows.
//!
//! | table | key | row |
//! |---|---|---|
//! | `meta` | name | see the constants |
//! | `merchants` | merchant | [`MerchantRow`] |
//! | `keys` | merchant, version | [`WrappedRow`] |
//! | `cards` | merchant, token | [`CardRow`] |
//! | `fingerprints` | merchant, digest of owner and fingerprint | token |
//! | `audit` | sequence | the record and its MAC |
//!
//! A row is one byte of row version, then postcard.

use crate::envelope::{self, Key, OpenFailed};
use crate::{CardToken, Fingerprint, Owner};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tollgate_core::card::{CardNumber, CardSecret, NetworkToken, Secret};
use tollgate_core::id::MerchantId;
use tollgate_core::method::CardSummary;
use zeroize::Zeroizing;

/// The version rows have today.
const ROW_VERSION: u8 = 1;

/// The format of what is inside a card's ciphertext.
const CARD_FORMAT: u8 = 1;

/// Plaintexts are filled up to a multiple of this: their length tells neither a number's nor a name's.
const PADDING: usize = 64;

/// The schema's version.
pub(crate) const META_SCHEMA: &[u8] = b"schema_version";
/// [`MasterRow`].
pub(crate) const META_MASTER: &[u8] = b"master";
/// [`WrappedRow`] of the key of fingerprints.
pub(crate) const META_FINGERPRINT_KEY: &[u8] = b"fingerprint_key";
/// [`WrappedRow`] of the key of the audit chain.
pub(crate) const META_AUDIT_KEY: &[u8] = b"audit_key";
/// The end of the audit chain.
pub(crate) const META_AUDIT_HEAD: &[u8] = b"audit_head";
/// The data-key rotation under way.
pub(crate) const META_ROTATION: &[u8] = b"rotation";

/// A row does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row cannot be read")]
pub(crate) struct RowError;

/// A row's bytes.
pub(crate) fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    // Rows are plain data: they always encode. An empty row would be refused when it is read.
    postcard::to_extend(row, vec![ROW_VERSION]).unwrap_or_default()
}

/// The row of these bytes.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RowError> {
    match bytes.split_first() {
        Some((&ROW_VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((row, [])) => Ok(row),
            _ => Err(RowError),
        },
        _ => Err(RowError),
    }
}

/// Which master key the vault is under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MasterRow {
    /// The key everything was wrapped by before a rotation began.
    pub(crate) current: String,
    /// The check value wrapped by it.
    pub(crate) check: Vec<u8>,
    /// The key that everything is being wrapped by, and the check value wrapped by it.
    pub(crate) next: Option<(String, Vec<u8>)>,
}

impl MasterRow {
    /// The key that new keys are wrapped by.
    pub(crate) fn wraps(&self) -> &str {
        self.next.as_ref().map_or(self.current.as_str(), |(id, _)| id)
    }
}

/// A key wrapped by a master key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WrappedRow {
    pub(crate) master: String,
    pub(crate) wrapped: Vec<u8>,
}

/// A merchant that has stored cards, or whose cards were destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MerchantRow {
    /// The version of the data key that cards are encrypted with; 0 if there never was one.
    pub(crate) version: u32,
    /// The data-key rotation that made this version.
    pub(crate) rotation: u64,
    /// When its keys were destroyed.
    pub(crate) shredded_at_ms: Option<u64>,
}

/// What is known of a stored card in clear. Bound to its ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CardClear {
    pub(crate) summary: CardSummary,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) owner: Owner,
    pub(crate) created_at_ms: u64,
    pub(crate) updated_at_ms: u64,
}

/// A stored card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CardRow {
    pub(crate) format: u8,
    /// The version of the merchant's data key.
    pub(crate) key_version: u32,
    pub(crate) clear: CardClear,
    pub(crate) sealed: Vec<u8>,
}

/// What is inside a card's ciphertext; the expiry is in the clear part, which is bound to it.
#[derive(Serialize, Deserialize)]
struct CardInside<'a> {
    number: &'a str,
    holder: Option<&'a str>,
}

impl CardRow {
    fn bound_to(&self, merchant_id: MerchantId, token: CardToken) -> Vec<u8> {
        let mut bytes = b"tollgate card\0".to_vec();
        bytes.push(self.format);
        bytes.extend_from_slice(&merchant_id.to_bytes());
        bytes.extend_from_slice(&token.to_bytes());
        bytes.extend_from_slice(&self.key_version.to_be_bytes());
        bytes.extend_from_slice(&encode(&self.clear));
        bytes
    }

    /// Encrypts a card: number and holder's name inside, never its security code or cryptogram.
    pub(crate) fn seal(
        merchant_id: MerchantId,
        token: CardToken,
        (key_version, key): (u32, &Key),
        clear: CardClear,
        card: &CardSecret,
    ) -> Self {
        let inside = CardInside { number: card.number.expose(), holder: card.holder.as_deref() };
        // Room enough from the start: a vector that grows leaves copies behind.
        let length = (card.number.expose().len() + card.holder.as_ref().map_or(0, String::len) + 16)
            .next_multiple_of(PADDING);
        let room = Vec::with_capacity(length);
        let mut plain = Zeroizing::new(postcard::to_extend(&inside, room).unwrap_or_default());
        plain.resize(length, 0);
        let mut row = Self { format: CARD_FORMAT, key_version, clear, sealed: Vec::new() };
        row.sealed = envelope::seal(key, &row.bound_to(merchant_id, token), &plain);
        row
    }

    /// Decrypts the card. A stored network token comes back with an empty cryptogram: each use needs a
    /// fresh one.
    pub(crate) fn open(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        key: &Key,
    ) -> Result<CardSecret, OpenFailed> {
        if self.format != CARD_FORMAT {
            return Err(OpenFailed);
        }
        let plain = envelope::open(key, &self.bound_to(merchant_id, token), &self.sealed)?;
        let (inside, _) = postcard::take_from_bytes::<CardInside<'_>>(&plain).map_err(|_| OpenFailed)?;
        let summary = &self.clear.summary;
        Ok(CardSecret {
            number: CardNumber::parse(inside.number).map_err(|_| OpenFailed)?,
            exp_month: summary.exp_month,
            exp_year: summary.exp_year,
            cvc: None,
            holder: inside.holder.map(str::to_owned),
            network_token: summary
                .network_token
                .then(|| NetworkToken { cryptogram: Secret::new(""), eci: None }),
        })
    }
}

/// What a data key is bound to.
pub(crate) fn data_key_use(merchant_id: MerchantId, version: u32) -> Vec<u8> {
    let mut bytes = b"tollgate data key v1\0".to_vec();
    bytes.extend_from_slice(&merchant_id.to_bytes());
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes
}

/// What the vault's own keys are bound to.
pub(crate) fn own_key_use(name: &[u8]) -> Vec<u8> {
    [b"tollgate vault key v1\0", name].concat()
}

/// A key of `keys`.
pub(crate) fn versioned(merchant_id: MerchantId, version: u32) -> Vec<u8> {
    [merchant_id.to_bytes().as_slice(), &version.to_be_bytes()].concat()
}

/// A key of `cards` and `fingerprints`.
pub(crate) fn owned(merchant_id: MerchantId, id: [u8; 16]) -> Vec<u8> {
    [merchant_id.to_bytes(), id].concat()
}

/// The halves of such a key.
pub(crate) fn owner_and_id(key: &[u8]) -> Option<(MerchantId, [u8; 16])> {
    let (merchant, id) = key.split_first_chunk::<16>()?;
    Some((MerchantId::from_bytes(*merchant), id.try_into().ok()?))
}

/// The key that follows right after this one.
pub(crate) fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}
