-- Each key by itself, as in idempotency_get.sql.
SELECT wanted.merchant_id, wanted.key, kept.record
FROM unnest($1::uuid[], $2::bytea[]) AS wanted (merchant_id, key)
CROSS JOIN LATERAL (
    SELECT record FROM {table} WHERE merchant_id = wanted.merchant_id AND key = wanted.key OFFSET 0
) AS kept
