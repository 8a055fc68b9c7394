DELETE FROM {table} AS present
USING unnest($1::uuid[], $2::bytea[]) AS gone (merchant_id, key)
WHERE present.merchant_id = gone.merchant_id AND present.key = gone.key
