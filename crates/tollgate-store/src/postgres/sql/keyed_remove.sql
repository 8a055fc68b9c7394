DELETE FROM {table} WHERE key = ANY ($1::bytea[])
