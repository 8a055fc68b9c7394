-- A version only grows. Whoever read an older one has written nothing: the number of rows tells.
UPDATE payments AS present
SET version = wanted.version,
    status = wanted.status,
    processor = wanted.processor,
    deadline_ms = wanted.deadline_ms,
    record = wanted.record
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::bigint[], $7::bytea[])
         AS wanted (merchant_id, id, version, status, processor, deadline_ms, record)
WHERE present.merchant_id = wanted.merchant_id AND present.id = wanted.id AND present.version < wanted.version
