-- As totals.sql, of three ranges: hours before the first whole day, days, and hours behind the last.
SELECT coalesce(string_agg(listed.key || listed.record, ''::bytea), ''::bytea)
FROM (
    SELECT key, record FROM totals WHERE merchant_id = $1 AND key >= $2 AND key < $3
    UNION ALL
    SELECT key, record FROM totals WHERE merchant_id = $1 AND key >= $4 AND key < $5
    UNION ALL
    SELECT key, record FROM totals WHERE merchant_id = $1 AND key >= $6 AND key < $7
) AS listed
