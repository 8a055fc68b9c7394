//! A payment as it is usually written to a database: a transaction for its beginning and one for its end, a statement a row, each
//! statement waiting for the one before. Same tables, same columns, records as long as the store's.
//!
//! It does less than the store: its events are numbered by a sequence, which leaves gaps and shows numbers out of their order; nothing
//! checks limits; sums are overwritten, not added up.

use crate::replies;
use std::error::Error;
use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use tokio_postgres::{Client, NoTls, Statement};
use tollgate_core::id::MerchantId;

/// An id.
#[derive(Debug, Clone, Copy)]
struct Id([u8; 16]);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }

    to_sql_checked!();
}

/// How long the store's records are, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    payment: usize,
    attempt: usize,
    event: usize,
    posting: usize,
}

impl Sizes {
    /// As they are in a database that the store has written.
    pub(crate) async fn read(url: &str) -> Self {
        let client = connect(url).await;
        let mut sizes = Vec::new();
        for table in ["payments", "attempts", "events", "ledger_postings"] {
            let text = format!(
                "SELECT avg(length(record))::bigint FROM (SELECT record FROM {table} LIMIT 1000) AS newest"
            );
            let size: i64 = client.query_one(&text, &[]).await.unwrap().get(0);
            sizes.push(usize::try_from(size).unwrap());
        }
        Self { payment: sizes[0], attempt: sizes[1], event: sizes[2], posting: sizes[3] }
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Makes a database beside this one; its address.
pub(crate) async fn database(url: &str) -> String {
    let client = connect(url).await;
    client.batch_execute("DROP DATABASE IF EXISTS plain").await.unwrap();
    client.batch_execute("CREATE DATABASE plain").await.unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/plain")
}

const STATEMENTS: [&str; 14] = [
    // The beginning.
    "SELECT record FROM idempotency WHERE merchant_id = $1 AND digest = $2 AND day >= $3",
    "INSERT INTO idempotency (merchant_id, digest, day, record) VALUES ($1, $2, $3, $4)",
    "INSERT INTO payments (merchant_id, id, version, status, processor, method, customer, currency, amount_minor,
                           created_at_ms, deadline_ms, record)
     VALUES ($1, $2, 1, 'processing', 'razorpay', 'upi', $3, 'INR', 10000, $4, $4, $5)",
    "INSERT INTO attempts (merchant_id, id, payment_id, processor, status, is_watched, amount_minor, created_at_ms, record)
     VALUES ($1, $2, $2, 'razorpay', 'open', true, 10000, $3, $4)",
    "INSERT INTO events (merchant_id, payment_id, version, sequence, id, at_ms, type, record)
     VALUES ($1, $2, 1, nextval('plain_events'), $2, $3, 'payment.created', $4)",
    "INSERT INTO totals (merchant_id, key, record) VALUES ($1, $2, $3)
     ON CONFLICT (merchant_id, key) DO UPDATE SET record = EXCLUDED.record",
    // The end.
    "SELECT record FROM payments WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
    "UPDATE payments SET version = 2, status = 'completed', deadline_ms = NULL, record = $3 WHERE merchant_id = $1 AND id = $2",
    "UPDATE attempts SET status = 'succeeded', is_watched = false, record = $3 WHERE merchant_id = $1 AND id = $2",
    "INSERT INTO ledger_postings (merchant_id, payment_id, version, at_ms, currency, record) VALUES ($1, $2, 2, $3, 'INR', $4)",
    "INSERT INTO events (merchant_id, payment_id, version, sequence, id, at_ms, type, record)
     VALUES ($1, $2, 2, nextval('plain_events'), $2, $3, 'payment.completed', $4)",
    "UPDATE idempotency SET record = $4 WHERE merchant_id = $1 AND digest = $2 AND day = $3",
    "INSERT INTO totals (merchant_id, key, record) VALUES ($1, $2, $3)
     ON CONFLICT (merchant_id, key) DO UPDATE SET record = EXCLUDED.record",
    "INSERT INTO balances (merchant_id, key, record) VALUES ($1, '\\x01', $2), ($1, '\\x02', $2), ($1, '\\x03', $2)
     ON CONFLICT (merchant_id, key) DO UPDATE SET record = EXCLUDED.record",
];

/// A connection, and whose payments go over it.
pub(crate) struct Plain {
    client: Client,
    statements: Vec<Statement>,
    merchant: Id,
    sizes: Sizes,
}

impl Plain {
    pub(crate) async fn connect(url: &str, merchant: MerchantId, sizes: Sizes) -> Self {
        let client = connect(url).await;
        // Several make it at once; one of them wins.
        client.batch_execute("CREATE SEQUENCE IF NOT EXISTS plain_events").await.unwrap();
        let mut statements = Vec::new();
        for text in STATEMENTS {
            statements.push(client.prepare(text).await.unwrap());
        }
        Self { client, statements, merchant: Id(merchant.to_bytes()), sizes }
    }

    /// Runs a statement and waits for it.
    async fn run(&self, number: usize, params: &[&(dyn ToSql + Sync)]) -> u64 {
        self.client.execute(&self.statements[number], params).await.unwrap()
    }

    /// One payment: begun and completed.
    pub(crate) async fn pay(&self, number: u64, now_ms: u64) {
        let at_ms = i64::try_from(now_ms).unwrap();
        let day = at_ms / 86_400_000;
        // Ordered by time, as the store's ids.
        let id = Id((u128::from(now_ms) << 80 | 0x7 << 76 | u128::from(number)).to_be_bytes());
        let merchant = &self.merchant;
        let mut digest = [0_u8; 32];
        digest[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        digest[8..16].copy_from_slice(&number.to_be_bytes());
        let digest = digest.as_slice();
        let customer = &digest[..16];
        let record = |bytes: usize| vec![b'r'; bytes];
        let (payment, attempt, event) =
            (record(self.sizes.payment), record(self.sizes.attempt), record(self.sizes.event));
        let (claim, sums) = (record(80), record(40));
        let reply = replies::reply("pay_0352GH8VIHuptO8AdDrWe1", "mer_0352GH3ndLQGsXkMsGea9h", number);
        let key = u32::try_from(at_ms / 3_600_000).unwrap().to_be_bytes();
        let key = key.as_slice();

        self.client.batch_execute("BEGIN").await.unwrap();
        self.run(0, &[merchant, &digest, &(day - 1)]).await;
        self.run(1, &[merchant, &digest, &day, &claim]).await;
        self.run(2, &[merchant, &id, &customer, &at_ms, &payment]).await;
        self.run(3, &[merchant, &id, &at_ms, &attempt]).await;
        self.run(4, &[merchant, &id, &at_ms, &event]).await;
        // Rows that many payments change come last: whoever comes after waits for this commit.
        self.run(5, &[merchant, &key, &sums]).await;
        self.client.batch_execute("COMMIT").await.unwrap();

        self.client.batch_execute("BEGIN").await.unwrap();
        self.run(6, &[merchant, &id]).await;
        assert_eq!(self.run(7, &[merchant, &id, &payment]).await, 1);
        assert_eq!(self.run(8, &[merchant, &id, &attempt]).await, 1);
        self.run(9, &[merchant, &id, &at_ms, &record(self.sizes.posting)]).await;
        self.run(10, &[merchant, &id, &at_ms, &event]).await;
        assert_eq!(self.run(11, &[merchant, &digest, &day, &reply]).await, 1);
        self.run(12, &[merchant, &key, &sums]).await;
        self.run(13, &[merchant, &sums]).await;
        self.client.batch_execute("COMMIT").await.unwrap();
    }
}
