//! What can go wrong with a store itself.

use crate::lsm::LsmError;

/// A store failed to read, write or open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the engine refused.
    #[error("the store cannot be used: {0}")]
    Unavailable(String),
    /// The answer to a commit was lost, and it could not be found out in time what became of it: it may be durable.
    #[error("it is not known whether it is durable: {0}")]
    Doubtful(String),
    /// The merchant's rows are on another shard, or are on their way there. Nothing was changed.
    #[error("the merchant's rows are on another shard")]
    Elsewhere,
    /// Two copies of the same differ.
    #[error("{0} differs at both ends; it is made anew")]
    Differs(&'static str),
    /// A row does not decode: damage, or a program older than the data.
    #[error("the store holds a row that cannot be read ({0})")]
    Corrupt(&'static str),
    /// Another process has it open.
    #[error("the store {0} is in use by another process; stop that process or choose another folder")]
    Locked(String),
    /// An unreleased program wrote it.
    #[error("the store was written by an unreleased Tollgate; start with an empty folder")]
    Unreadable,
    /// Its schema is older than this program's.
    #[error("the database's schema is {found}, this program needs {known}; run `tollgate migrate` first")]
    NotMigrated {
        /// Schema version of the database.
        found: u32,
        /// Schema version of this program.
        known: u32,
    },
    /// A newer program wrote it.
    #[error(
        "the store was written by a newer Tollgate (schema {found}, this program knows {known}); \
         start the newer program"
    )]
    Newer {
        /// Schema version of the data.
        found: u32,
        /// Schema version of this program.
        known: u32,
    },
}

impl From<LsmError> for StoreError {
    fn from(error: LsmError) -> Self {
        match error {
            LsmError::Foreign => Self::Unreadable,
            error => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
