-- Each key by itself, as in idempotency_get.sql.
SELECT wanted.merchant_id, wanted.id, kept.record
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (merchant_id, id)
CROSS JOIN LATERAL (
    SELECT record FROM payments WHERE merchant_id = wanted.merchant_id AND id = wanted.id OFFSET 0
) AS kept
