-- A payment is masked as it stands: its version stays. Whoever has changed it meanwhile wins; the number of rows tells.
UPDATE payments AS present
SET customer = masked.customer, record = masked.record
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bytea[], $5::bytea[])
         AS masked (merchant_id, id, version, customer, record)
WHERE present.merchant_id = masked.merchant_id AND present.id = masked.id AND present.version = masked.version
