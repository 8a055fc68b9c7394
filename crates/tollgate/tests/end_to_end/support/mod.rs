//! The rig of the end-to-end tests: the real binary as gateway and as simulators, each a process of
//! its own on a free port, with a store and books in a temporary folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "tests stop where they fail, and each test file uses a part of the rig"
)]

pub mod database;
pub mod vault;

use database::Database;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tollgate_sim::accounts::Simulator;
use tollgate_sim::books::{BookEntry, parse_ndjson};

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

/// A gateway and its simulators.
pub struct Rig {
    pub folder: tempfile::TempDir,
    pub key: String,
    pub port: u16,
    /// The simulators' addresses by name.
    pub places: BTreeMap<String, String>,
    /// Environment variables of the gateway, for knobs that the configuration has already.
    pub environment: Vec<(String, String)>,
    simulators: Child,
    server: Option<Child>,
    /// Gone after the server.
    database: Option<Database>,
}

/// A reply of the gateway.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

impl Rig {
    /// Starts everything with the defaults of the tests.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts everything; `extra` is TOML put behind the tests' configuration.
    pub fn start_with(extra: &str) -> Self {
        let database = Database::of_rig();
        let knobs = database.as_ref().map(Database::knobs).unwrap_or_default();
        let mut rig = Self::start_on(&knobs, extra);
        rig.database = database;
        rig
    }

