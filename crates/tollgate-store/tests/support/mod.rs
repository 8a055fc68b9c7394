//! Where the suite's stores are: in a folder, or, when `TOLLGATE_TEST_POSTGRES` names a server, in a database of
//! their own there.

#![allow(dead_code, reason = "each program of tests uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests stop where they fail")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tollgate_store::Store;
use tollgate_store::embedded::{EmbeddedOptions, EmbeddedStore};
use tollgate_store::postgres::{PoolOptions, PostgresOptions, PostgresStore, migrate};

const SERVER: &str = "TOLLGATE_TEST_POSTGRES";

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
}

impl Place {
    pub(crate) async fn new() -> Self {
        match server() {
            None => Self::Folder(tempfile::tempdir().unwrap()),
            Some(_) => Self::Database(Database::new().await),
        }
    }

    /// Opens the store that is there, or a new one.
    pub(crate) async fn open(&self, run: u64) -> Arc<dyn Store> {
        match self {
            Self::Folder(folder) => embedded(folder.path(), run),
            Self::Database(database) => database.open(run).await,
        }
    }
}

pub(crate) fn embedded(folder: &Path, run: u64) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(EmbeddedOptions::new(folder, run)).unwrap())
}

/// A database of one test.
pub(crate) struct Database {
    name: String,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("tollgate_test_{}_{number}", std::process::id());
        let client = connect(&server().expect(SERVER)).await;
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        Self { name }
    }

    /// The server's address with this database instead of its own.
    pub(crate) fn url(&self) -> String {
        let server = server().expect(SERVER);
        let (start, _) = server.rsplit_once('/').expect("an address with a database");
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
        let (url, name) = (server().expect(SERVER), self.name.clone());
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
