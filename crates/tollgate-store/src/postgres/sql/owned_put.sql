INSERT INTO {table} (merchant_id, key, record)
SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[])
ON CONFLICT (merchant_id, key) DO UPDATE SET record = EXCLUDED.record
