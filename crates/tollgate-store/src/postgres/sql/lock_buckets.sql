-- Until the transaction ends, nobody else decides anything about the merchants of these buckets, in this order.
-- Rows that are not there yet (a new payment, a free idempotency key, a limit's sum) cannot be locked; this can.
SELECT pg_advisory_xact_lock($1::integer, bucket) FROM unnest($2::integer[]) AS bucket
