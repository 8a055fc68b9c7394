//! The PostgreSQL store: any number of instances of the program on one database.
//!
//! A batch is one transaction (`lane`), decided by the same code as in the embedded store (`crate::batch`). The
//! schema is in `migrations/`, the statements are in `sql/`, and which index serves which query is in
//! `docs/schema.md`. Nothing is remembered between batches: another instance may have changed it.

mod address;
mod ahead;
mod base;
mod changes;
mod gate;
mod lane;
mod link;
mod list;
mod outcomes;
mod partitions;
mod people;
mod places;
#[cfg(test)]
mod plans;
mod pool;
mod read;
mod replan;
mod replicas;
mod reports;
mod schema;
pub(crate) mod shards;
mod spans;
mod tls;
mod written;

#[cfg(feature = "bulk")]
pub use changes::bulk::Filler;
pub use partitions::{PartitionReport, PartitionWish};
pub use pool::PoolOptions;
pub use reports::refresh_reports;
pub(crate) use schema::VERSION as SCHEMA_VERSION;

use crate::batch;
use crate::batch::job::{BATCH_MAX, Job, begins, submit};
use crate::commit::{Admin, Commit, CommitError, Committed, Upkeep};
use crate::connections::PoolReport;
use crate::error::StoreError;
use crate::jobs::{LeaseWish, Leased, Work, Worked};
use address::{Address, Target};
use lane::{LaneOptions, Subject};
use link::{Link, Query, column};
use pool::Pool;
use replicas::Replicas;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tollgate_core::audit::By;
use tollgate_core::audit::key::LogKey;
use tollgate_core::command::Policy;
use tollgate_core::id::MerchantId;
use tollgate_core::share::Weights;
use written::Written;

/// How often a run says that it is at work.
const BEAT: Duration = Duration::from_secs(5);

/// How often it looks whether the connection by which it says so is still there.
const BEAT_LOOK: Duration = Duration::from_millis(200);

/// The pause after it could not say so.
const BEAT_AGAIN: Duration = Duration::from_secs(1);

/// How a PostgreSQL store is opened.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where it is: `postgres://user:password@host:port/database`.
    pub url: String,
    /// The password, where the address has none.
    pub password: Option<String>,
    /// Authorities of servers' certificates (PEM file), where the address names none; none: those that browsers trust.
    pub tls_roots: Option<PathBuf>,
    /// Replicas for reads that may be behind: addresses like the primary's, with a `weight`.
    pub replicas: Vec<String>,
    /// How far a replica may be behind.
    pub replica_lag_max_ms: u64,
    /// How long what ends something under way is held when the database is away.
    pub patience_ms: u64,
    /// Connections for reads; each lane has one more of its own.
    pub pool: PoolOptions,
    /// Writers side by side, each with the merchants of some buckets.
    pub lanes: u16,
    /// Most units of work in one transaction, at most 512.
    pub batch_max: usize,
    /// How long a statement may take.
    pub statement_ms: u64,
    /// Commits that may wait in one lane before new ones are turned away.
    pub queue_length_max: usize,
    /// How long idempotency keys live.
    pub idempotency_ms: u64,
    /// Times that decisions need.
    pub policy: Policy,
    /// A number no other run of the program has: it tells live idempotency claims from dead ones.
    pub run: u64,
}

impl std::fmt::Debug for PostgresOptions {
    /// Without the address: it may carry a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("pool", &self.pool)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

impl PostgresOptions {
    /// The defaults for a database.
    #[must_use]
    pub fn new(url: impl Into<String>, run: u64) -> Self {
        Self {
            url: url.into(),
            password: None,
            tls_roots: None,
            replicas: Vec::new(),
            replica_lag_max_ms: 100,
            patience_ms: 30_000,
            pool: PoolOptions::default(),
            lanes: 2,
            batch_max: BATCH_MAX,
            statement_ms: 10_000,
            queue_length_max: 8_192,
            idempotency_ms: 86_400_000,
            policy: Policy::default(),
            run,
        }
    }

