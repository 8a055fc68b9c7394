//! Customers and their shops: payments by several methods, captures, cancellations and refunds, each under
//! an idempotency key and sent again under it until there is an answer.

use super::client::{Answer, Client};
use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tollgate_core::id::{PaymentId, RefundId};
use tollgate_sim::load::AckLine;

/// Most shoppers at a time; while there are as many no new ones come.
const SHOPPERS_MAX: usize = 2_000;

/// What was sent, and what came back.
#[derive(Debug)]
pub(super) struct Traffic {
    /// One for each shop.
    clients: Vec<Client>,
    seed: u64,
    /// From then on nothing is sent again.
    give_up: Instant,
    /// The latest answer about each payment, and the shop it was given to.
    acknowledged: Mutex<HashMap<PaymentId, (AckLine, usize)>>,
    /// The answer about each refund.
    refunds: Mutex<HashMap<RefundId, String>>,
    pub(super) counts: Counts,
}

/// Counts of requests.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) answered: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) sent_again: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) held_back: AtomicU64,
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Traffic {
    pub(super) fn new(clients: Vec<Client>, seed: u64, give_up: Instant) -> Arc<Self> {
        Arc::new(Self {
            clients,
            seed,
            give_up,
            acknowledged: Mutex::default(),
            refunds: Mutex::default(),
            counts: Counts::default(),
        })
    }

    /// Lets shoppers come at a rate until the time is over, and waits until all have gone.
    pub(super) async fn run(self: &Arc<Self>, rate_per_s: f64, begun: Instant, length: Duration) {
        let places = Arc::new(Semaphore::new(SHOPPERS_MAX));
        let mut shoppers = JoinSet::new();
        for number in 0_u64.. {
            let at = Duration::from_secs_f64(number as f64 / rate_per_s);
            if at >= length {
                break;
            }
            tokio::time::sleep_until((begun + at).into()).await;
            while shoppers.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                add(&self.counts.held_back);
                continue;
            };
            let shop = usize::try_from(number).unwrap_or(0) % self.clients.len().max(1);
            let Some(client) = self.clients.get(shop).cloned() else {
                return;
            };
            let shopper = Shopper { traffic: Arc::clone(self), shop, client };
            shoppers.spawn(async move {
                shopper.shop(number).await;
                drop(place);
            });
        }
        while shoppers.join_next().await.is_some() {}
    }

    /// The payments there were answers about, each with whom to ask.
    pub(super) fn known(&self) -> Vec<(PaymentId, Client)> {
        let acknowledged = self.acknowledged.lock();
        let all = acknowledged.iter();
        all.filter_map(|(id, (_, shop))| Some((*id, self.clients.get(*shop)?.clone()))).collect()
    }

    /// What the gateway has promised: payments and refunds, with the status it answered last.
    pub(super) fn promises(&self) -> (HashMap<PaymentId, AckLine>, HashMap<RefundId, String>) {
        let acknowledged = self.acknowledged.lock();
        let lines = acknowledged.iter().map(|(id, (line, _))| (*id, line.clone())).collect();
        (lines, self.refunds.lock().clone())
    }

    /// Remembers what the gateway has said about a payment; its id.
    fn note(&self, shop: usize, answer: &Answer, key: &str) -> Option<PaymentId> {
        if answer.status >= 300 {
            return None;
        }
        let id: PaymentId = answer.text("id").parse().ok()?;
        let line = AckLine {
            id: id.to_string(),
            status: answer.text("status").to_owned(),
            amount: answer.text("amount").to_owned(),
            currency: answer.text("currency").to_owned(),
            idempotency_key: key.to_owned(),
        };
        self.acknowledged.lock().insert(id, (line, shop));
        Some(id)
    }
}

/// One customer of one of the shops.
struct Shopper {
    traffic: Arc<Traffic>,
    shop: usize,
    client: Client,
}

