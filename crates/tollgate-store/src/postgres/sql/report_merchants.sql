SELECT NULL::integer, whose.merchant_id, whose.currency, NULL::text,
       upto.payments - coalesce(before.payments, 0), upto.succeeded - coalesce(before.succeeded, 0),
       upto.failed - coalesce(before.failed, 0), (upto.volume_minor - coalesce(before.volume_minor, 0))::text
FROM report_merchants AS whose
CROSS JOIN LATERAL (
    SELECT payments, succeeded, failed, volume_minor FROM report_running
    WHERE merchant_id = whose.merchant_id AND currency = whose.currency AND day < $3
    ORDER BY day DESC LIMIT 1
) AS upto
LEFT JOIN LATERAL (
    SELECT payments, succeeded, failed, volume_minor FROM report_running
    WHERE merchant_id = whose.merchant_id AND currency = whose.currency AND day < $2
    ORDER BY day DESC LIMIT 1
) AS before ON true
WHERE whose.merchant_id = ANY ($1::uuid[]) AND upto.payments > coalesce(before.payments, 0)
