//! The vault's store: its tables, and the one thread that writes them.
//!
//! Every change is a [`Change`]: what it rests on, what it writes and what it puts on record. The
//! writer applies it only while what it rests on still stands, so that nothing is decided on an old
//! state, and nobody holds a lock while a key is fetched or a card is encrypted. What has gathered
//! becomes durable with one write and one fsync.

use crate::audit::{Chain, Entry};
use crate::rows::META_AUDIT_HEAD;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Most changes in one batch: bounds the time that one fsync makes the first of them wait.
const BATCH_MAX: usize = 512;

/// How long a batch waits for company: about one fsync.
const COMPANY: Duration = Duration::from_micros(500);

/// How long a batch of records that nobody waits for gathers.
const LEISURE: Duration = Duration::from_millis(10);

/// Memtable of a table.
const MEMTABLE_BYTES: u64 = 8 << 20;

/// A table. See [`crate::rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Table {
    Meta,
    Merchants,
    Keys,
    Cards,
    Fingerprints,
    Audit,
}

impl Table {
    /// Its place among the writes of one batch.
    const fn rank(self) -> u8 {
        match self {
            Self::Keys => 0,
            Self::Cards => 1,
            Self::Fingerprints => 2,
            Self::Audit => 3,
            Self::Merchants => 4,
            Self::Meta => 5,
        }
    }
}

/// The store could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the vault's store cannot be used: {0}")]
pub(crate) struct DiskError(pub(crate) String);

impl From<fjall::Error> for DiskError {
    fn from(error: fjall::Error) -> Self {
        Self(error.to_string())
    }
}

/// A row's key and its bytes.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// All tables, open.
pub(crate) struct Tables {
    pub(crate) database: Database,
    tables: [Keyspace; 6],
}

impl Tables {
    /// Opens the tables, making those that do not exist.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, fjall::Error> {
        let database =
            Database::builder(folder).cache_size(cache_bytes).max_journaling_size(128 << 20).open()?;
        let open = |name: &str| {
            database.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))
        };
        let tables = [
            open("meta")?,
            open("merchants")?,
            open("keys")?,
            open("cards")?,
            open("fingerprints")?,
            open("audit")?,
        ];
        Ok(Self { database, tables })
    }

    /// The keyspace of a table.
    pub(crate) fn table(&self, table: Table) -> &Keyspace {
        let [meta, merchants, keys, cards, fingerprints, audit] = &self.tables;
        match table {
            Table::Meta => meta,
            Table::Merchants => merchants,
            Table::Keys => keys,
            Table::Cards => cards,
            Table::Fingerprints => fingerprints,
            Table::Audit => audit,
        }
    }

    /// A row.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        Ok(self.table(table).get(key)?.map(|row| row.to_vec()))
    }

    /// Up to `limit` rows from `from` on whose keys begin with `prefix`.
    pub(crate) fn page(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, DiskError> {
        let mut rows = Vec::new();
        for guard in self.table(table).range(from.max(prefix)..).take(limit) {
            let (key, row) = guard.into_inner()?;
            if !key.starts_with(prefix) {
                break;
            }
            rows.push((key.to_vec(), row.to_vec()));
        }
        Ok(rows)
    }

    /// Rewrites a table, so that what was removed or replaced is gone from its files.
    pub(crate) fn compact(&self, table: Table) -> Result<(), DiskError> {
        self.table(table).rotate_memtable_and_wait()?;
        Ok(self.table(table).major_compact()?)
    }
}

/// What a change rests on or writes: a row, or its absence.
type Place = (Table, Vec<u8>, Option<Vec<u8>>);

/// A change, done whole or not at all.
#[derive(Debug, Default)]
pub(crate) struct Change {
    rests_on: Vec<Place>,
    writes: Vec<Place>,
    records: Vec<Entry>,
}

impl Change {
    /// A change that only puts something on record.
    pub(crate) fn record(entry: Entry) -> Self {
        Self { records: vec![entry], ..Self::default() }
    }

    /// It is done only while this row is so.
    pub(crate) fn rests_on(mut self, table: Table, key: impl Into<Vec<u8>>, row: Option<Vec<u8>>) -> Self {
        self.rests_on.push((table, key.into(), row));
        self
    }

    /// Writes a row.
    pub(crate) fn puts(mut self, table: Table, key: impl Into<Vec<u8>>, row: Vec<u8>) -> Self {
        self.writes.push((table, key.into(), Some(row)));
        self
    }

    /// Removes a row.
    pub(crate) fn removes(mut self, table: Table, key: impl Into<Vec<u8>>) -> Self {
        self.writes.push((table, key.into(), None));
        self
    }

    /// Puts something on record.
    pub(crate) fn records(mut self, entry: Entry) -> Self {
        self.records.push(entry);
        self
    }
}

/// Whether each change was done; the others rested on what is no longer so.
type Answer = oneshot::Sender<Result<Vec<bool>, DiskError>>;

/// Changes and where the answer goes.
struct Job {
    changes: Vec<Change>,
    answer: Option<Answer>,
}

/// Why changes were not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WriteError {
    /// Too many are waiting.
    #[error("too many changes are waiting")]
    Full,
    /// The store failed, or the writer has stopped.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

fn stopped() -> WriteError {
    WriteError::Disk(DiskError("the writer has stopped".to_owned()))
}

/// The way to the writer.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: SyncSender<Job>,
}

