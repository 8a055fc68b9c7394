SELECT sequence, record
FROM events
WHERE sequence > $1
ORDER BY sequence
LIMIT $2
