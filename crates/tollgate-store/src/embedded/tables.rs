//! The keyspaces of the embedded store.
//!
//! | keyspace | key | row |
//! |---|---|---|
//! | `meta` | name | schema version; the audit log's end; the secret under which it names people; the last outcome that was removed |
//! | `merchants` | merchant | `Merchant` |
//! | `api_keys` | API key | `ApiKey` |
//! | `key_uses` | API key | when it was last used |
//! | `passkeys` | merchant, user digest, passkey | `Passkey` |
//! | `payments` | merchant, payment | `Payment` and the numbers of its events |
//! | `attempts` | attempt | `Attempt` that nothing is waited for of |
//! | `open_attempts` | attempt | `Attempt` whose end is waited for; an older row may be in `attempts` |
//! | `refunds` | merchant, refund | `Refund` |
//! | `balances` | merchant, currency, account | account and `Balance` |
//! | `totals` | merchant, hour, currency, method | `Totals` |
//! | `events` | sequence | `EventRecord`, and the `Posting` that books it, if it moves money |
//! | `merchant_events` | merchant, last sequence of a batch | the numbers of the merchant's events in that batch |
//! | `user_payments` | merchant, user digest, payment | – |
//! | `checkouts` | checkout session | `CheckoutSession` |
//! | `checkout_payments` | checkout session, payment | – |
//! | `merchant_checkouts` | merchant, checkout session | – |
//! | `saved_cards` | merchant, token | `SavedCard` |
//! | `user_cards` | merchant, user digest, token | – |
//! | `processor_accounts` | merchant, processor | `ProcessorAccount` |
//! | `policies` | merchant, kind | JSON |
//! | `risk_lists` | merchant, list, payment | – |
//! | `notices` | notice | `Notice` |
//! | `partners` | partner | `Partner` |
//! | `partner_references` | operator's reference | partner |
//! | `merchant_partners` | merchant | partner |
//! | `audit` | sequence | `AuditRecord` |
//! | `merchant_audit` | merchant, sequence | – |
//! | `deadlines` | time, payment | merchant |
//! | `jobs` | merchant, job | `Job` |
//! | `job_due` | kind, lane, time, job | merchant |
//! | `job_turns` | lane, row, place, job | merchant |
//! | `job_leases` | job | merchant |
//! | `job_ended` | time, job | merchant |
//! | `log_readers` | reader | sequence |
//! | `webhook_endpoints` | merchant, endpoint | `WebhookEndpoint` |
//! | `deliveries` | merchant, delivery | `Delivery` |
//! | `endpoint_deliveries` | merchant, endpoint, delivery | – |
//! | `dead_deliveries` | merchant, delivery | – |
//! | `delivery_times` | delivery | merchant and endpoint |
//! | `outcomes` | sequence | `WebhookOutcome` |
//! | `calls` | day, merchant | list of `EndpointCalls` |
//! | `idempotency_<day>` | merchant, key digest | `IdempotencyRecord` |
//! | `messages_<day>` | merchant, digest | – |

use crate::batch::MESSAGES_MS;
use crate::embedded::windows::Windows;
use crate::error::StoreError;
use crate::lsm::{Database, Keyspace, KeyspaceOptions};
use tollgate_core::audit::key::LogKey;

/// Where the end of the audit log stands in `meta`.
pub(super) const AUDIT_HEAD: &[u8] = b"audit_head";

/// Where the secret under which the audit log names people stands in `meta`.
const LOG_KEY: &[u8] = b"log_key";

/// Where the number of the last outcome that was removed stands in `meta`: numbers go on behind it, though none is left.
pub(super) const OUTCOMES_GONE: &[u8] = b"outcomes_gone";

/// Memtable of a busy keyspace. Each that is full costs eight fsyncs, and merges with what was written before it: half as large ones cost the
/// engine's threads half as much again (`docs/store-engine.md`).
const LARGE: u64 = 16 << 20;

/// Memtable of a quiet keyspace.
const SMALL: u64 = 4 << 20;

/// Tables on disk: a merge begins with as many bytes as the last one has, and the writer's fsync waits for no more.
const TABLE: u64 = 32 << 20;

/// How many tables of a keyspace are new before they are merged.
const NEW: u8 = 4;

/// How a keyspace is made.
const fn options(memtable_bytes: u64) -> KeyspaceOptions {
    KeyspaceOptions { memtable_bytes, new_tables: NEW, table_bytes: TABLE, apart_from: None }
}

/// How a keyspace is made whose keys come in no order, so that each merge of what is new touches all of the next level: it waits until three
/// times as much is new, and the next level is not much more than that (`docs/store-engine.md`).
pub(super) const fn scattered(memtable_bytes: u64) -> KeyspaceOptions {
    KeyspaceOptions { new_tables: SCATTERED_NEW, table_bytes: SCATTERED_TABLE, ..options(memtable_bytes) }
}

/// How many tables of such a keyspace are new before they are merged. The engine slows writers down from 20 on.
const SCATTERED_NEW: u8 = 12;

/// Tables of such a keyspace; the first level is [`SCATTERED_NEW`] of them.
const SCATTERED_TABLE: u64 = 8 << 20;

