//! The real binary on several databases: what is taken on each of them arrives, and a bucket is moved between them while payments
//! go on, by a command that is killed half-way and gone on with. Run by `scripts/postgres`.

use crate::support::database::{Database, is_postgres, knobs};
use crate::support::{Rig, call};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tollgate_core::id::PaymentId;
use tollgate_sim::receivers::{Behaviour, Receiver};

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");
const PATIENCE: Duration = Duration::from_secs(40);
const SHARDS: u16 = 3;

/// Enquiries come quickly: what was cut off is settled before the audit.
const QUICK: &str = "[webhooks]\nallow_private = true\n[enquiry]\nfirst_ms = 50\nlongest_ms = 500\nsettle_absent_ms = 2000\n\
                     sweep_ms = 1000\n";

/// Databases of one rig that are one installation, and a rig on them.
fn start() -> (Vec<Database>, Rig) {
    assert!(is_postgres());
    let databases: Vec<Database> = (0..SHARDS).map(|_| Database::of_rig().unwrap()).collect();
    let further: Vec<String> = databases[1..].iter().map(|it| format!("{:?}", it.url())).collect();
    let lines = format!("{}shards = [{}]\n", knobs(&databases[0].url()), further.join(", "));
    let rig = Rig::start_on(&lines, QUICK);
    (databases, rig)
}

/// A partner's key, whose merchant's rows are in a bucket.
struct Shop {
    key: String,
    bucket: u16,
}

impl Shop {
    fn open(rig: &Rig, name: &str) -> Self {
        let key = rig.add_partner(name);
        let paid = pay(rig, &key);
        let id: PaymentId = paid["id"].as_str().unwrap().parse().unwrap();
        Self { key, bucket: id.bucket() }
    }
}

fn pay(rig: &Rig, key: &str) -> Value {
    let body = json!({"amount": "100.00", "currency": "INR",
        "payment_method": {"type": "upi", "upi": {"vpa": "success@upi"}}});
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&body));
    assert_eq!(reply.status, 201, "{}", reply.json());
    reply.json()
}

/// Shops until each shard has one.
fn one_a_shard(rig: &Rig) -> BTreeMap<u16, Shop> {
    let mut shops = BTreeMap::new();
    for number in 0..60 {
        if shops.len() == usize::from(SHARDS) {
            break;
        }
        let shop = Shop::open(rig, &format!("Shop {number}"));
        shops.entry(shop.bucket % SHARDS).or_insert(shop);
    }
    assert_eq!(shops.len(), usize::from(SHARDS), "sixty shops, and none on one of three shards");
    shops
}

#[test]
#[ignore = "needs a PostgreSQL; run by scripts/postgres"]
fn what_is_taken_on_every_shard_is_told() {
    let (_databases, mut rig) = start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (shard, shop) in one_a_shard(&rig) {
        let receiver = runtime.block_on(Receiver::start(Behaviour::Healthy, true)).unwrap();
        let endpoint = json!({"url": receiver.url(), "events": ["payment.completed"]});
        let made = rig.call_as(&shop.key, "POST", "/api/v1/webhook_endpoints", &[], Some(&endpoint));
        assert_eq!(made.status, 201, "{}", made.json());
        let paid = pay(&rig, &shop.key);
        rig.wait(PATIENCE, &format!("shard {shard} tells its shop"), || !receiver.received().is_empty());
        let told: Value = serde_json::from_slice(&receiver.received()[0].body).unwrap();
        assert_eq!(told["data"]["payment"]["id"], paid["id"]);
    }
    rig.verify(&["--nothing-open"]);
}

fn load(rig: &Rig, shop: &Shop, acknowledged: &str) -> Child {
    let mut command = Command::new(BINARY);
    command
        .args(["load", "--url", &rig.url(""), "--rate", "60", "--connections", "32", "--warm-up", "0"])
        .args(["--duration", "600", "--tolerate-outage", "--retry", "--timeout-ms", "10000", "--ack-log"])
        .arg(rig.path(acknowledged))
        .args(["--instrument", "upi:success@upi=100", "--instrument", "card:4111111111111111=100"])
        .env("TOLLGATE_KEY", &shop.key);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Begins or goes on with a move, and kills it when it says that it is at a stage.
fn killed_at(rig: &Rig, bucket: u16, target: u16, stage: &str) {
    let mut mover = Command::new(BINARY);
    mover.arg("--config").arg(rig.config()).args(["shards", "move", &bucket.to_string()]);
    let mut mover = mover.args(["--to", &target.to_string()]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(mover.stdout.take().unwrap()).lines();
    let seen = lines.map(Result::unwrap).find(|line| line == stage);
    mover.kill().unwrap();
    mover.wait().unwrap();
    assert_eq!(seen.as_deref(), Some(stage), "the move ended before it came there");
}

#[test]
#[ignore = "needs a PostgreSQL; run by scripts/postgres"]
fn a_bucket_is_moved_under_load_by_a_command_that_is_killed_half_way() {
    let (_databases, mut rig) = start();
    let mut shops = one_a_shard(&rig);
    let (moved, stays) = (shops.remove(&1).unwrap(), shops.remove(&2).unwrap());
    // Enough to copy.
    for _ in 0..50 {
        pay(&rig, &moved.key);
    }
    let generators = [load(&rig, &moved, "of-the-moved"), load(&rig, &stays, "of-the-other")];
    std::thread::sleep(Duration::from_secs(2));
    let stages = ["preparing", "copying", "catching_up", "paused"];
    for stage in stages {
        killed_at(&rig, moved.bucket, 2, stage);
        std::thread::sleep(Duration::from_millis(300));
    }
    let status = String::from_utf8(rig.tollgate(&["shards", "status"]).stdout).unwrap();
    assert!(status.contains(&format!("bucket {} is on its way from 1 to 2", moved.bucket)), "{status}");
    // A bucket whose mover was killed while it was closed takes payments again by itself.
    rig.wait(PATIENCE, "the bucket takes payments", || {
        let bearer = format!("Bearer {}", moved.key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = br#"{"amount": "1.00", "currency": "INR", "payment_method": "card"}"#;
        call("POST", &rig.url("/api/v1/payments"), &headers, Some(body))
            .is_some_and(|reply| reply.status == 201)
    });
    // On a machine that is too busy for its bound the pause is given up, and the move is gone on with later.
    let mut done = rig.tollgate(&["shards", "move", &moved.bucket.to_string(), "--to", "2"]);
    for _ in 0..5 {
        if done.status.success() {
            break;
        }
        assert!(String::from_utf8_lossy(&done.stderr).contains("took too long"), "{done:?}");
        done = rig.tollgate(&["shards", "move", &moved.bucket.to_string(), "--to", "2"]);
    }
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains(&format!("bucket {} is on shard 2", moved.bucket)), "{said}");
    pay(&rig, &moved.key);
    for generator in generators {
        let stopped = Command::new("kill").arg(generator.id().to_string()).status().unwrap();
        assert!(stopped.success());
        let mut generator = generator;
        generator.wait().unwrap();
    }
    let status = String::from_utf8(rig.tollgate(&["shards", "status"]).stdout).unwrap();
    assert!(!status.contains("on its way"), "{status}");
    std::thread::sleep(Duration::from_secs(4));
    for name in ["of-the-moved", "of-the-other"] {
        let acknowledged = rig.path(name);
        let lines = std::fs::read_to_string(&acknowledged).unwrap().lines().count();
        assert!(lines > 500, "{name}: hardly anything was acknowledged: {lines}");
        rig.verify(&["--acknowledged", &acknowledged.display().to_string()]);
    }
}
