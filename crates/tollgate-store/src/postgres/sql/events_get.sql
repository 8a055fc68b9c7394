-- By what an event is of, not by its number: another shard's events may have come with the same.
SELECT merchant_id, payment_id, version, record
FROM events
JOIN unnest($1::uuid[], $2::uuid[], $3::integer[]) AS wanted (merchant_id, payment_id, version)
    USING (merchant_id, payment_id, version)