    /// The same, with lines for `[store]`.
    pub fn start_on(knobs: &str, extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut simulators = Command::new(BINARY)
            .args(["simulate", "--listen", "127.0.0.1:0", "--accounts"])
            .arg(folder.path().join("accounts.toml"))
            .arg("--books")
            .arg(folder.path().join("books"))
            .args(["--webhooks", &format!("http://127.0.0.1:{port}")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The accounts are written before the first place is printed.
        let simulated = Simulator::standard().len();
        let lines = BufReader::new(simulators.stdout.take().unwrap()).lines().take(simulated);
        let places: BTreeMap<String, String> = lines
            .map(|line| {
                let line = line.unwrap();
                let (name, url) = line.split_once(' ').unwrap();
                (name.to_owned(), url.to_owned())
            })
            .collect();
        let accounts = std::fs::read_to_string(folder.path().join("accounts.toml")).unwrap();
        let config = format!(
            r#"
[server]
listen = "127.0.0.1:{port}"
[store]
folder = "{folder}/store"
{knobs}
[log]
filter = "warn"
{accounts}
{extra}
"#,
            folder = folder.path().display()
        );
        std::fs::write(folder.path().join("tollgate.toml"), config).unwrap();
        if knobs.contains("url") {
            let config = folder.path().join("tollgate.toml");
            database::tollgate(&config, &["migrate"]);
            if knobs.contains("shards") {
                database::tollgate(&config, &["shards", "init"]);
            }
        }
        let key = String::new();
        // A busy machine may take its time: only the tests of the budget and of overload are about it.
        // Nor is anybody slowed down, but in the tests of rate limits.
        let environment = [
            ("TOLLGATE_FRAUD__BUDGET_US", "1000000"),
            ("TOLLGATE_OVERLOAD__LIMIT_MIN", "4096"),
            ("TOLLGATE_RATE_LIMITS__ENABLED", "false"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let mut rig =
            Self { folder, key, port, places, environment, simulators, server: None, database: None };
        rig.key = rig.add_partner("Test shop");
        rig.serve();
        rig
    }

    /// Makes a partner of the two direct processors while no server runs; returns its key.
    pub fn add_partner(&self, name: &str) -> String {
        self.add_partner_with(name, &["--processors", "razorpay,payu"])
    }

    /// Makes a partner with more options while no server runs; returns its key. Its country is India, unless
    /// another is given, or `none`. Its fraud policy declines nobody: tests pay with the same few cards and
    /// addresses again and again. All is scored nevertheless.
    pub fn add_partner_with(&self, name: &str, more: &[&str]) -> String {
        let policy = self.path("lenient.json");
        std::fs::write(&policy, r#"{"thresholds": {"step_up_above": 1, "block_above": 1}}"#).unwrap();
        let policy = policy.display().to_string();
        // A category for which UPI collect is still open.
        let add = ["partner", "add", "--name", name, "--mcc", "6211", "--fraud-policy", &policy];
        let (more, country): (&[&str], &[&str]) = match more {
            [more @ .., "--country", "none"] => (more, &[]),
            [.., "--country", _] => (more, &[]),
            _ => (more, &["--country", "IN"]),
        };
        let output = self.tollgate(&[&add, country, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned()
    }

    /// Stops the gateway, makes one partner for each list of processors, and serves again.
    pub fn partners_of(&mut self, processors: &[&str]) -> Vec<String> {
        self.stop();
        let add = |list: &&str| self.add_partner_with(list, &["--processors", list]);
        let keys = processors.iter().map(add).collect();
        self.serve();
        keys
    }

    /// Sets a knob that the configuration has already; the next `serve` sees it.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Everything the gateway has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("server.log")).unwrap()
    }

    /// Runs another command of the binary with the rig's configuration.
    pub fn tollgate(&self, args: &[&str]) -> Output {
        Command::new(BINARY).arg("--config").arg(self.config()).args(args).output().unwrap()
    }

    /// The rig's configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("tollgate.toml")
    }

    /// A path in the rig's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder with what the store holds, as bytes; call it while no server runs.
    pub fn stored(&self) -> PathBuf {
        let folder = self.path("store");
        if let Some(database) = &self.database {
            database.dump(&folder);
        }
        folder
    }

    /// Where the gateway is.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A gateway with the rig's configuration and more of its environment; not waited for.
    pub fn spawn(&self, more: &[(&str, &str)]) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.path("server.log")).unwrap();
        let mut command = Command::new(BINARY);
        command.arg("--config").arg(self.config()).arg("serve").stderr(log);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.envs(more.iter().copied());
        command.spawn().unwrap()
    }

    /// Starts the gateway and waits until it is ready.
    pub fn serve(&mut self) {
        self.server = Some(self.spawn(&[]));
        self.wait(Duration::from_secs(30), "the gateway is ready", || {
            call("GET", &self.url("/ready"), &[], None).is_some_and(|reply| reply.status == 200)
        });
    }

    /// The gateway's process id.
    pub fn server_pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// Kills the gateway with SIGKILL.
    pub fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Asks the gateway to stop and waits until it has.
    pub fn stop(&mut self) {
        let mut server = self.server.take().unwrap();
        let asked = Command::new("kill").arg(server.id().to_string()).status().unwrap();
        assert!(asked.success());
        assert!(server.wait().unwrap().success());
    }

    /// Stops the gateway and audits its store against the simulators' books; returns what the audit
    /// printed. Fails the test if it found a problem.
    pub fn verify(&mut self, more: &[&str]) -> String {
        if self.server.is_some() {
            self.stop();
        }
        let books = self.path("books").display().to_string();
        let output = self.tollgate(&[&["verify", "--books", &books], more].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// A call with the partner's key.
    pub fn call(&self, verb: &str, path: &str, body: Option<&Value>) -> Reply {
        self.call_as(&self.key, verb, path, &[], body)
    }

    /// A call with any key and more headers.
    pub fn call_as(
        &self,
        key: &str,
        verb: &str,
        path: &str,
        more: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Reply {
        let bearer = format!("Bearer {key}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend_from_slice(more);
        let text = body.map(Value::to_string);
        if text.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let bytes = text.as_ref().map(|text| text.as_bytes());
        call(verb, &self.url(path), &headers, bytes).expect("the gateway answers")
    }

    /// Takes a payment of this body and returns it; the test fails unless it is accepted.
    pub fn pay(&self, body: &Value) -> Value {
        let reply = self.call("POST", "/api/v1/payments", Some(body));
        assert!(matches!(reply.status, 201 | 202), "{} {}", reply.status, reply.json());
        reply.json()
    }

    /// Takes a UPI payment in rupees with a test address.
    pub fn pay_upi(&self, amount: &str, vpa: &str) -> Value {
        self.pay(&json!({
            "amount": amount, "currency": "INR",
            "payment_method": {"type": "upi", "upi": {"vpa": vpa}}
        }))
    }

    /// A payment as it stands now.
    pub fn payment(&self, id: &Value) -> Value {
        self.payment_as(&self.key, id)
    }

    /// A payment of any partner as it stands now.
    pub fn payment_as(&self, key: &str, id: &Value) -> Value {
        let path =
            format!("/api/v1/payments/{}?expand=attempts,refunds,ledger_entries", id.as_str().unwrap());
        let reply = self.call_as(key, "GET", &path, &[], None);
        assert_eq!(reply.status, 200, "{}", reply.json());
        reply.json()
    }

    /// Sets the faults of a simulator.
    pub fn faults(&self, processor: &str, profile: &Value) {
        let base = self.simulator(processor);
        let headers = [("content-type", "application/json")];
        let reply =
            call("PUT", &format!("{base}/sim/faults"), &headers, Some(profile.to_string().as_bytes()));
        let reply = reply.expect("the simulator answers");
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    }

    /// Waits until a payment is such and returns it; the test fails if it does not become so in time.
    pub fn becomes(&self, key: &str, id: &Value, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let payment = self.payment_as(key, id);
            if holds(&payment) {
                return payment;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "it did not become {what}: {payment:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where a simulator is.
    pub fn simulator(&self, processor: &str) -> &str {
        &self.places[processor]
    }

    /// The customer of a pending payment decides.
    pub fn decide(&self, payment: &Value, approve: bool) {
        let attempt =
            payment["attempts"].as_array().unwrap().iter().find(|it| it["kind"] == "charge").unwrap();
        let base = self.simulator(attempt["processor"].as_str().unwrap());
        let verb = if approve { "approve" } else { "reject" };
        let url = format!("{base}/sim/{verb}/{}", attempt["reference"].as_str().unwrap());
        assert_eq!(call("POST", &url, &[], None).unwrap().status, 200);
    }

    /// All entries in the simulators' books.
    pub fn books(&self) -> Vec<BookEntry> {
        let read = |base: &String| {
            let reply = call("GET", &format!("{base}/sim/books"), &[], None).unwrap();
            parse_ndjson(std::str::from_utf8(&reply.body).unwrap()).unwrap().0
        };
        self.places.values().flat_map(read).collect()
    }

    /// What the simulators' books hold of a payment's charge attempts.
    pub fn booked(&self, payment: &Value) -> Vec<BookEntry> {
        let attempts = payment["attempts"].as_array().unwrap();
        let ours = |entry: &BookEntry| {
            attempts
                .iter()
                .any(|attempt| attempt["reference"] == entry.reference && attempt["kind"] == "charge")
        };
        self.books().into_iter().filter(ours).collect()
    }

    /// Sends a Razorpay webhook, signed as the account's.
    pub fn razorpay_webhook(&self, event_id: &str, event: &Value) -> Reply {
        let body = event.to_string();
        let signature = hmac_sha256_hex(b"simulated-webhook-secret", body.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("x-razorpay-signature", signature.as_str()),
            ("x-razorpay-event-id", event_id),
        ];
        call("POST", &self.url("/api/v1/webhooks/razorpay"), &headers, Some(body.as_bytes())).unwrap()
    }

    /// What comes back for these bytes until the connection ends or nothing comes for five seconds.
    pub fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // The gateway may answer and close before it has read everything.
        let _ = stream.write_all(bytes);
        read_all(&mut stream)
    }

    /// A connection to the gateway.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    /// Waits until something holds; the test fails if it does not in time.
    pub fn wait(&self, patience: Duration, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < patience, "waited too long until {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.path("server.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the gateway's last words:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
        for child in [Some(&mut self.simulators), self.server.as_mut()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A call; none if the connection failed.
pub fn call(verb: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Option<Reply> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(90)))
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(verb).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let sent = match body {
        Some(body) => agent.run(request.body(body).unwrap()),
        None => agent.run(request.body(()).unwrap()),
    };
    let mut response = sent.ok()?;
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(64 << 20).read_to_vec().ok()?;
    Some(Reply { status, headers, body })
}

/// Checks a refusal: status, stable code, field (if any), media type.
#[track_caller]
pub fn refused(reply: &Reply, status: u16, code: &str, field: Option<&str>) {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, status, "{text}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{text}");
    let problem = reply.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["field"].as_str(), field, "{problem}");
    assert_eq!(problem["request_id"].as_str(), reply.header("x-request-id"), "{problem}");
}

/// Everything that still comes.
pub fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0_u8; 16 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..length]);
    }
    all
}

/// An amount's text in minor units of a currency with two digits.
#[track_caller]
pub fn minor(amount: &Value) -> i64 {
    let text = amount.as_str().unwrap();
    let (whole, fraction) = text.split_once('.').unwrap();
    assert_eq!(fraction.len(), 2, "{text}");
    format!("{whole}{fraction}").parse().unwrap()
}

/// HMAC-SHA256 (RFC 2104) in hexadecimal, for keys of at most 64 bytes.
pub fn hmac_sha256_hex(key: &[u8], message: &[u8]) -> String {
    let pad = |filler: u8| -> Vec<u8> {
        (0..64).map(|place| key.get(place).copied().unwrap_or(0) ^ filler).collect()
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    // Below the ports that the system gives to outgoing connections: one of those could take it while the
    // gateway is restarted.
    loop {
        let port = 15_000 + rand::random::<u16>() % 16_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
