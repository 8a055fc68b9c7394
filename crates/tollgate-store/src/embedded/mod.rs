//! The embedded store: an LSM tree inside the process, durable on every commit, one writer.
//!
//! Why this engine, with figures: `docs/store-engine.md`. Reads see only what is durable.

mod background;
mod backlog;
mod base;
mod people;
mod read;
mod risk;
mod schema;
mod tables;
mod windows;
mod writer;

use crate::anchor::{AnchorOptions, Anchors};
use crate::batch::job::{Job, begins, submit};
use crate::batch::outcomes::OutcomeLog;
use crate::batch::queue::Queue;
use crate::batch::{codec, keys, work};
use crate::commit::{Admin, Commit, CommitError, Committed, Upkeep};
use crate::error::StoreError;
use crate::jobs::{LeaseWish, Leased, Work, Worked};
use crate::lsm::{Database, KeyspaceOptions, LsmError, Options};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tables::Tables;
use tokio::sync::mpsc;
use tollgate_core::audit::{By, Head};
use tollgate_core::command::Policy;
use tollgate_core::share::Weights;

/// From how many commits on a batch lets the next one gather: an fsync of its own for fewer is no burden yet, and they are waited for.
const FEW: usize = 6;

/// How long closing takes at most: what has not been written out by then is in the journal.
const SETTLING: Duration = Duration::from_secs(10);

/// How an embedded store is opened.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Where the data is.
    pub folder: PathBuf,
    /// Commits that may wait before new ones are turned away.
    pub queue_length_max: usize,
    /// How long idempotency keys live.
    pub idempotency_ms: u64,
    /// Block cache, in bytes.
    pub cache_bytes: u64,
    /// Times that decisions need.
    pub policy: Policy,
    /// A number no earlier run of the program had: it tells live idempotency claims from dead ones.
    pub run: u64,
    /// Where the end of the audit log is noted outside of the store; none: nowhere.
    pub audit_anchor: Option<AnchorOptions>,
}

impl EmbeddedOptions {
    /// The defaults for a folder.
    #[must_use]
    pub fn new(folder: impl AsRef<Path>, run: u64) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            queue_length_max: 8_192,
            idempotency_ms: 86_400_000,
            cache_bytes: 64 << 20,
            policy: Policy::default(),
            run,
            audit_anchor: None,
        }
    }
}

/// A store inside this process.
pub struct EmbeddedStore {
    tables: Arc<Tables>,
    queue: Option<mpsc::Sender<Job>>,
    queue_length_max: usize,
    weights: Arc<Weights>,
    writer: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// Opens or makes a store.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it open, [`StoreError::Newer`] if a newer
    /// program wrote it.
    pub fn open(options: EmbeddedOptions) -> Result<Self, StoreError> {
        let folder = options.folder.display().to_string();
        std::fs::create_dir_all(&options.folder)?;
        let engine = Options { cache_bytes: options.cache_bytes, ..Options::default() };
        let database = background::giving_way(|| Database::open(&options.folder, engine))?;
        let database = database.map_err(|error| match error {
            LsmError::Locked => StoreError::Locked(folder.clone()),
            error => error.into(),
        })?;
        // The version is looked at before any other row, and before anything is made.
        let meta = database.keyspace("meta", KeyspaceOptions::default())?;
        schema::migrate(&database, &meta, schema::MIGRATIONS, schema::VERSION)?;
        let tables = Arc::new(Tables::open(database, options.idempotency_ms)?);
        reclaim_leases(&tables)?;
        let sequence = last_event(&tables)?;
        let outcomes = outcome_log(&tables)?;
        let head = match tables.meta.get(tables::AUDIT_HEAD)? {
            None => Head::default(),
            Some(row) => codec::decode(&row, "end of the audit log")?,
        };
        let anchor = options.audit_anchor.map(|anchor| Anchors::new(anchor, head));
        let (queue, receiver) = mpsc::channel(options.queue_length_max);
        let writer_tables = Arc::clone(&tables);
        let weights = Arc::<Weights>::default();
        let jobs = Queue::new(receiver, Arc::clone(&weights), options.queue_length_max).that_waits_from(FEW);
        let writer = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            writer::run(
                &writer_tables,
                jobs,
                (sequence, outcomes, head),
                options.policy,
                options.run,
                anchor,
            );
        })?;
        Ok(Self {
            tables,
            queue: Some(queue),
            queue_length_max: options.queue_length_max,
            weights,
            writer: Some(writer),
        })
    }

    async fn submit_commit(&self, commit: Box<Commit>) -> Result<Committed, CommitError> {
        submit(self.queue.as_ref(), begins(&commit), |answer| Job::Commit(commit, answer)).await
    }

    async fn submit_admin(&self, change: Admin, by: By) -> Result<(), CommitError> {
        submit(self.queue.as_ref(), true, |answer| Job::Admin(Box::new((change, by)), answer)).await
    }

    async fn submit_upkeep(&self, change: Upkeep) -> Result<(), CommitError> {
        submit(self.queue.as_ref(), true, |answer| Job::Upkeep(change, answer)).await
    }

    async fn submit_work(&self, work: Work) -> Result<Worked, CommitError> {
        submit(self.queue.as_ref(), false, |answer| Job::Work(Box::new(work), answer)).await
    }

    async fn submit_lease(&self, wish: LeaseWish) -> Result<Leased, CommitError> {
        submit(self.queue.as_ref(), false, |answer| Job::Lease(wish, answer)).await
    }
}

/// The last event's number; 0: there is none.
fn last_event(tables: &Tables) -> Result<u64, StoreError> {
    match tables.events.last_key_value() {
        None => Ok(0),
        Some(last) => keys::number(&last.key()?, 0).ok_or(StoreError::Corrupt("event sequence")),
    }
}

/// How the log of outcomes stands: behind the last that is there, or that was.
fn outcome_log(tables: &Tables) -> Result<OutcomeLog, StoreError> {
    let number = |key: &[u8]| keys::number(key, 0).ok_or(StoreError::Corrupt("number of an outcome"));
    let gone = tables.meta.get(tables::OUTCOMES_GONE)?.map_or(Ok(0), |row| number(&row))?;
    let last = match tables.outcomes.last_key_value() {
        None => gone,
        Some(last) => number(&last.key()?)?,
    };
    Ok(OutcomeLog { last, first: gone, forgotten_at_ms: 0 })
}

/// Jobs that were leased when the store was last open are due again, and nobody has a log's reader to itself: only this process has it open, so whoever
/// leased them is gone.
fn reclaim_leases(tables: &Tables) -> Result<(), StoreError> {
    let mut desk = work::Desk::new(tables, work::Hints::default());
    let count = desk.reclaim(None)? + desk.reclaim_readers()?;
    if count > 0 {
        let mut batch = tables.database.batch(0);
        desk.drain(&mut batch);
        batch.commit()?;
        tracing::debug!(count, "jobs of an earlier run are due again");
    }
    Ok(())
}

impl Drop for EmbeddedStore {
    /// Waits until everything queued is durable, and leaves little for the next start to read.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        if let Err(error) = self.tables.database.settle(SETTLING) {
            tracing::warn!(%error, "not all was written out; the next start reads the journal");
        }
    }
}
