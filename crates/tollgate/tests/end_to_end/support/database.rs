//! Where a rig's store is: in its folder, or, when `TOLLGATE_TEST_POSTGRES` names a server, in a database of its own there.

use super::BINARY;
use futures_util::TryStreamExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const SERVER: &str = "TOLLGATE_TEST_POSTGRES";

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A database of one rig, gone with it.
pub struct Database {
    name: String,
}

/// Whether the tests run on PostgreSQL.
pub fn is_postgres() -> bool {
    std::env::var(SERVER).is_ok()
}

fn run(url: &str, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let carried = tokio::spawn(connection);
        client.batch_execute(statement).await.unwrap();
        drop(client);
        let _ = carried.await;
    });
}

impl Database {
    /// A new one, if the tests run on PostgreSQL.
    pub fn of_rig() -> Option<Self> {
        let server = std::env::var(SERVER).ok()?;
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("tollgate_rig_{}_{number}", std::process::id());
        run(&server, &format!("DROP DATABASE IF EXISTS {name}"));
        run(&server, &format!("CREATE DATABASE {name}"));
        Some(Self { name })
    }

    /// The server's address with this database instead of its own.
    pub fn url(&self) -> String {
        let server = std::env::var(SERVER).unwrap();
        let (start, _) = server.rsplit_once('/').unwrap();
        format!("{start}/{}", self.name)
    }

    /// Writes what is in it to files of a folder.
    pub fn dump(&self, folder: &Path) {
        dump(&self.url(), folder);
    }

    /// Lines for `[store]`.
    pub fn knobs(&self) -> String {
        knobs(&self.url())
    }
}

/// Lines for `[store]`: few connections, because many servers run side by side.
pub fn knobs(url: &str) -> String {
    format!("url = \"{url}\"\nlanes = 2\npool = {{ min = 2, max = 16 }}\n")
}

/// Writes what every table holds, as bytes, to files of a folder.
fn dump(url: &str, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let carried = tokio::spawn(connection);
        let tables =
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        for row in client.query(tables, &[]).await.unwrap() {
            let name: &str = row.get(0);
            let copied = client.copy_out(&format!("COPY {name} TO STDOUT (FORMAT binary)")).await.unwrap();
            let pieces: Vec<bytes::Bytes> = copied.try_collect().await.unwrap();
            std::fs::write(folder.join(name), pieces.concat()).unwrap();
        }
        drop(client);
        let _ = carried.await;
    });
}

/// Runs a command that makes databases ready.
pub fn tollgate(config: &Path, command: &[&str]) {
    let output = Command::new(BINARY).arg("--config").arg(config).args(command).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, statement) =
            (std::env::var(SERVER).unwrap(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // Not here: this may be within a runtime, or in a panic.
        let _ = std::thread::spawn(move || run(&server, &statement)).join();
    }
}
