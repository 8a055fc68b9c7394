SELECT record
FROM audit
WHERE merchant_id = $1 AND sequence < $2
ORDER BY sequence DESC
LIMIT $3
