INSERT INTO {table} (key, record)
SELECT * FROM unnest($1::bytea[], $2::bytea[])
ON CONFLICT (key) DO UPDATE SET record = EXCLUDED.record
