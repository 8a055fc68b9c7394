-- When a merchant has payments in a currency: the hours and whole days of its totals, four bytes each. Hours are looked at from
-- where days are not added up yet; that stands behind all days (batch/keys.rs).
SELECT coalesce(string_agg(DISTINCT substr(listed.key, 1, 4), ''::bytea), ''::bytea)
FROM (
    SELECT key FROM totals WHERE merchant_id = $1 AND key >= $3 AND key < $4
    UNION ALL
    SELECT key FROM totals WHERE merchant_id = $1 AND key < $6
    AND key >= greatest($5, (SELECT substr(record, 1, 4) FROM totals WHERE merchant_id = $1 AND key = $7))
) AS listed
WHERE substr(listed.key, 5, 3) = $2
