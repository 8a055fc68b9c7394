-- Takes the head of the outcomes' log and numbers them on from it.
WITH head AS (
    UPDATE outcome_head SET sequence = sequence + $5::bigint WHERE id = 1
    RETURNING sequence - $5::bigint AS base
)
INSERT INTO webhook_outcomes (merchant_id, made, sequence, at_ms, record)
SELECT o.merchant_id, head.base + o.place, head.base + o.place, o.at_ms, o.record
FROM head, unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bytea[]) AS o (merchant_id, place, at_ms, record)
