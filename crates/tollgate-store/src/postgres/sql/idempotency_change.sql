UPDATE idempotency AS present
SET record = wanted.record
FROM unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::bytea[]) AS wanted (merchant_id, digest, day, record)
WHERE present.merchant_id = wanted.merchant_id AND present.digest = wanted.digest AND present.day = wanted.day
