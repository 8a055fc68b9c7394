//! The one small trait every candidate is measured through.

use std::{error::Error, path::Path};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What each engine may use for its block or page cache, in bytes.
pub const CACHE_BYTES: usize = 256 << 20;

/// The tables of the row set; the discriminant indexes each engine's list of handles.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    Payment,
    Attempt,
    OpenAttempt,
    UserIndex,
    Idempotency,
    Event,
    Outbox,
    Ledger,
    Balance,
}

pub const TABLES: [&str; 9] = [
    "payment",
    "attempt",
    "open_attempt",
    "user_index",
    "idempotency",
    "event",
    "outbox",
    "ledger",
    "balance",
];

/// One change of one row: a value to put, or `None` to remove the row.
pub struct Op {
    pub table: Table,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// An open database. Dropping it is the clean close.
pub trait Engine {
    /// Opens the database in `dir`, creating it if there is none, and recovers it if need be.
    fn open(dir: &Path) -> Result<Self>
    where
        Self: Sized;
    /// Applies all changes or none; returns only once they are on disk.
    fn commit(&mut self, ops: &[Op]) -> Result<()>;
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>>;
    /// The values of the `limit` last keys between `from` and `to`, last first.
    fn newest(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Vec<u8>>>;
}
