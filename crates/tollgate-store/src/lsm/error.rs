//! What can go wrong with the engine.

/// The engine failed to read, write or open.
#[derive(Debug, thiserror::Error)]
pub enum LsmError {
    /// The disk refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A tree's files cannot be read or written.
    #[error("{0}")]
    Tree(#[from] lsm_tree::Error),
    /// Another process has it open.
    #[error("in use by another process")]
    Locked,
    /// Another engine wrote what is there.
    #[error("written by another engine")]
    Foreign,
    /// Something that was durable cannot be read any more.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A write or a flush failed before: what is on disk is not known, so nothing more is written.
    #[error("a write failed before; start the program again once the disk is mended")]
    Failed,
    /// The keyspace was deleted.
    #[error("the keyspace was deleted")]
    Gone,
    /// A key is empty or longer than 65,535 bytes, or a row is longer than four gigabytes.
    #[error("a key or a row has a length that cannot be stored")]
    Length,
}
