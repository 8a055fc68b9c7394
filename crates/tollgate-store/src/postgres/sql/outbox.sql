SELECT sequence, record
FROM events
WHERE in_log AND sequence > $1
ORDER BY sequence
LIMIT $2
