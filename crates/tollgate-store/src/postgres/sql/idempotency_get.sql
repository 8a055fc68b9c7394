-- Each key by itself: without OFFSET 0 a plan made while the table was small may read all of it for each key, and goes on doing so.
SELECT wanted.merchant_id, wanted.digest, kept.day, kept.record
FROM unnest($1::uuid[], $2::bytea[]) AS wanted (merchant_id, digest)
CROSS JOIN LATERAL (
    SELECT day, record FROM idempotency
    WHERE merchant_id = wanted.merchant_id AND digest = wanted.digest AND day BETWEEN $3::bigint AND $4::bigint
    OFFSET 0
) AS kept
ORDER BY kept.day
