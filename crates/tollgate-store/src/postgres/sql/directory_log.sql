-- What shards must know of partners, from before there were shards.
DELETE FROM directory_log;
INSERT INTO directory_log (table_name, key, sequence, record)
SELECT 'partners', key, nextval('directory_log_numbers'), record FROM partners;
INSERT INTO directory_log (table_name, key, sequence, record)
SELECT 'merchant_partners', uuid_send(merchant_id) || key, nextval('directory_log_numbers'), record
FROM merchant_partners;
