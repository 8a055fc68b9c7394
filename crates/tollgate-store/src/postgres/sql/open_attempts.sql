SELECT record
FROM attempts
WHERE is_watched AND id > $1
ORDER BY id
LIMIT $2
