SELECT key, record FROM {table}
WHERE merchant_id = $1 AND key >= $2 AND key < $3
ORDER BY key DESC
LIMIT $4
