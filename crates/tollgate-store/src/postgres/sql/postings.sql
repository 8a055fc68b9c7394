SELECT record
FROM ledger_postings
WHERE merchant_id = $1 AND payment_id = $2
ORDER BY version
