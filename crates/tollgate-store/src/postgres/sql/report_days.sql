SELECT day, NULL::uuid, currency, NULL::text,
       sum(payments)::bigint, sum(succeeded)::bigint, sum(failed)::bigint, sum(volume_minor)::text
FROM report_days
WHERE merchant_id = ANY ($1::uuid[]) AND day >= $2 AND day < $3
GROUP BY day, currency
ORDER BY day, currency