    fn target(&self, address: Address, statement_ms: u64) -> Result<Target, StoreError> {
        let times = (self.pool.connect_ms, statement_ms);
        address.target(self.password.as_deref(), self.tls_roots.clone(), times)
    }

    fn primary(&self, statement_ms: u64) -> Result<Target, StoreError> {
        self.target(Address::read(&self.url)?, statement_ms)
    }

    fn replicas(&self) -> Result<Vec<(Address, Target)>, StoreError> {
        let read = |url: &String| {
            let address = Address::read(url)?;
            let target = self.target(address.clone(), self.statement_ms)?;
            Ok((address, target))
        };
        self.replicas.iter().map(read).collect()
    }

    /// A connection whose statements take as long as they take.
    async fn patient_link(&self) -> Result<Link, StoreError> {
        Link::connect(&self.primary(0)?).await
    }

    /// Whether addresses, authorities and what else was given can be used, without asking anybody.
    ///
    /// # Errors
    /// What is wrong, in a sentence that holds no secret.
    pub fn validate(&self) -> Result<(), StoreError> {
        self.primary(self.statement_ms)?;
        self.replicas().map(|_| ())
    }
}

/// Brings a database's schema up to date. Gives how many steps were made.
///
/// # Errors
/// [`StoreError::Newer`] if a newer program has changed it so that this one cannot go on.
pub async fn migrate(options: &PostgresOptions) -> Result<usize, StoreError> {
    schema::migrate(&options.patient_link().await?).await
}

/// Whether a database's schema is such that this program can work with it.
///
/// # Errors
/// [`StoreError::Newer`] or [`StoreError::NotMigrated`] if not.
pub async fn check(options: &PostgresOptions) -> Result<(), StoreError> {
    schema::check(&options.patient_link().await?).await
}

/// Makes partitions ahead, and puts old ones aside. Waits for whoever does so already.
///
/// # Errors
/// A retention below the legal term, or a database that refuses.
pub async fn partitions(
    options: &PostgresOptions,
    wish: &PartitionWish,
) -> Result<PartitionReport, StoreError> {
    partitions::keep(&options.patient_link().await?, wish, options.idempotency_ms).await
}

/// The same, unless somebody does so already.
///
/// # Errors
/// As [`partitions`].
pub async fn partitions_unless_busy(
    options: &PostgresOptions,
    wish: &PartitionWish,
) -> Result<Option<PartitionReport>, StoreError> {
    let link = options.patient_link().await?;
    if !partitions::take(&link).await? {
        return Ok(None);
    }
    // What was taken is given back with the connection.
    partitions::keep(&link, wish, options.idempotency_ms).await.map(Some)
}

/// How many runs of the program have said lately that they are at work on a database.
///
/// # Errors
/// The database does not answer.
pub async fn runs_at_work(options: &PostgresOptions) -> Result<u64, StoreError> {
    let query = Query::Fixed("SELECT count(*) FROM instances WHERE seen_at > now() - interval '15 s'");
    let row = options.patient_link().await?.query_opt(query, &[]).await?;
    let count: i64 = column(&row.ok_or(StoreError::Corrupt("instances"))?, 0, "instances")?;
    Ok(link::natural(count))
}

/// A lane's queue.
struct Queue {
    sender: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// The database is away, and something under way is held: nothing new is to come.
    is_holding: Arc<AtomicBool>,
}

/// A store in PostgreSQL.
pub struct PostgresStore {
    pool: Arc<Pool>,
    /// For what may take long.
    patient: Target,
    replicas: Option<Replicas>,
    payments: Vec<Queue>,
    administration: Queue,
    jobs: Queue,
    queue_length_max: usize,
    idempotency_ms: u64,
    weights: Arc<Weights>,
    log_key: LogKey,
    beat: tokio::task::JoinHandle<()>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens a store whose schema is up to date.
    ///
    /// # Errors
    /// [`StoreError::Newer`] if a newer program has changed the schema so that this one cannot go on;
    /// [`StoreError::Unavailable`] if the database does not answer, was not migrated, or is one of several shards.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let link = Link::connect(&options.primary(options.statement_ms)?).await?;
        schema::check(&link).await?;
        shards::check_alone(&link).await?;
        drop(link);
        Self::open_with(options, Arc::default()).await
    }

