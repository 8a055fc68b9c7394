SELECT wanted.merchant_id, wanted.key, record
FROM unnest($1::uuid[], $2::bytea[]) AS wanted (merchant_id, key)
JOIN {table} USING (merchant_id, key)
