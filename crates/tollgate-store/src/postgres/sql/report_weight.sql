SELECT coalesce(sum(days) FILTER (WHERE wanted.merchant_id IS NOT NULL), 0)::bigint,
       coalesce(sum(days) FILTER (WHERE wanted.merchant_id IS NULL), 0)::bigint
FROM report_merchants LEFT JOIN (SELECT DISTINCT unnest($1::uuid[]) AS merchant_id) AS wanted USING (merchant_id)