/// All keyspaces, open.
pub(super) struct Tables {
    pub(super) database: Database,
    pub(super) meta: Keyspace,
    pub(super) merchants: Keyspace,
    pub(super) api_keys: Keyspace,
    pub(super) key_uses: Keyspace,
    pub(super) passkeys: Keyspace,
    pub(super) payments: Keyspace,
    pub(super) attempts: Keyspace,
    pub(super) open_attempts: Keyspace,
    pub(super) refunds: Keyspace,
    pub(super) balances: Keyspace,
    pub(super) totals: Keyspace,
    pub(super) events: Keyspace,
    pub(super) merchant_events: Keyspace,
    pub(super) user_payments: Keyspace,
    pub(super) checkouts: Keyspace,
    pub(super) checkout_payments: Keyspace,
    pub(super) merchant_checkouts: Keyspace,
    pub(super) saved_cards: Keyspace,
    pub(super) user_cards: Keyspace,
    pub(super) processor_accounts: Keyspace,
    pub(super) policies: Keyspace,
    pub(super) risk_lists: Keyspace,
    pub(super) notices: Keyspace,
    pub(super) partners: Keyspace,
    pub(super) partner_references: Keyspace,
    pub(super) merchant_partners: Keyspace,
    pub(super) audit: Keyspace,
    pub(super) merchant_audit: Keyspace,
    pub(super) deadlines: Keyspace,
    pub(super) jobs: Keyspace,
    pub(super) job_due: Keyspace,
    pub(super) job_turns: Keyspace,
    pub(super) job_leases: Keyspace,
    pub(super) job_ended: Keyspace,
    pub(super) log_readers: Keyspace,
    pub(super) webhook_endpoints: Keyspace,
    pub(super) deliveries: Keyspace,
    pub(super) endpoint_deliveries: Keyspace,
    pub(super) dead_deliveries: Keyspace,
    pub(super) delivery_times: Keyspace,
    pub(super) outcomes: Keyspace,
    pub(super) calls: Keyspace,
    pub(super) idempotency: Windows,
    pub(super) messages: Windows,
    pub(super) log_key: LogKey,
}

impl Tables {
    /// Opens all keyspaces, making those that do not exist.
    pub(super) fn open(database: Database, idempotency_ms: u64) -> Result<Self, StoreError> {
        let open = |name: &str, memtable_bytes: u64| database.keyspace(name, options(memtable_bytes));
        let meta = open("meta", SMALL)?;
        Ok(Self {
            log_key: log_key(&meta)?,
            meta,
            merchants: open("merchants", SMALL)?,
            api_keys: open("api_keys", SMALL)?,
            key_uses: open("key_uses", SMALL)?,
            passkeys: open("passkeys", SMALL)?,
            payments: open("payments", LARGE)?,
            attempts: open("attempts", LARGE)?,
            open_attempts: open("open_attempts", LARGE)?,
            refunds: open("refunds", SMALL)?,
            balances: open("balances", SMALL)?,
            totals: open("totals", SMALL)?,
            events: open("events", LARGE)?,
            merchant_events: open("merchant_events", SMALL)?,
            user_payments: database.keyspace("user_payments", scattered(LARGE))?,
            checkouts: open("checkouts", SMALL)?,
            checkout_payments: open("checkout_payments", SMALL)?,
            merchant_checkouts: open("merchant_checkouts", SMALL)?,
            saved_cards: open("saved_cards", SMALL)?,
            user_cards: open("user_cards", SMALL)?,
            processor_accounts: open("processor_accounts", SMALL)?,
            policies: open("policies", SMALL)?,
            risk_lists: open("risk_lists", SMALL)?,
            notices: open("notices", SMALL)?,
            partners: open("partners", SMALL)?,
            partner_references: open("partner_references", SMALL)?,
            merchant_partners: open("merchant_partners", SMALL)?,
            audit: open("audit", SMALL)?,
            merchant_audit: open("merchant_audit", SMALL)?,
            deadlines: open("deadlines", SMALL)?,
            jobs: open("jobs", LARGE)?,
            job_due: open("job_due", LARGE)?,
            job_turns: open("job_turns", SMALL)?,
            job_leases: open("job_leases", SMALL)?,
            job_ended: open("job_ended", SMALL)?,
            log_readers: open("log_readers", SMALL)?,
            webhook_endpoints: open("webhook_endpoints", SMALL)?,
            deliveries: open("deliveries", LARGE)?,
            endpoint_deliveries: open("endpoint_deliveries", SMALL)?,
            dead_deliveries: open("dead_deliveries", SMALL)?,
            delivery_times: open("delivery_times", SMALL)?,
            outcomes: open("outcomes", SMALL)?,
            calls: open("calls", SMALL)?,
            idempotency: Windows::open(&database, "idempotency_", idempotency_ms)?,
            messages: Windows::open(&database, "messages_", MESSAGES_MS)?,
            database,
        })
    }
}

/// The secret under which the audit log names people; the first opener makes it.
fn log_key(meta: &Keyspace) -> Result<LogKey, StoreError> {
    if let Some(row) = meta.get(LOG_KEY)? {
        let bytes = row.as_ref().try_into().map_err(|_| StoreError::Corrupt("secret of the audit log"))?;
        return Ok(LogKey::new(bytes));
    }
    let bytes: [u8; 32] = rand::random();
    meta.insert(LOG_KEY, bytes)?;
    Ok(LogKey::new(bytes))
}
