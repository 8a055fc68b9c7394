WITH head AS (
    UPDATE log_head SET audit_count = $4::bigint, audit_last = $5::bytea WHERE id = 1
)
INSERT INTO audit (sequence, merchant_id, record)
SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bytea[])