    /// Opens a store that shares merchants' weights with others.
    pub(crate) async fn open_with(
        options: PostgresOptions,
        weights: Arc<Weights>,
    ) -> Result<Self, StoreError> {
        let target = Arc::new(options.primary(options.statement_ms)?);
        let patient = options.primary(0)?;
        let first = Link::connect(&target).await?;
        schema::check(&first).await?;
        let log_key = log_key(&first).await?;
        go_to_work(&first, options.run).await?;
        let pool = Arc::new(Pool::open(Target::clone(&target), &options.pool).await?);
        let replicas = options.replicas()?;
        let written = (!replicas.is_empty()).then(Arc::<Written>::default);
        let replicas = match &written {
            None => None,
            Some(written) => {
                let bounds = (&options.pool, Duration::from_millis(options.replica_lag_max_ms.max(1)));
                Some(Replicas::watch(&target, replicas, bounds, Arc::clone(written)).await?)
            }
        };
        let open = |subject, name: String| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (sender, receiver) = mpsc::channel(options.queue_length_max);
            let waiting = batch::queue::Queue::new(receiver, Arc::clone(&weights), options.queue_length_max)
                .with_batches_of(options.batch_max);
            let is_holding = Arc::<AtomicBool>::default();
            let options = LaneOptions {
                subject,
                target: Arc::clone(&target),
                patience: Duration::from_millis(options.patience_ms),
                is_holding: Arc::clone(&is_holding),
                written: written.clone(),
                policy: options.policy,
                run: options.run,
                idempotency_ms: options.idempotency_ms,
                log_key: log_key.clone(),
            };
            let lane = move || lane::run(options, runtime, waiting);
            let thread = std::thread::Builder::new().name(name).spawn(lane)?;
            Ok::<_, StoreError>(Queue { sender: Some(sender), thread: Some(thread), is_holding })
        };
        let mut payments = Vec::with_capacity(usize::from(options.lanes));
        for number in 0..options.lanes.max(1) {
            payments.push(open(Subject::Payments, format!("store-lane-{number}"))?);
        }
        Ok(Self {
            payments,
            administration: open(Subject::Administration, "store-admin".to_owned())?,
            jobs: open(Subject::Jobs, "store-jobs".to_owned())?,
            beat: tokio::spawn(beat(Arc::clone(&target), first, options.run)),
            pool,
            patient,
            replicas,
            queue_length_max: options.queue_length_max,
            idempotency_ms: options.idempotency_ms,
            weights,
            log_key,
        })
    }

    /// How the connections for reads do, the primary's first.
    fn report(&self) -> Vec<PoolReport> {
        let statistics = self.pool.statistics();
        let mut pools = vec![PoolReport { name: "primary".to_owned(), statistics, replica: None }];
        pools.extend(self.replicas.iter().flat_map(Replicas::report));
        pools
    }

    /// The lane of a merchant.
    fn lane(&self, merchant_id: MerchantId) -> Option<&Queue> {
        let place = usize::from(merchant_id.bucket()).checked_rem(self.payments.len())?;
        self.payments.get(place)
    }

    async fn submit_commit(&self, commit: Box<Commit>) -> Result<Committed, CommitError> {
        let (lane, begins) = (self.lane(commit.merchant_id), begins(&commit));
        if begins && lane.is_some_and(|lane| lane.is_holding.load(Ordering::Acquire)) {
            return Err(StoreError::Unavailable("PostgreSQL cannot be reached".to_owned()).into());
        }
        let lane = lane.and_then(|lane| lane.sender.as_ref());
        submit(lane, begins, |answer| Job::Commit(commit, answer)).await
    }

    async fn submit_admin(&self, change: Admin, by: By) -> Result<(), CommitError> {
        let lane = self.administration.sender.as_ref();
        submit(lane, true, |answer| Job::Admin(Box::new((change, by)), answer)).await
    }

    async fn submit_upkeep(&self, change: Upkeep) -> Result<(), CommitError> {
        submit(self.administration.sender.as_ref(), true, |answer| Job::Upkeep(change, answer)).await
    }

    async fn submit_work(&self, work: Work) -> Result<Worked, CommitError> {
        submit(self.jobs.sender.as_ref(), false, |answer| Job::Work(Box::new(work), answer)).await
    }

    async fn submit_lease(&self, wish: LeaseWish) -> Result<Leased, CommitError> {
        submit(self.jobs.sender.as_ref(), false, |answer| Job::Lease(wish, answer)).await
    }

    fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.payments.iter().chain([&self.administration, &self.jobs])
    }
}

