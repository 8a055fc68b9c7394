-- The log of what became of webhook deliveries. It only adds: programs of the schema before go on, and what they deliver
-- is not in it.

-- Where the log ends. It has a head of its own, so that payments do not wait for deliveries: the writer of a batch that
-- adds to it locks this row, until it commits.
CREATE TABLE outcome_head (
    id       smallint PRIMARY KEY CHECK (id = 1),
    sequence bigint   NOT NULL
) WITH (fillfactor = 10);
INSERT INTO outcome_head VALUES (1, 0);

-- `made` is the number it had first: it stays, wherever its bucket is taken, and a merchant's only grow. What came with
-- a bucket and was read already is not in this log.
CREATE TABLE webhook_outcomes (
    merchant_id uuid    NOT NULL,
    made        bigint  NOT NULL,
    sequence    bigint  NOT NULL,
    in_log      boolean NOT NULL DEFAULT true,
    at_ms       bigint  NOT NULL,
    record      bytea   NOT NULL,
    PRIMARY KEY (merchant_id, made)
);
CREATE INDEX webhook_outcomes_sequence ON webhook_outcomes (sequence) WHERE in_log;
CREATE INDEX webhook_outcomes_time ON webhook_outcomes (at_ms);
