-- One value instead of tens of thousands of rows: keys have 8 bytes, and records tell where they end.
SELECT coalesce(string_agg(listed.key || listed.record, ''::bytea), ''::bytea)
FROM (SELECT key, record FROM totals WHERE merchant_id = $1 AND key >= $2 AND key < $3 ORDER BY key) AS listed
