//! The gateway of a chaos run: this program as another process, so that it can be killed.

use super::client::Client;
use crate::Failure;
use crate::commands::dev::LENIENT_POLICY;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// The longest a start may take.
const START_MAX: Duration = Duration::from_secs(30);
/// The longest an orderly end may take.
const STOP_MAX: Duration = Duration::from_secs(40);
/// Lines of its log that are shown when it does not do what it should.
const LAST_WORDS: usize = 20;

/// Short times, so that half a minute sees everything. What was begun at a slow simulator is done within
/// `settle_absent_ms`, as that knob demands.
const KNOBS: &str = "
[rate_limits]
enabled = false

[engine]
processor_timeout_ms = 800
connect_timeout_ms = 300
deadline_ms = 4000
action_timeout_s = 6

[breaker]
open_ms = 500
slow_ms = 600

[retry]
first_ms = 100
longest_ms = 800

[enquiry]
first_ms = 50
longest_ms = 500
escalate_ms = 3000
settle_absent_ms = 5000
sweep_ms = 1000
concurrency = 64

[fraud]
budget_us = 1000000

[log]
filter = \"warn\"
";

/// The gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    folder: PathBuf,
    child: Option<Child>,
    address: String,
    /// Where it is told so in its log.
    log: PathBuf,
}

impl Gateway {
    /// Writes the configuration; nothing is started yet.
    pub(super) fn new(folder: &Path, port: u16, accounts: &str) -> Result<Self, Failure> {
        let store = toml::Value::from(folder.join("store").display().to_string());
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\nshutdown_ms = 15000\n\n[store]\nfolder = {store}\n{KNOBS}\n{accounts}"
        );
        std::fs::write(folder.join("tollgate.toml"), config)?;
        Ok(Self {
            folder: folder.to_owned(),
            child: None,
            address: format!("http://127.0.0.1:{port}"),
            log: folder.join("gateway.log"),
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    fn command(&self) -> Result<Command, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        // Knobs of the caller's environment would win over the configuration.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TOLLGATE_") {
                command.env_remove(name);
            }
        }
        command
            .arg("--config")
            .arg(self.folder.join("tollgate.toml"))
            .kill_on_drop(true)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Makes a partner of these processors, whose fraud policy lets everything through; returns its key.
    pub(super) async fn add_partner(&self, name: &str, processors: &[&str]) -> Result<String, Failure> {
        let policy = self.folder.join("policy.json");
        std::fs::write(&policy, LENIENT_POLICY)?;
        let mut command = self.command()?;
        // The category is one for which UPI collect is still open.
        command.args(["partner", "add", "--name", name, "--country", "IN", "--mcc", "6211"]);
        command.args(["--processors", &processors.join(","), "--fraud-policy"]).arg(policy);
        let output = command.output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().last().filter(|_| output.status.success()) {
            Some(key) => Ok(key.to_owned()),
            None => Err(format!("no partner: {}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    }

    /// Starts it and waits until it is ready.
    pub(super) async fn start(&mut self, client: &Client) -> Result<(), Failure> {
        let log = std::fs::File::options().create(true).append(true).open(&self.log)?;
        let mut command = self.command()?;
        self.child = Some(command.arg("serve").stdout(Stdio::null()).stderr(log).spawn()?);
        let begun = Instant::now();
        while !client.is_ready().await {
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?,
                None => None,
            };
            if ended.is_some() || begun.elapsed() > START_MAX {
                return Err(format!("the gateway does not start:\n{}", self.last_words()).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Kills it as a power cut would, but for the disk's cache.
    pub(super) async fn kill(&mut self) -> Result<(), Failure> {
        let mut child = self.running()?;
        child.kill().await?;
        Ok(())
    }

    /// Asks it to stop and waits until it has.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let mut child = self.running()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.ok_or("the gateway has no process id")?, Signal::TERM)?;
        let status = tokio::time::timeout(STOP_MAX, child.wait()).await;
        let status = status.map_err(|_| "the gateway does not stop")??;
        if !status.success() {
            return Err(format!("the gateway stopped with {status}:\n{}", self.last_words()).into());
        }
        Ok(())
    }

    /// The process, which must not have ended by itself.
    fn running(&mut self) -> Result<Child, Failure> {
        let mut child = self.child.take().ok_or("the gateway is not running")?;
        match child.try_wait()? {
            None => Ok(child),
            Some(status) => {
                Err(format!("the gateway ended by itself with {status}:\n{}", self.last_words()).into())
            }
        }
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }
}
