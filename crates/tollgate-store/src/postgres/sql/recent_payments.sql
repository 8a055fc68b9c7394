SELECT wanted.place, latest.record
FROM unnest($2::bytea[]) WITH ORDINALITY AS wanted (customer, place)
CROSS JOIN LATERAL (
    SELECT record FROM payments
    WHERE merchant_id = $1 AND payments.customer = wanted.customer
    ORDER BY id DESC LIMIT 1
) AS latest
