//! The real binary on PostgreSQL: what only servers side by side on one database must do. Run by `scripts/postgres`.

use crate::redis::{Redis, metric};
use crate::support::database::{Database, is_postgres, knobs};
use crate::support::{Rig, call, free_port, refused};
use serde_json::{Value, json};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

#[path = "../../../tollgate-store/tests/support/cluster.rs"]
mod cluster;

use cluster::Cluster;

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");
const PATIENCE: Duration = Duration::from_secs(20);

/// Another gateway on a rig's database.
struct Second {
    port: u16,
    child: Child,
}

impl Second {
    fn start(rig: &Rig) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let vault = rig.path("second-vault").display().to_string();
        let auth = rig.path("auth").display().to_string();
        let more = [
            ("TOLLGATE_SERVER__LISTEN", listen.as_str()),
            ("TOLLGATE_VAULT__FOLDER", vault.as_str()),
            ("TOLLGATE_AUTH__FOLDER", auth.as_str()),
        ];
        let second = Self { port, child: rig.spawn(&more) };
        rig.wait(PATIENCE, "the second gateway is ready", || {
            call("GET", &second.url("/ready"), &[], None).is_some_and(|reply| reply.status == 200)
        });
        second
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn body() -> Value {
    json!({"amount": "100.00", "currency": "INR", "payment_method": {"type": "upi", "upi": {"vpa": "success@upi"}}})
}

fn pay(url: &str, key: &str, name: &str) -> crate::support::Reply {
    let bearer = format!("Bearer {key}");
    let headers =
        [("authorization", bearer.as_str()), ("idempotency-key", name), ("content-type", "application/json")];
    call("POST", url, &headers, Some(body().to_string().as_bytes())).expect("the gateway answers")
}

#[test]
#[ignore = "needs a PostgreSQL; run by scripts/postgres"]
fn one_key_is_one_charge_whichever_gateway_it_comes_to() {
    assert!(is_postgres());
    let mut rig = Rig::start();
    let second = Second::start(&rig);
    let urls = [rig.url("/api/v1/payments"), second.url("/api/v1/payments")];
    let first = pay(&urls[0], &rig.key, "first");
    assert_eq!(first.status, 201, "{}", first.json());
    let again = pay(&urls[1], &rig.key, "first");
    assert_eq!((again.status, &again.body), (first.status, &first.body), "a repeat elsewhere");
    // Ten keys, each sent eight times at once to both.
    let replies: Vec<(usize, Value)> = std::thread::scope(|scope| {
        let (rig, urls) = (&rig, &urls);
        let send = |number: usize| {
            scope.spawn(move || {
                let (name, begun) = (number / 8, Instant::now());
                loop {
                    let reply = pay(&urls[number % 2], &rig.key, &format!("race-{name}"));
                    // The other is still at it.
                    if reply.status != 409 {
                        assert_eq!(reply.status, 201, "{}", reply.json());
                        return (name, reply.json());
                    }
                    refused(&reply, 409, "idempotency_key_in_use", Some("Idempotency-Key"));
                    assert!(begun.elapsed() < PATIENCE);
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        };
        let threads: Vec<_> = (0..80).map(send).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for name in 0..10 {
        let mut ids: Vec<&Value> =
            replies.iter().filter(|(of, _)| *of == name).map(|(_, it)| &it["id"]).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert_eq!(rig.booked(&rig.payment(ids[0])).len(), 1);
    }
    // What one has begun the other ends, and the sum of refunds holds however they come in.
    let path = format!("/api/v1/payments/{}/refunds", first.json()["id"].as_str().unwrap());
    let bearer = format!("Bearer {}", rig.key);
    let refunded: usize = std::thread::scope(|scope| {
        let (rig, second, path, bearer) = (&rig, &second, &path, &bearer);
        let refund = |number: usize| {
            scope.spawn(move || {
                let url = if number.is_multiple_of(2) { rig.url(path) } else { second.url(path) };
                let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
                let reply = call("POST", &url, &headers, Some(br#"{"amount": "30.00"}"#)).unwrap();
                usize::from(matches!(reply.status, 201 | 202))
            })
        };
        let threads: Vec<_> = (0..8).map(refund).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(refunded, 3, "three times 30 of 100");
    drop(second);
    rig.verify(&["--nothing-open"]);
}

#[test]
#[ignore = "needs a PostgreSQL; run by scripts/postgres"]
fn commands_work_beside_a_server() {
    let rig = Rig::start();
    // Keys made beside the server are known to it.
    let key = rig.add_partner("Beside");
    let payment = pay(&rig.url("/api/v1/payments"), &key, "beside");
    assert_eq!(payment.status, 201, "{}", payment.json());
    for command in [
        &["partner", "list"][..],
        &["admin", "keys"],
        &["audit", "verify"],
        &["api-versions", "report"],
        &["migrate", "--check"],
        &["migrate"],
        &["partitions", "ahead", "--months", "5"],
    ] {
        let output = rig.tollgate(command);
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command:?}: {said}{complained}");
    }
    let months = rig.tollgate(&["partitions", "ahead", "--months", "6"]);
    assert_eq!(
        String::from_utf8(months.stdout).unwrap().lines().count(),
        4,
        "the sixth month of four tables"
    );
    let early = rig.tollgate(&["partitions", "retention", "--keep-days", "365"]);
    assert!(String::from_utf8(early.stderr).unwrap().contains("ten years"));
    let pools = call("GET", &rig.url("/health/detailed"), &[], None).unwrap().json();
    assert_eq!(pools["pools"][0]["name"], "primary");
    assert!(pools["pools"][0]["connections"].as_u64().unwrap() >= 2, "{pools}");
    let metrics = String::from_utf8(call("GET", &rig.url("/metrics"), &[], None).unwrap().body).unwrap();
    for name in
        ["connections", "idle_connections", "waiting", "waits_total", "timeouts_total", "connects_total"]
    {
        assert!(metrics.contains(&format!("tollgate_pool_{name}{{pool=\"primary\"}}")), "{name}");
    }
}

#[test]
#[ignore = "needs a PostgreSQL; run by scripts/postgres"]
fn a_server_says_in_one_sentence_why_it_does_not_start() {
    let database = Database::of_rig().unwrap();
    let url = database.url();
    let serve = |url: &str| {
        let mut command = Command::new(BINARY);
        command.arg("serve").env("TOLLGATE_STORE", url).env("TOLLGATE_SERVER__LISTEN", "127.0.0.1:0");
        let output = command.env("TOLLGATE_LOG__FILTER", "error").output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = serve(&url);
    assert!(said.contains("run `tollgate migrate` first"), "{said}");
    let said = serve("postgres://tollgate:hush@127.0.0.1:1/nowhere");
    assert!(said.lines().count() == 1 && !said.contains("hush"), "{said}");
    let said = serve("postgres://tollgate:hush@127.0.0.1:1/nowhere?sslmode=prefer");
    assert!(said.contains("sslmode") && !said.contains("hush"), "{said}");
}

/// Caches live for minutes and keys for half a minute, unless somebody tells of changes: here somebody does.
#[test]
#[ignore = "needs a PostgreSQL and redis-server; run by scripts/postgres"]
fn what_one_gateway_changes_the_other_does_not_keep() {
    const SOON: Duration = Duration::from_secs(10);
    let redis = Redis::start(free_port());
    let rig = Rig::start_with(&format!("[redis]\nurl = \"{}\"", redis.url()));
    let second = Second::start(&rig);
    rig.wait(PATIENCE, "it has found Redis", || metric(&rig, "tollgate_redis_up") == Some(1.0));
    let look = |path: &str, key: &str| {
        let bearer = format!("Bearer {key}");
        call("GET", &second.url(path), &[("authorization", bearer.as_str())], None).unwrap()
    };

    // A payment that the other has looked at, and looks at again.
    let paid = pay(&rig.url("/api/v1/payments"), &rig.key, "seen").json();
    let path = format!("/api/v1/payments/{}", paid["id"].as_str().unwrap());
    assert_eq!(look(&path, &rig.key).json()["status"], "completed");
    assert_eq!(look(&path, &rig.key).json()["status"], "completed");
    let refund = rig.call("POST", &format!("{path}/refunds"), Some(&json!({})));
    assert!(matches!(refund.status, 201 | 202), "{}", refund.json());
    rig.wait(SOON, "the other sees the refund", || look(&path, &rig.key).json()["status"] == "refunded");
    let read = String::from_utf8(call("GET", &second.url("/metrics"), &[], None).unwrap().body).unwrap();
    assert!(read.contains("tollgate_cache_reads_total{kind=\"payment\",tier=\"process\"}"), "{read}");

    // A key that is revoked at one gateway; and a partner that a command suspends.
    let made = rig.call("POST", "/api/v1/api_keys", Some(&json!({"name": "short", "role": "developer"})));
    let made = made.json();
    let key = made["key"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    assert_eq!(look("/api/v1/balance", &key).status, 200);
    let id = made["id"].as_str().unwrap();
    assert_eq!(rig.call("POST", &format!("/api/v1/api_keys/{id}/revoke"), None).status, 200);
    rig.wait(SOON, "the other refuses the key", || look("/api/v1/balance", &key).status == 401);
    let key = rig.add_partner("Told");
    let url = second.url("/api/v1/payments");
    assert_eq!(pay(&url, &key, "before").status, 201);
    let list = String::from_utf8(rig.tollgate(&["partner", "list"]).stdout).unwrap();
    let line = list.lines().find(|line| line.contains("Told")).unwrap();
    let done = rig.tollgate(&["partner", "suspend", line.split_whitespace().next().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let tries = std::cell::Cell::new(0);
    rig.wait(SOON, "the other takes no payment of it", || {
        tries.set(tries.get() + 1);
        pay(&url, &key, &format!("after-{}", tries.get())).status != 201
    });

    // Without Redis each goes on by itself.
    drop(redis);
    rig.wait(PATIENCE, "it misses Redis", || metric(&rig, "tollgate_redis_up") == Some(0.0));
    let paid = pay(&second.url("/api/v1/payments"), &rig.key, "alone").json();
    let path = format!("/api/v1/payments/{}", paid["id"].as_str().unwrap());
    assert_eq!(look(&path, &rig.key).json()["status"], "completed");
    assert!(matches!(rig.call("POST", &format!("{path}/refunds"), Some(&json!({}))).status, 201 | 202));
    rig.wait(SOON, "the other sees the refund", || look(&path, &rig.key).json()["status"] == "refunded");
}

/// The database goes away under a running server and comes back: refused meanwhile, nothing lost, no restart.
#[test]
#[ignore = "needs a PostgreSQL; run by scripts/postgres"]
fn a_database_that_was_away_is_used_again() {
    let cluster = Cluster::new("");
    cluster.start();
    let mut rig = Rig::start_on(&knobs(&cluster.url()), "");
    let url = rig.url("/api/v1/payments");
    assert_eq!(pay(&url, &rig.key, "before").status, 201);
    // One is at the processor while the database goes: it is booked, and answered, when that is back.
    rig.faults("razorpay", &json!({"latency": {"kind": "constant", "ms": 2_000}}));
    rig.faults("payu", &json!({"latency": {"kind": "constant", "ms": 2_000}}));
    let key = rig.key.clone();
    let under_way = std::thread::spawn({
        let (url, key) = (url.clone(), key.clone());
        move || pay(&url, &key, "during")
    });
    std::thread::sleep(Duration::from_millis(700));
    cluster.stop("immediate");
    rig.wait(PATIENCE, "it is not ready", || {
        call("GET", &rig.url("/ready"), &[], None).is_some_and(|reply| reply.status == 503)
    });
    for number in 0..3 {
        let asked = Instant::now();
        let reply = pay(&url, &key, &format!("away-{number}"));
        refused(&reply, 503, "store_unavailable", None);
        assert!(reply.header("retry-after").is_some());
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
    std::thread::sleep(Duration::from_secs(2));
    cluster.start();
    let answered = under_way.join().unwrap();
    assert_eq!(answered.status, 201, "{}", answered.json());
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({}));
    }
    rig.wait(PATIENCE, "it is ready again", || {
        call("GET", &rig.url("/ready"), &[], None).is_some_and(|reply| reply.status == 200)
    });
    let repeated = pay(&url, &key, "during");
    assert_eq!(repeated.body, answered.body);
    assert_eq!(pay(&url, &key, "away-0").status, 201);
    rig.verify(&["--nothing-open"]);
}

/// The database dies while it is not known whether a capture, or a payment, is durable: they are refused, and are there. Whoever
/// repeats them gets an answer under the same key, though the process under which it was claimed still lives.
#[test]
#[ignore = "needs a PostgreSQL; run by scripts/postgres"]
fn what_was_doubtful_is_answered_under_its_key() {
    let cluster = Cluster::new("");
    cluster.start();
    let mut rig = Rig::start_on(&format!("{}patience_ms = 0\n", knobs(&cluster.url())), "");
    let url = rig.url("/api/v1/payments");
    let bearer = format!("Bearer {}", rig.key);
    let post = |path: &str, key: &str, body: &Value| {
        let headers = [
            ("authorization", bearer.as_str()),
            ("idempotency-key", key),
            ("content-type", "application/json"),
        ];
        call("POST", path, &headers, Some(body.to_string().as_bytes())).expect("the gateway answers")
    };
    let card = json!({"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123", "name": "Asha Holder"});
    let method = json!({"type": "card", "card": card});
    let manual =
        json!({"amount": "100.00", "currency": "INR", "capture_mode": "manual", "payment_method": method});
    // A partition that is still being made would wait for the replica first, with every writer behind its locks.
    let made = rig.tollgate(&["partitions", "ahead"]);
    assert!(made.status.success(), "{made:?}");
    let held = post(&url, "held", &manual);
    assert_eq!((held.status, held.json()["status"].as_str()), (201, Some("authorized")), "{}", held.json());
    let capture = format!("{url}/{}/capture", held.json()["id"].as_str().unwrap());
    let sql = |text: &str| cluster.sql(text);
    for (path, key, body) in [(&capture, "taken", json!({})), (&url, "paid", body())] {
        sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        sql("SELECT pg_reload_conf()");
        std::thread::sleep(Duration::from_millis(300));
        let refused_in_doubt = std::thread::scope(|scope| {
            let asked = scope.spawn(|| post(path, key, &body));
            let waits =
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'COMMIT%'";
            rig.wait(PATIENCE, "a commit waits", || sql(waits) != "0");
            cluster.stop("immediate");
            asked.join().unwrap()
        });
        refused(&refused_in_doubt, 503, "store_unavailable", None);
        cluster.start();
        sql("ALTER SYSTEM RESET synchronous_standby_names");
        sql("SELECT pg_reload_conf()");
        rig.wait(Duration::from_secs(90), "the key is answered", || {
            let reply = post(path, key, &body);
            if reply.status < 300 {
                assert_eq!(reply.header("idempotent-replayed"), Some("true"), "{}", reply.json());
                assert_eq!(post(path, key, &body).body, reply.body);
                return true;
            }
            assert!(matches!(reply.status, 409 | 503), "{}", reply.json());
            false
        });
    }
    rig.verify(&[]);
}
