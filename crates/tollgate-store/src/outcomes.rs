//! The log of what became of webhook deliveries, for who tells others of it.
//!
//! Each shard has one, with numbers of its own. What a [`crate::jobs::Work`] settles is in it by the same commit, if the
//! work says so ([`crate::jobs::Work::outcomes`]); without it nothing is written. Numbers become visible in their order
//! and without gaps, so a reader that goes on behind the last it has read misses nothing.

use tollgate_core::webhook::outcome::WebhookOutcome;

/// How long outcomes are kept, whether somebody has read them or not.
pub const OUTCOMES_KEPT_MS: u64 = 7 * 86_400_000;

/// How often it is looked whether some have outlived their time, where none are written.
pub(crate) const FORGET_EVERY_MS: u64 = 60_000;

/// Most that are removed at once then.
pub(crate) const FORGOTTEN_AT_ONCE: usize = 2_000;

/// Most that make room for a new one.
pub(crate) const DROPPED_FOR_ONE: usize = 4;

/// An outcome as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeRecord {
    /// Its place in its shard's log, without gaps, from 1.
    pub sequence: u64,
    /// What happened.
    pub outcome: WebhookOutcome,
}
