SELECT record
FROM payments
WHERE merchant_id = $1 AND checkout_id = $2
ORDER BY id
LIMIT $3
