SELECT wanted.merchant_id, wanted.digest, kept.day, kept.record
FROM unnest($1::uuid[], $2::bytea[]) AS wanted (merchant_id, digest)
JOIN idempotency AS kept USING (merchant_id, digest)
WHERE kept.day >= $3::bigint
ORDER BY kept.day
