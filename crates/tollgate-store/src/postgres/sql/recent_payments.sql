-- Most customers have paid lately: only for the others the months before are looked into.
SELECT wanted.place, coalesce(
    (SELECT record FROM payments
     WHERE merchant_id = $1 AND payments.customer = wanted.customer AND id >= $3
     ORDER BY id DESC LIMIT 1),
    (SELECT record FROM payments
     WHERE merchant_id = $1 AND payments.customer = wanted.customer AND id < $3
     ORDER BY id DESC LIMIT 1)
)
FROM unnest($2::bytea[]) WITH ORDINALITY AS wanted (customer, place)
