INSERT INTO attempts
    (merchant_id, id, payment_id, processor, status, is_watched, amount_minor, created_at_ms, record)
SELECT *
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::boolean[], $7::bigint[], $8::bigint[],
            $9::bytea[])
