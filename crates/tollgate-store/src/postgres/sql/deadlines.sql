SELECT deadline_ms, merchant_id, id
FROM payments
WHERE deadline_ms < $1
ORDER BY deadline_ms, id
LIMIT $2
