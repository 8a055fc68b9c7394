//! The audit trail: who took which card out, when and what for, as a chain of MACs whose end is kept
//! beside it. Whoever lacks its key can neither change, drop nor reorder a record unnoticed.

use crate::envelope::Key;
use crate::rows::{decode, encode};
use crate::{CardToken, VaultError};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;
use tollgate_core::id::{MerchantId, PaymentId};

/// What was done, or tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditAction {
    /// The vault was made.
    Create,
    /// A card was stored, or its expiry was.
    Store,
    /// A stored card was handed out in clear.
    Withdraw,
    /// A held card was handed out in clear.
    WithdrawHeld,
    /// A card was deleted.
    Delete,
    /// A merchant's keys were destroyed.
    Shred,
    /// A rotation of the master key began.
    RotateMaster,
    /// It ended: the old master key is of no use any more.
    RotateMasterDone,
    /// A rotation of the data keys began.
    RotateData,
    /// It ended: the old data keys are destroyed.
    RotateDataDone,
    /// A rotation met a card that it could not decrypt.
    Recrypt,
    /// A secret that is no card was sealed.
    Seal,
    /// A secret that is no card was handed out in clear.
    Open,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditResult {
    /// Done.
    Done,
    /// The merchant has no such token; it may be another merchant's.
    NotFound,
    /// What is stored does not decrypt.
    Unreadable,
    /// The merchant's cards have been destroyed.
    Shredded,
    /// The master key or the store did not answer.
    Unavailable,
}

impl From<VaultError> for AuditResult {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NotFound => Self::NotFound,
            VaultError::Unreadable => Self::Unreadable,
            VaultError::Shredded => Self::Shredded,
            VaultError::Full | VaultError::Apart | VaultError::NoKey | VaultError::Unavailable => {
                Self::Unavailable
            }
        }
    }
}

/// What it was done for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditPurpose {
    /// What the action itself says.
    None,
    /// To send this payment's charge.
    Charge(PaymentId),
    /// A rotation to this master key.
    Master(String),
}

/// One entry before it has its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at_ms: u64,
    pub(crate) merchant_id: Option<MerchantId>,
    pub(crate) token: Option<CardToken>,
    pub(crate) action: AuditAction,
    pub(crate) purpose: AuditPurpose,
    pub(crate) result: AuditResult,
}

/// One record of the audit trail. Holds nothing of a card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Counts from 1 without a gap.
    pub sequence: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whose card.
    pub merchant_id: Option<MerchantId>,
    /// Which card.
    pub token: Option<CardToken>,
    /// What.
    pub action: AuditAction,
    /// What for.
    pub purpose: AuditPurpose,
    /// With what result.
    pub result: AuditResult,
    /// The MAC of the record before; zeros before the first.
    pub previous: [u8; 32],
}

impl fmt::Debug for AuditRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for AuditRecord {
    /// One line: sequence, time, action, result, merchant, token, purpose, hash of the record before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?} {:?}", self.sequence, self.at_ms, self.action, self.result)?;
        match self.merchant_id {
            Some(merchant_id) => write!(f, " {merchant_id}")?,
            None => f.write_str(" -")?,
        }
        match self.token {
            Some(token) => write!(f, " {token}")?,
            None => f.write_str(" -")?,
        }
        match &self.purpose {
            AuditPurpose::None => f.write_str(" -")?,
            AuditPurpose::Charge(payment_id) => write!(f, " charge:{payment_id}")?,
            AuditPurpose::Master(id) => write!(f, " master:{id}")?,
        }
        write!(f, " {}", hex::encode(self.previous))
    }
}

/// A record as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct AuditRow {
    record: AuditRecord,
    mac: [u8; 32],
}

/// The end of the chain as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct HeadRow {
    sequence: u64,
    last: [u8; 32],
    mac: [u8; 32],
}

