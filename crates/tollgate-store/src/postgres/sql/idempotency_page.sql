SELECT day, digest, record
FROM idempotency
WHERE merchant_id = $1 AND (digest, day) > ($2, $3) AND day BETWEEN $4 AND $5
ORDER BY digest, day
LIMIT $6