impl Shopper {
    /// Pays, and does what follows from that.
    async fn shop(self, number: u64) {
        let mut random =
            StdRng::seed_from_u64(self.traffic.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let key = format!("chaos-{}-{number}", self.traffic.seed);
        let amount_minor: u64 = random.random_range(10_000..500_000);
        let body = payment(&mut random, number, amount_minor);
        let Some(answer) = self.insist("/api/v1/payments", &key, &body, &mut random).await else {
            return;
        };
        let Some(id) = self.traffic.note(self.shop, &answer, &key) else {
            return;
        };
        let path = format!("/api/v1/payments/{id}");
        match answer.text("status") {
            "authorized" => match random.random_range(0..100) {
                0..70 => {
                    pause(&mut random).await;
                    let whole = json!({});
                    let part = json!({"amount": major(amount_minor / 2)});
                    let body = if random.random_bool(0.2) { part } else { whole };
                    let key = format!("{key}-capture");
                    let captured = self.insist(&format!("{path}/capture"), &key, &body, &mut random).await;
                    if let Some(captured) = captured.filter(|it| it.status < 300) {
                        self.traffic.note(self.shop, &captured, &key);
                        if captured.text("status") == "completed" {
                            self.give_back(&path, &key, amount_minor / 2, &mut random).await;
                        }
                    }
                }
                70..90 => self.cancel(&path, &key, &mut random).await,
                _ => {}
            },
            "requires_action" if random.random_bool(0.4) => self.cancel(&path, &key, &mut random).await,
            "completed" => self.give_back(&path, &key, amount_minor, &mut random).await,
            _ => {}
        }
    }

    async fn cancel(&self, path: &str, key: &str, random: &mut StdRng) {
        pause(random).await;
        let key = format!("{key}-cancel");
        let cancelled = self.insist(&format!("{path}/cancel"), &key, &json!({}), random).await;
        if let Some(cancelled) = cancelled.filter(|it| it.status < 300) {
            self.traffic.note(self.shop, &cancelled, &key);
        }
    }

    /// Refunds of some payments: in one, in parts, or more than there is.
    async fn give_back(&self, path: &str, key: &str, amount_minor: u64, random: &mut StdRng) {
        let parts: &[u64] = match random.random_range(0..10) {
            0..6 => &[],
            6 | 7 => &[100],
            8 => &[30, 70],
            _ => &[60, 60],
        };
        for (place, percent) in parts.iter().enumerate() {
            pause(random).await;
            let key = format!("{key}-refund-{place}");
            let body = json!({"amount": major(amount_minor * percent / 100)});
            let Some(answer) = self.insist(&format!("{path}/refunds"), &key, &body, random).await else {
                return;
            };
            if let Some(id) = answer.text("id").parse().ok().filter(|_| answer.status < 300) {
                self.traffic.refunds.lock().insert(id, answer.text("status").to_owned());
            }
        }
    }

    /// Sends until there is an answer; none if there was none before the end.
    async fn insist(&self, path: &str, key: &str, body: &Value, random: &mut StdRng) -> Option<Answer> {
        let body = Bytes::from(body.to_string());
        // Callers hang up too.
        let hurry = random.random_bool(0.02).then(|| Duration::from_millis(random.random_range(2..80)));
        let mut patience = hurry;
        while Instant::now() < self.traffic.give_up {
            match self.client.post(path, key, body.clone(), patience.take()).await {
                Some(answer) if is_final(&answer) => {
                    add(if answer.status < 300 {
                        &self.traffic.counts.answered
                    } else {
                        &self.traffic.counts.refused
                    });
                    return Some(answer);
                }
                _ => {
                    add(&self.traffic.counts.sent_again);
                    tokio::time::sleep(Duration::from_millis(random.random_range(50..300))).await;
                }
            }
        }
        add(&self.traffic.counts.unanswered);
        None
    }
}

/// Whether sending the same again could not bring another answer.
fn is_final(answer: &Answer) -> bool {
    match answer.status {
        409 => answer.text("code") != "idempotency_key_in_use",
        429 => false,
        status => status < 500,
    }
}

async fn pause(random: &mut StdRng) {
    tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
}

fn major(minor: u64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// A payment that two processors at least can take.
fn payment(random: &mut StdRng, number: u64, amount_minor: u64) -> Value {
    let card = |number: &str| json!({"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2030, "cvc": "123"}});
    let upi = |vpa: &str| json!({"type": "upi", "upi": {"vpa": vpa}});
    let mut manual = false;
    let method = match random.random_range(0..100) {
        0..22 => card("4111111111111111"),
        22..47 => {
            manual = true;
            card("4111111111111111")
        }
        47..49 => card("4000000000009995"),
        // The holder has to act.
        49..52 => card("4000000000003220"),
        52..72 => upi("asha@upi"),
        72..74 => upi("declined@upi"),
        74..78 => upi("pending@upi"),
        78..80 => upi("pending-rejected@upi"),
        // By link: the customer always has to act.
        80..84 => json!({"type": "upi"}),
        84..93 => json!({"type": "wallet", "wallet": {"provider": "paytm"}}),
        _ => json!({"type": "net_banking", "net_banking": {"bank": "HDFC"}}),
    };
    json!({
        "amount": major(amount_minor),
        "currency": "INR",
        "payment_method": method,
        "capture_mode": if manual { "manual" } else { "automatic" },
        "user_id": format!("customer-{}", number % 5_000),
        // Linked wallets and banks: no page.
        "customer": {"email": "frictionless@example.com"},
    })
}
