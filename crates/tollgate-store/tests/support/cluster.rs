//! PostgreSQL servers of a test's own: started, stopped, replicated and reached by TLS. `scripts/postgres` says where the
//! programs are and which account runs them.

#![allow(dead_code, unreachable_pub, reason = "each program of tests uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop where they fail")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

const PROGRAMS: &str = "TOLLGATE_TEST_POSTGRES_BIN";
const ACCOUNT: &str = "TOLLGATE_TEST_POSTGRES_ACCOUNT";

static STARTED: AtomicU16 = AtomicU16::new(0);

/// A server with its data in a folder of its own.
pub struct Cluster {
    folder: tempfile::TempDir,
    pub port: u16,
}

fn programs() -> PathBuf {
    PathBuf::from(std::env::var(PROGRAMS).expect("run by scripts/postgres"))
}

/// A command as the account that may run a server.
fn as_server(program: impl AsRef<std::ffi::OsStr>) -> Command {
    match std::env::var(ACCOUNT).ok().filter(|account| !account.is_empty()) {
        None => Command::new(program),
        Some(account) => {
            let mut command = Command::new("setpriv");
            let ids =
                [format!("--reuid={account}"), format!("--regid={account}"), "--clear-groups".to_owned()];
            command.args(ids).arg(program);
            command
        }
    }
}

/// Gives a file or folder to the account that runs servers.
pub fn give(path: &Path) {
    if let Some(account) = std::env::var(ACCOUNT).ok().filter(|account| !account.is_empty()) {
        done(Command::new("chown").arg(format!("{account}:")).arg(path));
    }
}

fn done(command: &mut Command) {
    let output = command.current_dir("/").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A port below those that outgoing connections get.
fn free_port() -> u16 {
    let process = u16::try_from(std::process::id() % 50).unwrap();
    loop {
        let port = 16_000 + process * 250 + STARTED.fetch_add(1, Ordering::Relaxed) % 250;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Cluster {
    /// An empty server, with these settings (`name = value` lines).
    pub fn new(settings: &str) -> Self {
        let cluster = Self::nothing_yet();
        let init = ["-A", "trust", "-U", "tollgate", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
        done(as_server(programs().join("initdb")).arg("-D").arg(cluster.data()).args(init));
        cluster.set(settings);
        cluster
    }

    /// A replica that follows another server, as it is now.
    pub fn replica_of(primary: &Self) -> Self {
        let cluster = Self::nothing_yet();
        let port = primary.port.to_string();
        let how = ["-h", "127.0.0.1", "-U", "tollgate", "-R", "-X", "stream", "-c", "fast", "--no-sync"];
        done(
            as_server(programs().join("pg_basebackup"))
                .arg("-D")
                .arg(cluster.data())
                .args(how)
                .args(["-p", &port]),
        );
        cluster
    }

    fn nothing_yet() -> Self {
        let folder = tempfile::tempdir().unwrap();
        give(folder.path());
        Self { folder, port: free_port() }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Adds settings; they hold from the next start on.
    pub fn set(&self, settings: &str) {
        use std::io::Write;
        let file = std::fs::File::options().append(true).open(self.data().join("postgresql.conf"));
        writeln!(file.unwrap(), "{settings}").unwrap();
    }

    /// Starts it and waits until it answers.
    pub fn start(&self) {
        let options = format!("-p {} -k '' -c listen_addresses=127.0.0.1 -c fsync=off", self.port);
        let log = self.folder.path().join("log");
        done(
            as_server(programs().join("pg_ctl"))
                .arg("-D")
                .arg(self.data())
                .arg("-l")
                .arg(log)
                .args(["-w", "-t", "60", "-s", "start", "-o", &options]),
        );
    }

    /// Stops it: `fast`, or `immediate`, as a power cut would.
    pub fn stop(&self, how: &str) {
        done(
            as_server(programs().join("pg_ctl"))
                .arg("-D")
                .arg(self.data())
                .args(["-s", "-w", "-m", how, "stop"]),
        );
    }

    /// What a statement says, in a session of its own.
    pub fn sql(&self, statement: &str) -> String {
        let mut psql = Command::new(programs().join("psql"));
        psql.args(["-X", "-q", "-A", "-t", &self.url(), "-c", statement]);
        let said = psql.current_dir("/").stdin(Stdio::null()).output().unwrap();
        assert!(said.status.success(), "{statement}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    pub fn url(&self) -> String {
        format!("postgres://tollgate@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = as_server(programs().join("pg_ctl"));
        let stop = stop.arg("-D").arg(self.data()).args(["-s", "-m", "immediate", "stop"]);
        let _ = stop.current_dir("/").stderr(Stdio::null()).status();
    }
}
