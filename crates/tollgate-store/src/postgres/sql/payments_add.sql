INSERT INTO payments
    (merchant_id, id, version, status, processor, method, customer, checkout_id, currency, amount_minor,
     created_at_ms, deadline_ms, record)
SELECT *
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::uuid[],
            $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bytea[])
