INSERT INTO ledger_postings (merchant_id, payment_id, version, at_ms, currency, record)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::text[], $6::bytea[])
