SELECT NULL::integer, merchant_id, currency, NULL::text,
       sum(payments)::bigint, sum(succeeded)::bigint, sum(failed)::bigint, sum(volume_minor)::text
FROM report_days
WHERE merchant_id = ANY ($1::uuid[]) AND day >= $2 AND day < $3
GROUP BY merchant_id, currency
ORDER BY merchant_id, currency