impl Writer {
    /// Starts the writer. It ends when every sender is gone and the queue is empty.
    pub(crate) fn start(
        tables: Arc<Tables>,
        chain: Chain,
        queue_length_max: usize,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (queue, receiver) = std::sync::mpsc::sync_channel(queue_length_max);
        let thread = std::thread::Builder::new()
            .name("vault-writer".to_owned())
            .spawn(move || run(&tables, chain, &receiver))?;
        Ok((Self { queue }, thread))
    }

    fn send(&self, job: Job) -> Result<(), WriteError> {
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => WriteError::Full,
            TrySendError::Disconnected(_) => stopped(),
        })
    }

    /// Queues a record that nobody waits for.
    pub(crate) fn record(&self, entry: Entry) -> Result<(), WriteError> {
        self.send(Job { changes: vec![Change::record(entry)], answer: None })
    }

    /// Does a change; false if what it rests on is no longer so. Durable when this returns.
    pub(crate) async fn change(&self, change: Change) -> Result<bool, WriteError> {
        let (sender, receiver) = oneshot::channel();
        self.send(Job { changes: vec![change], answer: Some(sender) })?;
        let done = receiver.await.map_err(|_| stopped())??;
        Ok(done.first().copied().unwrap_or(false))
    }

    /// Does changes, each by itself, waiting for a place in the queue. Not to be called where futures run.
    pub(crate) fn change_all(&self, changes: Vec<Change>) -> Result<Vec<bool>, WriteError> {
        let (sender, receiver) = oneshot::channel();
        self.queue.send(Job { changes, answer: Some(sender) }).map_err(|_| stopped())?;
        Ok(receiver.blocking_recv().map_err(|_| stopped())??)
    }
}

fn run(tables: &Tables, mut chain: Chain, queue: &Receiver<Job>) {
    let mut size_before = 0;
    while let Ok(first) = queue.recv() {
        let jobs = gather(queue, first, size_before);
        size_before = jobs.len();
        let mut answers = Vec::with_capacity(jobs.len());
        let mut batch = Batch { tables, chain: chain.clone(), staged: HashMap::new() };
        let mut written = Ok(());
        for job in jobs {
            let done: Result<Vec<bool>, DiskError> =
                job.changes.into_iter().map(|change| batch.stage(change)).collect();
            match done {
                Ok(done) => answers.push((job.answer, done)),
                Err(error) => {
                    // A change may be staged in part: nothing of this batch is written.
                    written = Err(error);
                    answers.push((job.answer, Vec::new()));
                }
            }
        }
        let written = written.and_then(|()| batch.write());
        match &written {
            Ok(end) => chain = end.clone(),
            Err(error) => {
                tracing::error!(%error, changes = size_before, "the vault could not make a batch durable");
            }
        }
        for (answer, done) in answers {
            // The caller may have gone away; what was done stays done.
            if let Some(answer) = answer {
                let _ = answer.send(written.as_ref().map(|_| done).map_err(Clone::clone));
            }
        }
    }
}

/// Takes what came, after a moment for company: half a millisecond when others came last time, and
/// longer as long as nobody waits for an answer. A caller who is alone never waits.
fn gather(queue: &Receiver<Job>, first: Job, size_before: usize) -> Vec<Job> {
    let begun = Instant::now();
    let mut waited_for = first.answer.is_some();
    let mut until = match (waited_for, size_before > 1) {
        (false, _) => begun + LEISURE,
        (true, true) => begun + COMPANY,
        (true, false) => begun,
    };
    let mut jobs = vec![first];
    while jobs.len() < BATCH_MAX {
        let job = match until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => queue.recv_timeout(left),
            _ => queue.try_recv().map_err(|_| RecvTimeoutError::Timeout),
        };
        let Ok(job) = job else { return jobs };
        if job.answer.is_some() && !waited_for {
            waited_for = true;
            until = until.min(Instant::now() + COMPANY);
        }
        jobs.push(job);
    }
    jobs
}

/// Changes that become durable together; later ones see what earlier ones wrote.
struct Batch<'a> {
    tables: &'a Tables,
    chain: Chain,
    staged: HashMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl Batch<'_> {
    fn stage(&mut self, change: Change) -> Result<bool, DiskError> {
        for (table, key, expected) in change.rests_on {
            let place = (table, key);
            let stands = match self.staged.get(&place) {
                Some(staged) => *staged == expected,
                None => self.tables.table(table).get(&place.1)?.as_deref() == expected.as_deref(),
            };
            if !stands {
                return Ok(false);
            }
        }
        for (table, key, row) in change.writes {
            self.staged.insert((table, key), row);
        }
        for entry in change.records {
            let (key, row) = self.chain.add(entry);
            self.staged.insert((Table::Audit, key.to_vec()), Some(row));
        }
        Ok(true)
    }

    fn write(self) -> Result<Chain, DiskError> {
        if self.staged.is_empty() {
            return Ok(self.chain);
        }
        let mut rows = self.tables.database.batch().durability(Some(PersistMode::SyncData));
        // A batch is durable as a whole, but readers may see its rows appear one by one: what is named comes
        // before what names it, and what is removed goes last.
        let mut staged: Vec<_> = self.staged.into_iter().collect();
        staged.sort_by_key(|((table, _), row)| (row.is_none(), table.rank()));
        for ((table, key), row) in staged {
            match row {
                Some(row) => rows.insert(self.tables.table(table), key, row),
                None => rows.remove(self.tables.table(table), key),
            }
        }
        rows.insert(self.tables.table(Table::Meta), META_AUDIT_HEAD, self.chain.head());
        rows.commit()?;
        Ok(self.chain)
    }
}
