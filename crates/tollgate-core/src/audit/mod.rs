//! The audit log: who did what, when, from where, to what, and what it was before and after, as a chain of
//! hashes.
//!
//! An entry is masked when it is made ([`mask`]), so that no secret can be in one. How the chain is read again
//! and what is found wrong with it is in [`verify`].

pub mod key;
pub mod mask;
pub mod verify;

use crate::actor::{Actor, Origin};
use crate::id::MerchantId;
use crate::json;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Most bytes of an entry's `before` or `after`; of longer ones their length and digest are kept.
pub const SHOWN_BYTES_MAX: usize = 16 * 1024;

/// By whom, from where and when something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl By {
    /// The gateway itself, at this time.
    #[must_use]
    pub fn system(at_ms: u64) -> Self {
        Self { actor: Actor::System, origin: Origin::default(), at_ms }
    }

    /// Somebody at the command line, at this time.
    #[must_use]
    pub fn command_line(account: String, at_ms: u64) -> Self {
        Self { actor: Actor::CommandLine(account), origin: Origin::default(), at_ms }
    }
}

/// What something was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its kind, such as `api_key`.
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// One entry before it has its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    at_ms: u64,
    actor: String,
    ip: Option<String>,
    request_id: Option<String>,
    action: String,
    subject: Subject,
    merchant_id: Option<MerchantId>,
    before: Option<String>,
    after: Option<String>,
}

impl AuditEntry {
    /// An entry about something. `action` is a stable name with dots.
    #[must_use]
    pub fn new(by: &By, action: &str, kind: &str, id: String) -> Self {
        Self {
            at_ms: by.at_ms,
            actor: by.actor.to_string(),
            ip: by.origin.ip.map(|ip| ip.to_string()),
            request_id: by.origin.request_id.clone(),
            action: action.to_owned(),
            subject: Subject { kind: kind.to_owned(), id },
            merchant_id: None,
            before: None,
            after: None,
        }
    }

    /// The same, about something of a merchant.
    #[must_use]
    pub fn of(mut self, merchant_id: MerchantId) -> Self {
        self.merchant_id = Some(merchant_id);
        self
    }

    /// The same, with what was and what is now, secrets masked.
    #[must_use]
    pub fn change(mut self, before: Option<Value>, after: Option<Value>) -> Self {
        self.before = before.map(shown);
        self.after = after.map(shown);
        self
    }

    /// When, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// Who.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// From which address.
    #[must_use]
    pub fn ip(&self) -> Option<&str> {
        self.ip.as_deref()
    }

    /// In which request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// What was done.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// To what.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whose it is.
    #[must_use]
    pub const fn merchant_id(&self) -> Option<MerchantId> {
        self.merchant_id
    }

    /// What it was before, as JSON.
    #[must_use]
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// What it was afterwards, as JSON.
    #[must_use]
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }
}

/// A masked text of bounded length.
fn shown(value: Value) -> String {
    let text = mask::masked(value).to_string();
    if text.len() <= SHOWN_BYTES_MAX {
        return text;
    }
    let digest = hex(&Sha256::digest(text.as_bytes()).into());
    json!({"too_long": true, "bytes": text.len(), "digest": digest}).to_string()
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Counts from 1 without a gap.
    pub sequence: u64,
    /// The hash of the record before; zeros before the first.
    pub previous: [u8; 32],
    /// What was done.
    pub entry: AuditEntry,
    /// SHA-256 of all of the above: [`AuditRecord::right_hash`].
    pub hash: [u8; 32],
}

