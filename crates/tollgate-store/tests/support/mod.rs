//! Where the suite's stores are: in a folder, or, when `TOLLGATE_TEST_POSTGRES` names a server, in a database of
//! their own there, or in as many as `TOLLGATE_TEST_SHARDS` says.

#![allow(dead_code, reason = "each program of tests uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests stop where they fail")]

pub(crate) mod cluster;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tollgate_store::Store;
use tollgate_store::embedded::{EmbeddedOptions, EmbeddedStore};
use tollgate_store::postgres::{PoolOptions, PostgresOptions, PostgresStore, migrate, refresh_reports};
use tollgate_store::sharded::{self, ShardedOptions, ShardedStore};

const SERVER: &str = "TOLLGATE_TEST_POSTGRES";

/// Another server, for every other shard.
const SECOND: &str = "TOLLGATE_TEST_POSTGRES_2";

const SHARDS: &str = "TOLLGATE_TEST_SHARDS";

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The server that the tests are to use, if any.
pub(crate) fn server() -> Option<String> {
    std::env::var(SERVER).ok()
}

/// Whether the suite runs on PostgreSQL.
pub(crate) fn is_postgres() -> bool {
    server().is_some()
}

/// A place for one test's store, gone when it is dropped.
pub(crate) enum Place {
    Folder(tempfile::TempDir),
    Database(Database),
    Shards(Shards),
}

impl Place {
    pub(crate) async fn new() -> Self {
        let shards = std::env::var(SHARDS).ok().map(|count| count.parse().expect(SHARDS));
        match (server(), shards) {
            (None, _) => Self::Folder(tempfile::tempdir().unwrap()),
            (Some(_), None) => Self::Database(Database::new().await),
            (Some(_), Some(count)) => Self::Shards(Shards::new(count).await),
        }
    }

    /// Opens the store that is there, or a new one.
    pub(crate) async fn open(&self, run: u64) -> Arc<dyn Store> {
        match self {
            Self::Folder(folder) => embedded(folder.path(), run),
            Self::Database(database) => database.open(run).await,
            Self::Shards(shards) => shards.open(run).await,
        }
    }

    /// Has what reports read made anew.
    pub(crate) async fn refresh_reports(&self) {
        let databases = match self {
            Self::Folder(_) => Vec::new(),
            Self::Database(database) => vec![database.options(0)],
            Self::Shards(shards) => shards.options(0),
        };
        for options in databases {
            assert!(refresh_reports(&options, Duration::ZERO).await.unwrap());
        }
    }
}

/// Databases that are one installation.
pub(crate) struct Shards(pub(crate) Vec<Database>);

impl Shards {
    pub(crate) async fn new(count: usize) -> Self {
        let mut shards = Self(Vec::new());
        for _ in 0..count {
            shards.more().await;
        }
        sharded::init(&shards.options(0)).await.unwrap();
        shards
    }

    /// One more database, migrated and not set up.
    pub(crate) async fn more(&mut self) {
        let database = Database::on(if self.0.len() % 2 == 1 { SECOND } else { SERVER }).await;
        migrate(&database.options(0)).await.unwrap();
        self.0.push(database);
    }

    pub(crate) fn options(&self, run: u64) -> Vec<PostgresOptions> {
        self.0.iter().map(|database| database.options(run)).collect()
    }

    pub(crate) async fn open(&self, run: u64) -> Arc<ShardedStore> {
        let mut options = ShardedOptions::new(self.options(run));
        options.redirect_ms = 20_000;
        Arc::new(ShardedStore::open(options).await.unwrap())
    }
}

pub(crate) fn embedded(folder: &Path, run: u64) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(EmbeddedOptions::new(folder, run)).unwrap())
}

/// A database of one test.
pub(crate) struct Database {
    name: String,
    server: String,
}

impl Database {
    pub(crate) async fn new() -> Self {
        Self::on(SERVER).await
    }

    /// On the server that a variable names, or on the first.
    async fn on(variable: &str) -> Self {
        let server = std::env::var(variable).ok().or_else(server).expect(SERVER);
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("tollgate_test_{}_{number}", std::process::id());
        let client = connect(&server).await;
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        Self { name, server }
    }

    /// The server's address with this database instead of its own.
    pub(crate) fn url(&self) -> String {
        let (start, _) = self.server.rsplit_once('/').expect("an address with a database");
        format!("{start}/{}", self.name)
    }

    pub(crate) fn options(&self, run: u64) -> PostgresOptions {
        let mut options = PostgresOptions::new(self.url(), run);
        options.pool = PoolOptions { idle_min: 1, size_max: 4, ..PoolOptions::default() };
        options.lanes = 2;
        options
    }

    pub(crate) async fn open(&self, run: u64) -> Arc<PostgresStore> {
        let options = self.options(run);
        migrate(&options).await.unwrap();
        Arc::new(PostgresStore::open(options).await.unwrap())
    }

    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        connect(&self.url()).await
    }
}

pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Drop for Database {
    fn drop(&mut self) {
        let (url, name) = (self.server.clone(), self.name.clone());
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = connect(&url).await;
                let _ = client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
            });
        };
        let _ = std::thread::spawn(remove).join();
    }
}
