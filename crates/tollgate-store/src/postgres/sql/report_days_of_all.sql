SELECT day, NULL::uuid, currency, NULL::text,
       sum(payments)::bigint, sum(succeeded)::bigint, sum(failed)::bigint, sum(volume_minor)::text
FROM (
    SELECT day, currency, payments, succeeded, failed, volume_minor FROM report_sums WHERE day >= $2 AND day < $3
    UNION ALL
    SELECT day, currency, -payments, -succeeded, -failed, -volume_minor FROM report_days
    WHERE merchant_id = ANY (ARRAY(SELECT merchant_id FROM report_merchants EXCEPT SELECT unnest($1::uuid[])))
      AND day >= $2 AND day < $3
) AS parts
GROUP BY day, currency
HAVING sum(payments) > 0
ORDER BY day, currency
