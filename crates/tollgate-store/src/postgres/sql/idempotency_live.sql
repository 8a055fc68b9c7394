SELECT record
FROM idempotency
WHERE merchant_id = $1 AND digest = $2 AND day >= $3
ORDER BY day DESC
LIMIT 1
