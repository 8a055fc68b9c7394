UPDATE attempts AS present
SET status = wanted.status, is_watched = wanted.is_watched, record = wanted.record
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::boolean[], $5::bytea[])
         AS wanted (merchant_id, id, status, is_watched, record)
WHERE present.merchant_id = wanted.merchant_id AND present.id = wanted.id
