-- What shards must know of partners, from now on and from before.
CREATE OR REPLACE FUNCTION tollgate_tell_shards() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named bytea;
    stands bytea;
BEGIN
    IF TG_OP = 'DELETE' THEN
        named := OLD.key;
    ELSE
        named := NEW.key;
        stands := NEW.record;
    END IF;
    IF TG_TABLE_NAME = 'merchant_partners' THEN
        named := uuid_send(coalesce(NEW.merchant_id, OLD.merchant_id)) || named;
    END IF;
    INSERT INTO directory_log (table_name, key, sequence, record)
    VALUES (TG_TABLE_NAME, named, nextval('directory_log_numbers'), stands)
    ON CONFLICT (table_name, key) DO UPDATE SET sequence = EXCLUDED.sequence, record = EXCLUDED.record;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER tollgate_told AFTER INSERT OR UPDATE OR DELETE ON partners
    FOR EACH ROW EXECUTE FUNCTION tollgate_tell_shards();
CREATE OR REPLACE TRIGGER tollgate_told AFTER INSERT OR UPDATE OR DELETE ON merchant_partners
    FOR EACH ROW EXECUTE FUNCTION tollgate_tell_shards();
DELETE FROM directory_log;
INSERT INTO directory_log (table_name, key, sequence, record)
SELECT 'partners', key, nextval('directory_log_numbers'), record FROM partners;
INSERT INTO directory_log (table_name, key, sequence, record)
SELECT 'merchant_partners', uuid_send(merchant_id) || key, nextval('directory_log_numbers'), record
FROM merchant_partners;