impl AuditRecord {
    /// The hash this record should have.
    ///
    /// Over `tollgate audit v1` and a zero byte; the sequence number (8 bytes, big-endian); the hash before
    /// (32 bytes); the time (8 bytes); then each text of actor, address, request, action, subject's kind and
    /// id, merchant, before and after: its length (4 bytes) and its bytes. What is absent has the length
    /// `ffffffff`.
    #[must_use]
    pub fn right_hash(&self) -> [u8; 32] {
        let entry = &self.entry;
        let merchant = entry.merchant_id.map(|id| id.to_string());
        let mut hasher = Sha256::new();
        hasher.update(b"tollgate audit v1\0");
        hasher.update(self.sequence.to_be_bytes());
        hasher.update(self.previous);
        hasher.update(entry.at_ms.to_be_bytes());
        for text in [
            Some(entry.actor.as_str()),
            entry.ip.as_deref(),
            entry.request_id.as_deref(),
            Some(entry.action.as_str()),
            Some(entry.subject.kind.as_str()),
            Some(entry.subject.id.as_str()),
            merchant.as_deref(),
            entry.before.as_deref(),
            entry.after.as_deref(),
        ] {
            let length = text.and_then(|text| u32::try_from(text.len()).ok()).unwrap_or(u32::MAX);
            hasher.update(length.to_be_bytes());
            hasher.update(text.unwrap_or_default());
        }
        hasher.finalize().into()
    }

    /// The record as one line of an export.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let entry = &self.entry;
        let read = |text: &String| json::read(text).unwrap_or(Value::Null);
        json!({
            "sequence": self.sequence,
            "at_ms": entry.at_ms,
            "actor": entry.actor,
            "ip": entry.ip,
            "request_id": entry.request_id,
            "action": entry.action,
            "subject": {"type": entry.subject.kind, "id": entry.subject.id},
            "merchant": entry.merchant_id.map(|id| id.to_string()),
            "before": entry.before.as_ref().map(read),
            "after": entry.after.as_ref().map(read),
            "previous": hex(&self.previous),
            "hash": hex(&self.hash),
        })
    }
}

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// How many records there are.
    pub count: u64,
    /// The last one's hash; zeros if there is none.
    pub last: [u8; 32],
}

impl Head {
    /// Gives an entry the next place.
    #[must_use]
    pub fn append(&mut self, entry: AuditEntry) -> AuditRecord {
        let mut record =
            AuditRecord { sequence: self.count.saturating_add(1), previous: self.last, entry, hash: [0; 32] };
        record.hash = record.right_hash();
        *self = Self { count: record.sequence, last: record.hash };
        record
    }
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}

/// Reads 32 bytes in hexadecimal.
#[must_use]
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|it| u8::try_from(it).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 64).then(|| bytes.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by() -> By {
        let origin = Origin { ip: Some("192.0.2.7".parse().unwrap()), request_id: Some("r1".to_owned()) };
        By { actor: Actor::CommandLine("ops".to_owned()), origin, at_ms: 1_700_000_000_000 }
    }

    #[test]
    fn the_hash_is_what_its_description_says() {
        let entry = AuditEntry::new(&by(), "policy.put", "policy", "fraud".to_owned())
            .change(None, Some(json!({"a": 1})));
        let record = Head::default().append(entry);
        let mut bytes = b"tollgate audit v1\0".to_vec();
        bytes.extend(1_u64.to_be_bytes());
        bytes.extend([0; 32]);
        bytes.extend(1_700_000_000_000_u64.to_be_bytes());
        for text in ["command_line:ops", "192.0.2.7", "r1", "policy.put", "policy", "fraud"] {
            bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend([0xff; 8]);
        bytes.extend(7_u32.to_be_bytes());
        bytes.extend(br#"{"a":1}"#);
        assert_eq!(record.hash, <[u8; 32]>::from(Sha256::digest(&bytes)));
    }

    #[test]
    fn entries_are_masked_and_bounded() {
        let entry = AuditEntry::new(&by(), "x.y", "x", "1".to_owned())
            .change(Some(json!({"secret": "hush"})), Some(json!({"long": "a b ".repeat(9_000)})));
        assert_eq!(entry.before(), Some(r#"{"secret":"***"}"#));
        let after: Value = serde_json::from_str(entry.after().unwrap()).unwrap();
        assert_eq!(after["too_long"], true);
        assert!(entry.after().unwrap().len() < 200);
    }

    #[test]
    fn hexadecimal() {
        let bytes: [u8; 32] = std::array::from_fn(|place| u8::try_from(place * 8).unwrap());
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        for wrong in ["", "0", &"g".repeat(64), &"0".repeat(66)] {
            assert_eq!(unhex(wrong), None);
        }
    }
}
