SELECT sequence, record
FROM webhook_outcomes
WHERE in_log AND sequence > $1
ORDER BY sequence
LIMIT $2
