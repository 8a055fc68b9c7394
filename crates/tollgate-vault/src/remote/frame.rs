//! What goes over the wire: a length of four bytes, most significant first, a version byte, and a
//! request or reply in postcard. One request at a time on a connection.

use crate::{CardOnFile, CardToken, Fingerprint, Owner, ProofToken, VaultError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};
use tollgate_core::card::Secret;
use tollgate_core::id::MerchantId;
use tollgate_core::method::CardSummary;
use zeroize::Zeroize;

/// Longest frame, without the bytes of its length.
pub const FRAME_LENGTH_MAX: usize = 64 << 10;

/// The version of the protocol.
const VERSION: u8 = 1;

/// What the gateway asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Whether the server takes this connection. Sent before anything else.
    Hello,
    /// See `CardVault::describe`.
    Describe { merchant_id: MerchantId, token: CardToken, now_ms: u64 },
    /// See `CardVault::store`.
    Store { merchant_id: MerchantId, owner: Owner, held: CardToken, now_ms: u64 },
    /// See `CardVault::release`.
    Release { merchant_id: MerchantId, token: CardToken, proof: Option<ProofToken> },
    /// See `CardVault::hold_proof`; security codes do not go this way, cryptograms do.
    HoldCryptogram { merchant_id: MerchantId, cryptogram: WireSecret, eci: Option<String>, now_ms: u64 },
    /// See `CardVault::delete`.
    Delete { merchant_id: MerchantId, token: CardToken, now_ms: u64 },
    /// See `CardVault::shred`.
    Shred { merchant_id: MerchantId, now_ms: u64 },
    /// Something that needs a clear card.
    Perform { payload: Vec<u8> },
    /// See `CardVault::seal`.
    Seal { merchant_id: MerchantId, name: String, plain: WireBytes, now_ms: u64 },
    /// See `CardVault::open`.
    Open { merchant_id: MerchantId, name: String, sealed: Vec<u8>, now_ms: u64 },
}

/// What the vault answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Done.
    Done,
    /// A card.
    Card(WireCard),
    /// A proof is held.
    Proof(ProofToken),
    /// What was performed answered this.
    Performed(Vec<u8>),
    /// Not done.
    Failed(WireError),
    /// The frame is none that the vault knows; nothing was done.
    Refused,
    /// A secret, sealed.
    Sealed(Vec<u8>),
    /// A secret in clear.
    Opened(WireBytes),
}

/// A secret on the wire: cannot be printed.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct WireSecret(String);

impl WireSecret {
    pub(super) fn new(secret: &Secret) -> Self {
        Self(secret.expose().to_owned())
    }

    pub(super) fn into_secret(mut self) -> Secret {
        Secret::new(std::mem::take(&mut self.0))
    }
}

impl std::fmt::Debug for WireSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WireSecret(hidden)")
    }
}

impl Drop for WireSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A secret of bytes on the wire: cannot be printed.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct WireBytes(Vec<u8>);

impl WireBytes {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for WireBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WireBytes(hidden)")
    }
}

impl Drop for WireBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// [`CardOnFile`] on the wire.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WireCard {
    token: CardToken,
    summary: CardSummary,
    fingerprint: Fingerprint,
    stored: bool,
}

impl From<CardOnFile> for WireCard {
    fn from(card: CardOnFile) -> Self {
        let CardOnFile { token, summary, fingerprint, stored } = card;
        Self { token, summary, fingerprint, stored }
    }
}

impl From<WireCard> for CardOnFile {
    fn from(card: WireCard) -> Self {
        let WireCard { token, summary, fingerprint, stored } = card;
        Self { token, summary, fingerprint, stored }
    }
}

/// [`VaultError`] on the wire.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum WireError {
    Full,
    NotFound,
    Unreadable,
    Shredded,
    Apart,
    Unavailable,
    NoKey,
}

impl From<VaultError> for WireError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Full => Self::Full,
            VaultError::NotFound => Self::NotFound,
            VaultError::Unreadable => Self::Unreadable,
            VaultError::Shredded => Self::Shredded,
            VaultError::Apart => Self::Apart,
            VaultError::Unavailable => Self::Unavailable,
            VaultError::NoKey => Self::NoKey,
        }
    }
}

impl From<WireError> for VaultError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Full => Self::Full,
            WireError::NotFound => Self::NotFound,
            WireError::Unreadable => Self::Unreadable,
            WireError::Shredded => Self::Shredded,
            WireError::Apart => Self::Apart,
            WireError::Unavailable => Self::Unavailable,
            WireError::NoKey => Self::NoKey,
        }
    }
}

/// A whole frame; none if the message is too long for one.
pub(super) fn encode<T: Serialize>(message: &T) -> Option<Vec<u8>> {
    let mut frame = postcard::to_extend(message, vec![0, 0, 0, 0, VERSION]).ok()?;
    let length = frame.len() - 4;
    if length > FRAME_LENGTH_MAX {
        return None;
    }
    frame.get_mut(..4)?.copy_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
    Some(frame)
}

/// The message of a frame without its length.
pub(super) fn decode<T: DeserializeOwned>(frame: &[u8]) -> Option<T> {
    match frame.split_first() {
        Some((&VERSION, message)) => match postcard::take_from_bytes(message) {
            Ok((message, [])) => Some(message),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a frame without its length is a message of the protocol, of either side.
#[must_use]
pub fn is_message(frame: &[u8]) -> bool {
    decode::<Request>(frame).is_some() || decode::<Reply>(frame).is_some()
}

/// Reads the length of the next frame: none at the end of the stream.
pub(super) async fn read_length(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<usize>> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..]).await?;
    match usize::try_from(u32::from_be_bytes(length)) {
        Ok(length) if (1..=FRAME_LENGTH_MAX).contains(&length) => Ok(Some(length)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the frame has a length out of bounds")),
    }
}

/// Reads a frame of this length.
pub(super) async fn read_body(stream: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_bounded_and_versioned() {
        let frame = encode(&Request::Perform { payload: b"charge".to_vec() }).unwrap();
        assert_eq!(frame[..5], [0, 0, 0, 9, VERSION]);
        assert!(
            matches!(decode::<Request>(&frame[4..]), Some(Request::Perform { payload }) if payload == b"charge")
        );
        let mut wrong = frame[4..].to_vec();
        wrong[0] = 2;
        assert!(decode::<Request>(&wrong).is_none());
        assert!(decode::<Request>(&[&frame[4..], &[0]].concat()).is_none());
        assert!(decode::<Request>(&[VERSION, 99]).is_none() && decode::<Request>(&[]).is_none());
        assert!(encode(&Request::Perform { payload: vec![0; FRAME_LENGTH_MAX] }).is_none());
        assert!(encode(&Request::Perform { payload: vec![0; FRAME_LENGTH_MAX - 8] }).is_some());
    }
}
