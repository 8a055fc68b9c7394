-- Shards: several databases of this schema, each with the merchants of some of the 1,024 buckets.
--
-- A program that knows only the first schema must not go on: it would write without asking whose a bucket is.

-- The bucket of a merchant: ten bits of its id.
CREATE FUNCTION tollgate_bucket(merchant_id uuid) RETURNS smallint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (((get_byte(uuid_send(merchant_id), 8) & 63) << 4) | (get_byte(uuid_send(merchant_id), 9) >> 4))::smallint;

-- On a shard: what it is, and for which buckets it takes writes (a bit each). Without a row: for all. Every batch
-- reads it after it has its locks; whoever changes it has the same locks meanwhile. `partners_upto`: how much of the
-- directory's log was taken over.
CREATE TABLE shard (
    id            smallint PRIMARY KEY CHECK (id = 1),
    number        smallint NOT NULL,
    installation  uuid     NOT NULL,
    epoch         bigint   NOT NULL,
    open          bytea    NOT NULL CHECK (length(open) = 128),
    partners_upto bigint   NOT NULL DEFAULT 0
);

-- On the directory, which is shard 0: where each bucket's rows are.
CREATE TABLE directory (
    id           smallint   PRIMARY KEY CHECK (id = 1),
    installation uuid       NOT NULL,
    version      bigint     NOT NULL,
    shards       smallint   NOT NULL,
    owners       smallint[] NOT NULL CHECK (cardinality(owners) = 1024)
);

-- The move under way, and how far it is. There is one at a time.
CREATE TABLE shard_moves (
    bucket     smallint    PRIMARY KEY,
    source     smallint    NOT NULL,
    target     smallint    NOT NULL,
    stage      text        NOT NULL,
    copied     text[]      NOT NULL DEFAULT '{}',
    begun_at   timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX shard_moves_one ON shard_moves ((true));

-- What commits on every shard must know of partners: the last word about each row, in the order of the changes.
CREATE TABLE directory_log (
    table_name text   NOT NULL,
    key        bytea  NOT NULL,
    sequence   bigint NOT NULL,
    record     bytea,
    PRIMARY KEY (table_name, key)
);
CREATE INDEX directory_log_sequence ON directory_log (sequence);
CREATE SEQUENCE directory_log_numbers;

-- How much of each other shard's audit log is in the directory's.
CREATE TABLE audit_taken (
    shard smallint PRIMARY KEY,
    upto  bigint   NOT NULL
);

-- How many shards a run knows by its configuration.
ALTER TABLE instances ADD COLUMN shards smallint;

-- On the source of a move: the bucket that leaves, and which of its rows were changed since they were copied.
CREATE TABLE leaving (bucket smallint PRIMARY KEY);
CREATE TABLE bucket_changes (
    id         bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket     smallint NOT NULL,
    table_name text     NOT NULL,
    key        text     NOT NULL
);

-- Notes the rows that a statement has changed, if their bucket leaves. Its triggers are there while a bucket is
-- moved; their argument is the key as text.
CREATE FUNCTION tollgate_note_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO bucket_changes (bucket, table_name, key)
         SELECT leaving.bucket, %L, %s
         FROM changed AS t JOIN leaving ON leaving.bucket = tollgate_bucket(t.merchant_id)',
        TG_TABLE_NAME, TG_ARGV[0]);
    RETURN NULL;
END
$$;

-- Events that came with a bucket are its history; what they set off was done where they were made. They keep their
-- numbers, which others here may have too.
ALTER TABLE events ADD COLUMN in_log boolean NOT NULL DEFAULT true;
DROP INDEX events_sequence;
CREATE INDEX events_sequence ON events (sequence) WHERE in_log;
