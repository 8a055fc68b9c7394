SELECT sequence, record
FROM events
WHERE merchant_id = $1 AND sequence > $2
ORDER BY sequence
LIMIT $3
