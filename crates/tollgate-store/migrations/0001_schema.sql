-- The first schema. Rules it keeps:
-- * The rows of a merchant carry merchant_id as the first column of their primary key, so that they can be
--   distributed by it. What belongs to nobody alone (keys, partners, notices, the logs' heads) is small and
--   keyed by its own id.
-- * Ids are time-ordered (UUIDv7), so a range of ids is a range of time: partitions by month are ranges of ids.
--   What hangs on a payment (its postings and events) is in the month of the payment.
-- * `record` is the whole row as the program reads it; the other columns are what queries look for.
-- * What no query looks into has a key, in the order it is read in, and a record.

-- Where the event log and the audit log end. The writer of a batch locks the row last, until it commits: so
-- sequence numbers have no gaps and become visible in their order.
CREATE TABLE log_head (
    id             smallint PRIMARY KEY CHECK (id = 1),
    event_sequence bigint   NOT NULL,
    audit_count    bigint   NOT NULL,
    audit_last     bytea    NOT NULL CHECK (length(audit_last) = 32)
) WITH (fillfactor = 10);
INSERT INTO log_head VALUES (1, 0, 0, decode(repeat('00', 32), 'hex'));

-- Runs of the program that are at work: their claims of idempotency keys are not to be taken over.
CREATE TABLE instances (
    run     bigint      PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE payments (
    merchant_id   uuid    NOT NULL,
    id            uuid    NOT NULL,
    version       integer NOT NULL,
    status        text    NOT NULL,
    processor     text    NOT NULL,
    method        text    NOT NULL,
    customer      bytea,
    checkout_id   uuid,
    currency      text    NOT NULL,
    amount_minor  bigint  NOT NULL,
    created_at_ms bigint  NOT NULL,
    deadline_ms   bigint,
    record        bytea   NOT NULL,
    PRIMARY KEY (merchant_id, id)
) PARTITION BY RANGE (id);
CREATE TABLE payments_default PARTITION OF payments DEFAULT;
CREATE INDEX payments_status ON payments (merchant_id, status, id);
CREATE INDEX payments_processor ON payments (merchant_id, processor, id);
CREATE INDEX payments_customer ON payments (merchant_id, customer, id) WHERE customer IS NOT NULL;
CREATE INDEX payments_checkout ON payments (merchant_id, checkout_id, id) WHERE checkout_id IS NOT NULL;
CREATE INDEX payments_active ON payments (deadline_ms, id) WHERE deadline_ms IS NOT NULL;

CREATE TABLE attempts (
    merchant_id   uuid    NOT NULL,
    id            uuid    NOT NULL,
    payment_id    uuid    NOT NULL,
    processor     text    NOT NULL,
    status        text    NOT NULL,
    is_watched    boolean NOT NULL,
    amount_minor  bigint  NOT NULL,
    created_at_ms bigint  NOT NULL,
    record        bytea   NOT NULL,
    PRIMARY KEY (merchant_id, id)
) PARTITION BY RANGE (id);
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;
CREATE INDEX attempts_id ON attempts (id);
CREATE INDEX attempts_watched ON attempts (id) WHERE is_watched;

CREATE TABLE ledger_postings (
    merchant_id uuid    NOT NULL,
    payment_id  uuid    NOT NULL,
    version     integer NOT NULL,
    at_ms       bigint  NOT NULL,
    currency    text    NOT NULL,
    record      bytea   NOT NULL,
    PRIMARY KEY (merchant_id, payment_id, version)
) PARTITION BY RANGE (payment_id);
CREATE TABLE ledger_postings_default PARTITION OF ledger_postings DEFAULT;

CREATE TABLE events (
    merchant_id uuid    NOT NULL,
    payment_id  uuid    NOT NULL,
    version     integer NOT NULL,
    sequence    bigint  NOT NULL,
    id          uuid    NOT NULL,
    at_ms       bigint  NOT NULL,
    type        text    NOT NULL,
    record      bytea   NOT NULL,
    PRIMARY KEY (merchant_id, payment_id, version)
) PARTITION BY RANGE (payment_id);
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE INDEX events_sequence ON events (sequence);
CREATE INDEX events_merchant ON events (merchant_id, sequence);

-- What a merchant has taken in a day or a month, for its limits: kept by every commit, as the totals are too many
-- to be added up in each. From one hour since 1970 up to before another.
CREATE TABLE volumes (
    merchant_id uuid    NOT NULL,
    currency    text    NOT NULL,
    from_hour   bigint  NOT NULL,
    to_hour     bigint  NOT NULL,
    taken_minor numeric NOT NULL,
    PRIMARY KEY (merchant_id, currency, from_hour, to_hour)
) WITH (fillfactor = 50);

CREATE TABLE audit (
    sequence    bigint PRIMARY KEY,
    merchant_id uuid,
    record      bytea NOT NULL
);
CREATE INDEX audit_merchant ON audit (merchant_id, sequence) WHERE merchant_id IS NOT NULL;

-- Rows of a limited life, by the day they were made (days since 1970).
CREATE TABLE idempotency (
    merchant_id uuid   NOT NULL,
    digest      bytea  NOT NULL,
    day         bigint NOT NULL,
    record      bytea  NOT NULL,
    PRIMARY KEY (merchant_id, digest, day)
) PARTITION BY RANGE (day);
CREATE TABLE idempotency_default PARTITION OF idempotency DEFAULT;

CREATE TABLE messages (
    merchant_id uuid   NOT NULL,
    digest      bytea  NOT NULL,
    day         bigint NOT NULL,
    record      bytea  NOT NULL,
    PRIMARY KEY (merchant_id, digest, day)
) PARTITION BY RANGE (day);
CREATE TABLE messages_default PARTITION OF messages DEFAULT;

-- A merchant's rows: the key is what follows the merchant.
CREATE TABLE merchants (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE merchant_partners (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE passkeys (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE refunds (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE balances (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
) WITH (fillfactor = 50);
CREATE TABLE totals (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
) WITH (fillfactor = 50);
CREATE TABLE saved_cards (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE user_cards (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE processor_accounts (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE policies (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE risk_lists (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE jobs (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE webhook_endpoints (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE deliveries (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE endpoint_deliveries (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE TABLE dead_deliveries (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);

-- A merchant's rows that are found by a key of their own, whoever owns them.
CREATE TABLE checkouts (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE INDEX checkouts_key ON checkouts (key);
CREATE TABLE job_due (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE INDEX job_due_key ON job_due (key);
CREATE TABLE job_turns (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE INDEX job_turns_key ON job_turns (key);
CREATE TABLE job_leases (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE INDEX job_leases_key ON job_leases (key);
CREATE TABLE job_ended (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE INDEX job_ended_key ON job_ended (key);
CREATE TABLE delivery_times (
    merchant_id uuid NOT NULL, key bytea NOT NULL, record bytea NOT NULL, PRIMARY KEY (merchant_id, key)
);
CREATE INDEX delivery_times_key ON delivery_times (key);

-- Rows of the whole installation.
CREATE TABLE api_keys (key bytea PRIMARY KEY, record bytea NOT NULL);
CREATE TABLE key_uses (key bytea PRIMARY KEY, record bytea NOT NULL);
CREATE TABLE partners (key bytea PRIMARY KEY, record bytea NOT NULL);
CREATE TABLE partner_references (key bytea PRIMARY KEY, record bytea NOT NULL);
CREATE TABLE notices (key bytea PRIMARY KEY, record bytea NOT NULL);
CREATE TABLE log_readers (key bytea PRIMARY KEY, record bytea NOT NULL);
CREATE TABLE calls (key bytea PRIMARY KEY, record bytea NOT NULL);
