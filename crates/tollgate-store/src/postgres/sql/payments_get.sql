SELECT merchant_id, id, record
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (merchant_id, id)
JOIN payments USING (merchant_id, id)
