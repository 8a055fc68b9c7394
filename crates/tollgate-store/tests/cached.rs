//! Caches of gateways that share a store and a real Redis: one server, sentinels, a cluster. Run by `scripts/redis`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop where they fail")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tollgate_core::audit::By;
use tollgate_core::id::MerchantId;
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_store::Store;
use tollgate_store::cached::{CacheOptions, CachedStore};
use tollgate_store::commit::Admin;
use tollgate_store::embedded::{EmbeddedOptions, EmbeddedStore};
use tollgate_store::query::PolicyKind;
use tollgate_store::redis::Redis;

const NOW_MS: u64 = 1_790_000_000_000;
const PATIENCE: Duration = Duration::from_secs(20);
const OPTIONS: CacheOptions = CacheOptions { bytes_max: 16 << 20 };

/// A process that is killed when it is dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(port: u16, more: &[&str]) -> Self {
        let text = port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .expect("run by scripts/redis");
        let server = Self { child, port };
        let begun = Instant::now();
        while ask(port, &["PING"]).trim() != "PONG" {
            assert!(begun.elapsed() < PATIENCE, "the server on {port} does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What `redis-cli` prints.
fn ask(port: u16, words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A way to a server with a barrier in it: what has a certain text in it waits there, and so does what comes behind it.
struct Barrier {
    port: u16,
    is_reached: watch::Sender<bool>,
    is_open: watch::Sender<bool>,
}

impl Barrier {
    async fn before(server: &Server, text: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, server) = (listener.local_addr().unwrap().port(), server.port);
        let (is_reached, is_open) = (watch::Sender::new(false), watch::Sender::new(false));
        let barrier = Self { port, is_reached: is_reached.clone(), is_open: is_open.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = tokio::net::TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let ((mut asked, mut heard), (mut answered, mut asks)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(async move { tokio::io::copy(&mut answered, &mut heard).await });
                let (is_reached, mut is_open) = (is_reached.clone(), is_open.subscribe());
                tokio::spawn(async move {
                    let mut bytes = vec![0; 64 << 10];
                    while let Ok(count @ 1..) = asked.read(&mut bytes).await {
                        if bytes[..count].windows(text.len()).any(|part| part == text.as_bytes()) {
                            is_reached.send_replace(true);
                            let _ = is_open.wait_for(|is_open| *is_open).await;
                        }
                        if asks.write_all(&bytes[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        barrier
    }

    fn close(&self) {
        self.is_open.send_replace(false);
        self.is_reached.send_replace(false);
    }

    /// Waits until something waits there.
    async fn reached(&self) {
        let mut is_reached = self.is_reached.subscribe();
        let reached = is_reached.wait_for(|is_reached| *is_reached);
        tokio::time::timeout(PATIENCE, reached).await.expect("nothing comes to the barrier").unwrap();
    }

    fn open(&self) {
        self.is_open.send_replace(true);
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

fn store(folder: &Path) -> Arc<dyn Store> {
    Arc::new(EmbeddedStore::open(EmbeddedOptions::new(folder, 1)).unwrap())
}

/// A gateway: its caches on the store that all share.
async fn gateway(store: &Arc<dyn Store>, url: &str) -> Arc<CachedStore> {
    gateway_by(store, &Redis::new(url).unwrap()).await
}

async fn gateway_by(store: &Arc<dyn Store>, redis: &Redis) -> Arc<CachedStore> {
    let cached = CachedStore::new(Arc::clone(store), Some(redis.clone()), OPTIONS);
    redis.start();
    until("it is connected", || std::future::ready(redis.is_up())).await;
    // What it hears first, it hears a moment later.
    tokio::time::sleep(Duration::from_millis(100)).await;
    cached
}

async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn merchant(number: u128, name: &str) -> Merchant {
    Merchant {
        id: MerchantId::from_u128(number),
        name: name.to_owned(),
        mode: Mode::Sandbox,
        active: true,
        fee: FeePlan { percent_bps: 200, fixed_minor: 0 },
        mcc: None,
        country: None,
        processors: vec![],
        created_at_ms: NOW_MS,
    }
}

async fn put(store: &dyn Store, number: u128, name: &str) {
    store.administer(Admin::PutMerchant(merchant(number, name)), By::system(NOW_MS)).await.unwrap();
}

async fn name(store: &dyn Store, number: u128) -> Option<String> {
    store.merchant_view(MerchantId::from_u128(number)).await.unwrap().map(|merchant| merchant.name)
}

/// All that gateways owe each other, at whatever Redis.
async fn they_share(rows: &Arc<dyn Store>, one: &CachedStore, other: &CachedStore, number: u128) {
    // That there is nothing is remembered, until there is something.
    assert_eq!((name(one, number).await, name(other, number).await), (None, None));
    put(rows.as_ref(), number, "behind").await;
    assert_eq!(name(one, number).await, None, "it comes from a cache");
    put(one, number, "first").await;
    assert_eq!(name(one, number).await.as_deref(), Some("first"), "its own change is seen at once");
    until("the other hears of it", || async { name(other, number).await.as_deref() == Some("first") }).await;

    // What is changed behind the caches shows where the answers come from.
    put(rows.as_ref(), number, "behind").await;
    assert_eq!(name(one, number).await.as_deref(), Some("first"));
    assert_eq!(name(other, number).await.as_deref(), Some("first"));

    // What one fills in Redis the other reads there.
    put(one, number + 1, "shared").await;
    assert_eq!(name(one, number + 1).await.as_deref(), Some("shared"));
    put(rows.as_ref(), number + 1, "behind").await;
    assert_eq!(name(other, number + 1).await.as_deref(), Some("shared"), "from Redis");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; run by scripts/redis"]
async fn gateways_share_what_they_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(free_port(), &[]);
    let rows = store(folder.path());
    let (one, other) = (gateway(&rows, &server.url()).await, gateway(&rows, &server.url()).await);
    they_share(&rows, &one, &other, 10).await;

    // Whoever keeps something of a merchant is told; payments are too many for that.
    let mut told = other.changes().unwrap();
    let set = Admin::PutPolicy {
        merchant_id: MerchantId::from_u128(10),
        kind: PolicyKind::Limits,
        policy: Some("{}".to_owned()),
    };
    assert_eq!(other.policy_view(MerchantId::from_u128(10), PolicyKind::Limits).await.unwrap(), None);
    one.administer(set, By::system(NOW_MS)).await.unwrap();
    let told = tokio::time::timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    assert_eq!(told, Some(MerchantId::from_u128(10)));
    let seen = other.policy_view(MerchantId::from_u128(10), PolicyKind::Limits).await.unwrap();
    assert_eq!(seen.as_deref(), Some("{}"));
    assert!(one.warm_up().await.unwrap() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; run by scripts/redis"]
async fn nothing_old_is_left_when_redis_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(free_port(), &[]);
    let rows = store(folder.path());
    let (one, other) = (gateway(&rows, &server.url()).await, gateway(&rows, &server.url()).await);
    put(one.as_ref(), 1, "old").await;
    assert_eq!(name(one.as_ref(), 1).await.as_deref(), Some("old"));
    until("it is shared", || async { name(other.as_ref(), 1).await.as_deref() == Some("old") }).await;

    // It hangs with the old value in it: changes and looks go on, and are not held up for long.
    server.signal("-STOP");
    let begun = Instant::now();
    put(one.as_ref(), 1, "new").await;
    assert_eq!(name(one.as_ref(), 1).await.as_deref(), Some("new"), "its own change is seen at once");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // Nobody tells the other; what it has is believed for some seconds.
    until("the other sees it", || async { name(other.as_ref(), 1).await.as_deref() == Some("new") }).await;

    // What Redis still has is taken away when it answers again.
    server.signal("-CONT");
    let third = gateway(&rows, &server.url()).await;
    until("the old value is gone", || async { name(third.as_ref(), 1).await.as_deref() == Some("new") })
        .await;
    they_share(&rows, &one, &third, 50).await;

    // It is gone with all it had.
    let port = server.port;
    drop(server);
    until("it is missed", || async {
        put(one.as_ref(), 2, "alone").await;
        name(other.as_ref(), 2).await.as_deref() == Some("alone")
    })
    .await;
    let _server = Server::start(port, &[]);
    tokio::time::sleep(Duration::from_secs(4)).await;
    they_share(&rows, &one, &other, 70).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; run by scripts/redis"]
async fn readers_never_keep_what_was_changed_while_they_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(free_port(), &[]);
    let rows = store(folder.path());
    let (one, other) = (gateway(&rows, &server.url()).await, gateway(&rows, &server.url()).await);
    let readers: Vec<_> = [&one, &other, &one, &other]
        .into_iter()
        .map(|gateway| {
            let gateway = Arc::clone(gateway);
            tokio::spawn(async move {
                for _ in 0..2_000 {
                    name(gateway.as_ref(), 1).await;
                }
            })
        })
        .collect();
    for change in 0..200 {
        let by: &CachedStore = if change % 2 == 0 { &one } else { &other };
        let now = format!("change {change}");
        put(by, 1, &now).await;
        assert_eq!(name(by, 1).await, Some(now), "whoever changes it sees it");
    }
    for reader in readers {
        reader.await.unwrap();
    }
    for gateway in [&one, &other] {
        until("all is told", || async { name(gateway.as_ref(), 1).await.as_deref() == Some("change 199") })
            .await;
    }
    // In Redis as well.
    let third = gateway(&rows, &server.url()).await;
    assert_eq!(name(third.as_ref(), 1).await.as_deref(), Some("change 199"));
}

/// The readers above seldom come to be that late; here one always does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; run by scripts/redis"]
async fn what_was_read_before_a_change_is_not_filled_in_after_it() {
    const OLD: &str = "read before the change";
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(free_port(), &[]);
    let rows = store(folder.path());
    let barrier = Barrier::before(&server, OLD).await;
    let redis = Redis::new(&barrier.url()).unwrap();
    let (slow, other) = (gateway_by(&rows, &redis).await, gateway(&rows, &server.url()).await);
    // Redis knows the scripts from here on: each is one message.
    they_share(&rows, &slow, &other, 10).await;

    for somebody_else_reads in [false, true] {
        let number = if somebody_else_reads { 51 } else { 50 };
        barrier.close();
        put(rows.as_ref(), number, OLD).await;
        let reader = Arc::clone(&slow);
        let read = tokio::spawn(async move { name(reader.as_ref(), number).await });
        // It has its lease and has read; what it fills in is on its way.
        barrier.reached().await;
        let lease = ask(server.port, &["KEYS", "tollgate:c*:l"]).trim().to_owned();
        assert!(!lease.is_empty() && !lease.contains('\n'), "one reads: {lease:?}");
        put(other.as_ref(), number, "changed").await;
        assert_eq!(ask(server.port, &["EXISTS", &lease]).trim(), "0", "a change takes the lease away");
        if somebody_else_reads {
            // Another's lease in its place is none of its business.
            assert_eq!(ask(server.port, &["SET", &lease, "1", "PX", "60000"]).trim(), "OK");
        }
        barrier.open();
        until("it is through", || async { redis.ask::<String>(&redis::cmd("PING")).await.is_ok() }).await;
        let third = gateway(&rows, &server.url()).await;
        for gateway in [&third, &other, &slow] {
            assert_eq!(name(gateway.as_ref(), number).await.as_deref(), Some("changed"));
        }
        read.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; run by scripts/redis"]
async fn the_master_that_sentinels_name_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let rows = store(folder.path());
    let master = Server::start(free_port(), &[]);
    let replica = Server::start(free_port(), &["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let port = free_port();
    let settings = folder.path().join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor till 127.0.0.1 {} 1\n\
         sentinel down-after-milliseconds till 500\nsentinel failover-timeout till 2000\n",
        master.port
    );
    std::fs::write(&settings, text).unwrap();
    let child = Command::new("redis-server")
        .arg(&settings)
        .arg("--sentinel")
        .stdout(Stdio::null())
        .spawn()
        .expect("run by scripts/redis");
    let sentinel = Server { child, port };
    until("the sentinel knows both", || async {
        ask(sentinel.port, &["SENTINEL", "replicas", "till"]).contains(&replica.port.to_string())
    })
    .await;
    let url = format!("redis+sentinel://127.0.0.1:{port}/till");
    let (one, other) = (gateway(&rows, &url).await, gateway(&rows, &url).await);
    they_share(&rows, &one, &other, 10).await;

    drop(master);
    until("the replica is the master", || async { ask(replica.port, &["ROLE"]).starts_with("master") }).await;
    let (third, fourth) = (gateway(&rows, &url).await, gateway(&rows, &url).await);
    they_share(&rows, &third, &fourth, 50).await;
    // Those from before have found it too.
    until("the first gateways share again", || async {
        put(one.as_ref(), 90, "again").await;
        name(third.as_ref(), 90).await.as_deref() == Some("again")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; run by scripts/redis"]
async fn a_cluster_looks_like_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let rows = store(folder.path());
    // Each listens for the others on a port of its own, too.
    let servers: Vec<_> = (0..3)
        .map(|number: u16| {
            let (port, bus) = (free_port(), free_port().to_string());
            let folder = folder.path().join(format!("node{number}"));
            std::fs::create_dir(&folder).unwrap();
            let folder = folder.to_str().unwrap().to_owned();
            Server::start(port, &["--cluster-enabled", "yes", "--cluster-port", &bus, "--dir", &folder])
        })
        .collect();
    let addresses: Vec<_> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    let made = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(&addresses)
        .args(["--cluster-replicas", "0", "--cluster-yes"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    until("the cluster is whole", || async {
        ask(servers[0].port, &["CLUSTER", "INFO"]).contains("cluster_state:ok")
    })
    .await;
    let url = format!("redis+cluster://{}", addresses.join(","));
    let (one, other) = (gateway(&rows, &url).await, gateway(&rows, &url).await);
    // Several merchants: their keys are on different servers.
    for number in 1..6 {
        they_share(&rows, &one, &other, number * 10).await;
    }
}
