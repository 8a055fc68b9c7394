-- Takes the log's head last and numbers the events on from it. That no two batches have made the same version
-- of a payment is seen to by the primary key.
WITH head AS (
    UPDATE log_head SET event_sequence = event_sequence + $9::bigint WHERE id = 1
    RETURNING event_sequence - $9::bigint AS base
), added AS (
    INSERT INTO events (merchant_id, payment_id, version, sequence, id, at_ms, type, record)
    SELECT e.merchant_id, e.payment_id, e.version, head.base + e.place, e.id, e.at_ms, e.type, e.record
    FROM head,
         unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::uuid[], $6::bigint[], $7::text[],
                $8::bytea[]) AS e (merchant_id, payment_id, version, place, id, at_ms, type, record)
)
SELECT base FROM head
