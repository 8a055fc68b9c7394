//! Jobs: work that has to be done some time, kept durably until it is.
//!
//! A job waits until its time, is leased to a worker for a while, and ends: done, dead or cancelled. A
//! worker that dies loses its lease, and the job is leased to another. So a job may be done more than
//! once, and never less: what it does must bear that.

use crate::id::{JobId, MerchantId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most bytes of a job's payload.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// Most bytes of a job's last error.
pub const ERROR_BYTES_MAX: usize = 512;

/// What a job is for. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobKind {
    /// Sends one event to one webhook endpoint.
    WebhookDelivery,
    /// Sends past events to a webhook endpoint again.
    WebhookReplay,
    /// Forgets a person.
    SubjectErasure,
}

impl JobKind {
    /// All.
    pub const ALL: [Self; 3] = [Self::WebhookDelivery, Self::WebhookReplay, Self::SubjectErasure];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebhookDelivery => "webhook_delivery",
            Self::WebhookReplay => "webhook_replay",
            Self::SubjectErasure => "subject_erasure",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where a job stands. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobState {
    /// It waits for its time, or for its turn.
    Waiting,
    /// A worker has it.
    Leased,
    /// It was done.
    Done,
    /// It was given up.
    Dead,
    /// Somebody did not want it any more.
    Cancelled,
}

impl JobState {
    /// All.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Leased, Self::Done, Self::Dead, Self::Cancelled];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing is to be done any more.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }
}

/// What shares its workers: a worker takes jobs lane by lane, so that a lane that is stuck keeps no other
/// waiting. An endpoint's id, a merchant's id.
pub type Lane = [u8; 16];

/// A place in a row of jobs of one lane that must be done one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Which row.
    pub key: [u8; 16],
    /// Its place there: lower comes first.
    pub order: u64,
}

/// A worker's right to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Which run of the program has it.
    pub owner: u64,
    /// Until when.
    pub until_ms: u64,
}

/// What a job must not keep longer than it lasts: wiped in the commit that ends it. Cannot be printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private(pub Vec<u8>);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private(hidden)")
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id: a job of this id is there once.
    pub id: JobId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// What for.
    pub kind: JobKind,
    /// What it shares workers with.
    pub lane: Lane,
    /// Whom it has to wait for, if for anybody.
    pub turn: Option<Turn>,
    /// What its worker needs to know.
    pub payload: Vec<u8>,
    /// What its worker needs to know until it has ended.
    pub private: Private,
    /// When it is to be done.
    pub run_at_ms: u64,
    /// Where it stands.
    pub state: JobState,
    /// Who has it.
    pub lease: Option<Lease>,
    /// How often it was tried to the end.
    pub attempts: u32,
    /// Why it was not done last time.
    pub last_error: Option<String>,
    /// Whether its row stays for a while after its end; else what it made has to tell of it.
    pub is_kept: bool,
    /// Whether another job's turn comes first.
    pub is_blocked: bool,
    /// When it was made.
    pub created_at_ms: u64,
    /// When it last changed.
    pub updated_at_ms: u64,
}

impl Job {
    /// A job to be done from `run_at_ms` on.
    #[must_use]
    pub const fn new(
        id: JobId,
        merchant_id: MerchantId,
        kind: JobKind,
        lane: Lane,
        payload: Vec<u8>,
        (run_at_ms, now_ms): (u64, u64),
    ) -> Self {
        Self {
            id,
            merchant_id,
            kind,
            lane,
            turn: None,
            payload,
            private: Private(Vec::new()),
            run_at_ms,
            state: JobState::Waiting,
            lease: None,
            attempts: 0,
            last_error: None,
            is_kept: false,
            is_blocked: false,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }

    /// When the queue looks at it next: never while another's turn comes first, not before its lease is over
    /// while it is leased.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        match self.lease {
            _ if self.is_blocked => u64::MAX,
            Some(lease) => lease.until_ms,
            None => self.run_at_ms,
        }
    }
}

/// The first bytes of a text, cut between characters.
#[must_use]
pub fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("abc".to_owned(), 3), "abc");
        assert_eq!(cut("aéb".to_owned(), 2), "a");
        assert_eq!(cut("é".to_owned(), 0), "");
    }

    #[test]
    fn the_queue_looks_at_a_job_when_it_could_be_taken() {
        let ids = (JobId::from_u128(1), MerchantId::from_u128(2));
        let mut job = Job::new(ids.0, ids.1, JobKind::WebhookDelivery, [0; 16], vec![], (50, 10));
        assert_eq!(job.due_ms(), 50);
        job.lease = Some(Lease { owner: 1, until_ms: 90 });
        assert_eq!(job.due_ms(), 90);
        job.is_blocked = true;
        assert_eq!(job.due_ms(), u64::MAX);
        job.private = Private(b"asha".to_vec());
        assert!(!format!("{job:?}").contains(&format!("{:?}", b"asha")));
    }
}
