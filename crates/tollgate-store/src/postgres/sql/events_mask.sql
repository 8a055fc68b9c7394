UPDATE events AS present
SET record = masked.record
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bytea[]) AS masked (merchant_id, payment_id, version, record)
WHERE present.merchant_id = masked.merchant_id
  AND present.payment_id = masked.payment_id
  AND present.version = masked.version
