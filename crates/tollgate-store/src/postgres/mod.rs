//! The PostgreSQL store: any number of instances of the program on one database.
//!
//! A batch is one transaction (`lane`), decided by the same code as in the embedded store (`crate::batch`). The
//! schema is in `migrations/`, the statements are in `sql/`, and which index serves which query is in
//! `docs/schema.md`. Nothing is remembered between batches: another instance may have changed it.

mod ahead;
mod base;
mod changes;
mod lane;
mod link;
mod list;
mod partitions;
mod places;
#[cfg(test)]
mod plans;
mod pool;
mod read;
mod schema;

pub use partitions::{PartitionReport, PartitionWish};
pub use pool::{PoolOptions, PoolStatistics};

use crate::batch;
use crate::batch::job::{BATCH_MAX, Job, begins, submit};
use crate::commit::{Admin, Commit, CommitError, Committed, Upkeep};
use crate::error::StoreError;
use crate::jobs::{LeaseWish, Leased, Work, Worked};
use lane::{LaneOptions, Subject};
use link::{Link, Query};
use pool::Pool;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_postgres::Config;
use tollgate_core::audit::By;
use tollgate_core::command::Policy;
use tollgate_core::id::MerchantId;
use tollgate_core::share::Weights;

/// How often a run says that it is at work.
const BEAT: Duration = Duration::from_secs(5);

/// How a PostgreSQL store is opened.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where it is: `postgres://user:password@host:port/database`.
    pub url: String,
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
            pool: PoolOptions::default(),
            lanes: 4,
            batch_max: BATCH_MAX,
            statement_ms: 10_000,
            queue_length_max: 8_192,
            idempotency_ms: 86_400_000,
            policy: Policy::default(),
            run,
        }
    }

    fn config(&self) -> Result<Config, StoreError> {
        // What is wrong with it is not told: it may carry a password.
        let wrong = |_| StoreError::Unavailable("the address of PostgreSQL cannot be read".to_owned());
        let mut config: Config = self.url.parse().map_err(wrong)?;
        let given = config.get_options().unwrap_or_default().to_owned();
        // Whoever hangs in a transaction holds its locks: it is ended. A commit is on disk when it is answered,
        // whatever the server's own setting is.
        config.options(format!(
            "{given} -c statement_timeout={0} -c idle_in_transaction_session_timeout={0} -c synchronous_commit=on",
            self.statement_ms
        ));
        config.application_name("tollgate");
        config.connect_timeout(self.connect_within());
        Ok(config)
    }

    const fn connect_within(&self) -> Duration {
        Duration::from_millis(self.pool.connect_ms)
    }

    async fn link(&self, statement_ms: u64) -> Result<Link, StoreError> {
        let options = Self { statement_ms, ..self.clone() };
        Link::connect(&options.config()?, options.connect_within()).await
    }
}

/// Brings a database's schema up to date. Gives how many steps were made.
///
/// # Errors
/// [`StoreError::Newer`] if a newer program has changed it so that this one cannot go on.
pub async fn migrate(options: &PostgresOptions) -> Result<usize, StoreError> {
    // A step may take as long as it takes.
    schema::migrate(&options.link(0).await?).await
}

/// Makes partitions ahead, and puts old ones aside.
///
/// # Errors
/// A retention below the legal term, or a database that refuses.
pub async fn partitions(
    options: &PostgresOptions,
    wish: &PartitionWish,
) -> Result<PartitionReport, StoreError> {
    partitions::keep(&options.link(0).await?, wish, options.idempotency_ms).await
}

/// A lane's queue.
struct Queue {
    sender: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// A store in PostgreSQL.
pub struct PostgresStore {
    pool: Arc<Pool>,
    payments: Vec<Queue>,
    administration: Queue,
    jobs: Queue,
    queue_length_max: usize,
    idempotency_ms: u64,
    weights: Arc<Weights>,
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
    /// [`StoreError::Unavailable`] if the database does not answer or was not migrated.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let config = Arc::new(options.config()?);
        let first = Link::connect(&config, options.connect_within()).await?;
        schema::check(&first).await?;
        say_at_work(&first, options.run).await?;
        let pool = Arc::new(Pool::open(Config::clone(&config), &options.pool).await?);
        let weights = Arc::<Weights>::default();
        let open = |subject, name: String| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (sender, receiver) = mpsc::channel(options.queue_length_max);
            let waiting = batch::queue::Queue::new(receiver, Arc::clone(&weights), options.queue_length_max)
                .with_batches_of(options.batch_max);
            let options = LaneOptions {
                subject,
                config: Arc::clone(&config),
                connect_within: options.connect_within(),
                policy: options.policy,
                run: options.run,
                idempotency_ms: options.idempotency_ms,
            };
            let lane = move || lane::run(options, runtime, waiting);
            let thread = std::thread::Builder::new().name(name).spawn(lane)?;
            Ok::<_, StoreError>(Queue { sender: Some(sender), thread: Some(thread) })
        };
        let mut payments = Vec::with_capacity(usize::from(options.lanes));
        for number in 0..options.lanes.max(1) {
            payments.push(open(Subject::Payments, format!("store-lane-{number}"))?);
        }
        Ok(Self {
            payments,
            administration: open(Subject::Administration, "store-admin".to_owned())?,
            jobs: open(Subject::Jobs, "store-jobs".to_owned())?,
            beat: tokio::spawn(beat(Arc::clone(&pool), options.run)),
            pool,
            queue_length_max: options.queue_length_max,
            idempotency_ms: options.idempotency_ms,
            weights,
        })
    }

    /// How the connections for reads do.
    #[must_use]
    pub fn pool_statistics(&self) -> PoolStatistics {
        self.pool.statistics()
    }

    /// The lane of a merchant.
    fn lane(&self, merchant_id: MerchantId) -> Option<&mpsc::Sender<Job>> {
        let place = usize::from(merchant_id.bucket()).checked_rem(self.payments.len())?;
        self.payments.get(place)?.sender.as_ref()
    }

    async fn submit_commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let lane = self.lane(commit.merchant_id);
        submit(lane, begins(&commit), |answer| Job::Commit(Box::new(commit), answer)).await
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

/// Says that a run is at work, and forgets those that were not for a day.
async fn say_at_work(link: &Link, run: u64) -> Result<(), StoreError> {
    let query = Query::Fixed(
        "INSERT INTO instances (run) VALUES ($1) ON CONFLICT (run) DO UPDATE SET seen_at = now()",
    );
    link.execute(query, &[&run.cast_signed()]).await?;
    link.execute(Query::Fixed("DELETE FROM instances WHERE seen_at < now() - interval '1 day'"), &[]).await?;
    Ok(())
}

async fn beat(pool: Arc<Pool>, run: u64) {
    loop {
        tokio::time::sleep(BEAT).await;
        let said = match pool.get().await {
            Ok(link) => say_at_work(&link, run).await,
            Err(error) => Err(error),
        };
        if let Err(error) = said {
            tracing::warn!(%error, "this run could not say that it is at work");
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