/// What is wrong with the audit trail, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// A record was altered.
    #[error("audit record {0} was altered")]
    Altered(u64),
    /// A record is missing, or stands in another's place.
    #[error("audit record {0} is missing or out of its place")]
    Missing(u64),
    /// The end of the chain was altered.
    #[error("the end of the audit trail was altered")]
    Head,
    /// The trail ends elsewhere than its end says.
    #[error("the audit trail ends at record {found} instead of {expected}")]
    Cut {
        /// The last record there is.
        found: u64,
        /// The last record there should be.
        expected: u64,
    },
    /// The store cannot be read.
    #[error("the audit trail cannot be read: {0}")]
    Store(String),
}

fn mac(key: &Key, name: &[u8], bytes: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.expose()).expect("any key length");
    mac.update(name);
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

fn record_mac(key: &Key, record: &AuditRecord) -> [u8; 32] {
    mac(key, b"tollgate audit record v1\0", &encode(record))
}

fn head_mac(key: &Key, sequence: u64, last: &[u8; 32]) -> [u8; 32] {
    mac(key, b"tollgate audit head v1\0", &[sequence.to_be_bytes().as_slice(), last].concat())
}

/// Where the chain ends.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    key: Key,
    pub(crate) sequence: u64,
    last: [u8; 32],
}

impl Chain {
    /// An empty chain.
    pub(crate) fn new(key: Key) -> Self {
        Self { key, sequence: 0, last: [0; 32] }
    }

    /// The chain with this end.
    pub(crate) fn of_head(key: Key, head: &[u8]) -> Result<Self, AuditFault> {
        let head: HeadRow = decode(head).map_err(|_| AuditFault::Head)?;
        let right = head_mac(&key, head.sequence, &head.last);
        if !bool::from(right.ct_eq(&head.mac)) {
            return Err(AuditFault::Head);
        }
        Ok(Self { key, sequence: head.sequence, last: head.last })
    }

    /// Adds a record; gives its key and row.
    pub(crate) fn add(&mut self, entry: Entry) -> ([u8; 8], Vec<u8>) {
        let record = AuditRecord {
            sequence: self.sequence + 1,
            at_ms: entry.at_ms,
            merchant_id: entry.merchant_id,
            token: entry.token,
            action: entry.action,
            purpose: entry.purpose,
            result: entry.result,
            previous: self.last,
        };
        self.sequence = record.sequence;
        self.last = record_mac(&self.key, &record);
        (record.sequence.to_be_bytes(), encode(&AuditRow { record, mac: self.last }))
    }

    /// The row of its end.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mac = head_mac(&self.key, self.sequence, &self.last);
        encode(&HeadRow { sequence: self.sequence, last: self.last, mac })
    }

    /// Takes the next row of a trail that is read again from its start.
    pub(crate) fn follow(&mut self, key: &[u8], row: &[u8]) -> Result<(), AuditFault> {
        let expected = self.sequence + 1;
        if key != expected.to_be_bytes() {
            return Err(AuditFault::Missing(expected));
        }
        let row: AuditRow = decode(row).map_err(|_| AuditFault::Altered(expected))?;
        if row.record.sequence != expected || row.record.previous != self.last {
            return Err(AuditFault::Missing(expected));
        }
        let right = record_mac(&self.key, &row.record);
        if !bool::from(right.ct_eq(&row.mac)) {
            return Err(AuditFault::Altered(expected));
        }
        self.sequence = expected;
        self.last = right;
        Ok(())
    }

    /// Whether a trail that was read whole ends where it should.
    pub(crate) fn ends_at(&self, end: &Self) -> Result<u64, AuditFault> {
        if self.sequence != end.sequence {
            return Err(AuditFault::Cut { found: self.sequence, expected: end.sequence });
        }
        if !bool::from(self.last.ct_eq(&end.last)) {
            return Err(AuditFault::Head);
        }
        Ok(self.sequence)
    }
}

/// The record of a row.
pub(crate) fn record_of(row: &[u8]) -> Option<AuditRecord> {
    decode::<AuditRow>(row).ok().map(|row| row.record)
}
