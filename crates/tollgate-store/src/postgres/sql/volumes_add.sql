INSERT INTO volumes AS present (merchant_id, currency, from_hour, to_hour, taken_minor)
SELECT merchant_id, currency, from_hour, to_hour, change::numeric
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
         AS changed (merchant_id, currency, from_hour, to_hour, change)
ON CONFLICT (merchant_id, currency, from_hour, to_hour) DO UPDATE
SET taken_minor = present.taken_minor + EXCLUDED.taken_minor
