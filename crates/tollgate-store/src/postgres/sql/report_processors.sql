SELECT NULL::integer, NULL::uuid, currency, processor,
       sum(payments)::bigint, sum(succeeded)::bigint, sum(failed)::bigint, sum(volume_minor)::text
FROM report_days
WHERE merchant_id = ANY ($1::uuid[]) AND day >= $2 AND day < $3
GROUP BY processor, currency
ORDER BY processor, currency