/// The secret under which the audit log names people.
async fn log_key(link: &Link) -> Result<LogKey, StoreError> {
    let what = "secret of the audit log";
    let row = link.query_opt(Query::Fixed("SELECT log_key FROM log_head WHERE id = 1"), &[]).await?;
    let row = row.ok_or(StoreError::Corrupt(what))?;
    let bytes: &[u8] = link::column(&row, 0, what)?;
    Ok(LogKey::new(bytes.try_into().map_err(|_| StoreError::Corrupt(what))?))
}

/// Says that a run is at work, and forgets those that were not for a day.
async fn say_at_work(link: &Link, run: u64) -> Result<(), StoreError> {
    let query = Query::Fixed(
        "INSERT INTO instances (run, keeps_days) VALUES ($1, true)
         ON CONFLICT (run) DO UPDATE SET seen_at = now(), keeps_days = true",
    );
    link.execute(query, &[&run.cast_signed()]).await?;
    link.execute(Query::Fixed("DELETE FROM instances WHERE seen_at < now() - interval '1 day'"), &[]).await?;
    Ok(())
}

/// Says that a run is at work, and holds its lock for as long as the connection lasts: a run whose lock is free is
/// gone, and its claims are others' at once.
async fn go_to_work(link: &Link, run: u64) -> Result<(), StoreError> {
    link.query(Query::Fixed("SELECT pg_advisory_lock($1)"), &[&run.cast_signed()]).await?;
    say_at_work(link, run).await
}

async fn beat(target: Arc<Target>, first: Link, run: u64) {
    let (mut link, mut said_at) = (first, Instant::now());
    loop {
        tokio::time::sleep(BEAT_LOOK).await;
        let said = if link.is_closed() {
            match Link::connect(&target).await {
                Ok(again) => {
                    link = again;
                    go_to_work(&link, run).await
                }
                Err(error) => Err(error),
            }
        } else if said_at.elapsed() >= BEAT {
            say_at_work(&link, run).await
        } else {
            continue;
        };
        said_at = Instant::now();
        if let Err(error) = said {
            tracing::warn!(%error, "this run could not say that it is at work");
            tokio::time::sleep(BEAT_AGAIN).await;
        }
    }
}

impl Drop for PostgresStore {
    /// Waits until everything queued is durable.
    fn drop(&mut self) {
        self.beat.abort();
        // The payments' lanes first: who takes over a claim of this run must find it whole.
        let rest = [&mut self.jobs, &mut self.administration];
        for queue in self.payments.iter_mut() {
            queue.sender = None;
        }
        for queue in self.payments.iter_mut().chain(rest) {
            queue.sender = None;
            if let Some(thread) = queue.thread.take() {
                let _ = thread.join();
            }
        }
    }
}
