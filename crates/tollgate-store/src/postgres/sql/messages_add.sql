INSERT INTO messages (merchant_id, digest, day, record)
SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::bytea[])
