SELECT day, merchant_id, digest, record
FROM idempotency
WHERE (day, merchant_id, digest) > ($1, $2, $3)
ORDER BY day, merchant_id, digest
LIMIT $4
