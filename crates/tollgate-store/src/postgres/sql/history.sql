SELECT sequence, record
FROM events
WHERE merchant_id = $1 AND payment_id = $2
ORDER BY version
