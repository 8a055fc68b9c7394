SELECT merchant_id, currency, from_hour, to_hour, taken_minor::text
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
         AS wanted (merchant_id, currency, from_hour, to_hour)
JOIN volumes USING (merchant_id, currency, from_hour, to_hour)
