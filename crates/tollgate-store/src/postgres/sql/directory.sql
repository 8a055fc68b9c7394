-- What shards must know of partners, from now on. As whoever made it: who changes a partner need not have a right to the
-- log and its numbers.
CREATE OR REPLACE FUNCTION tollgate_tell_shards() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
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
-- It finds this schema's tables and nobody else's, whoever sets it off, and nobody hangs it at a table of their own.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION tollgate_tell_shards() SET search_path = %I, pg_temp', current_schema());
END
$$;
REVOKE ALL ON FUNCTION tollgate_tell_shards() FROM PUBLIC;
-- What is written as it is already is no news.
CREATE OR REPLACE TRIGGER tollgate_told AFTER INSERT OR DELETE ON partners
    FOR EACH ROW EXECUTE FUNCTION tollgate_tell_shards();
CREATE OR REPLACE TRIGGER tollgate_told AFTER INSERT OR DELETE ON merchant_partners
    FOR EACH ROW EXECUTE FUNCTION tollgate_tell_shards();
CREATE OR REPLACE TRIGGER tollgate_told_changes AFTER UPDATE ON partners
    FOR EACH ROW WHEN (OLD.record IS DISTINCT FROM NEW.record) EXECUTE FUNCTION tollgate_tell_shards();
CREATE OR REPLACE TRIGGER tollgate_told_changes AFTER UPDATE ON merchant_partners
    FOR EACH ROW WHEN (OLD.record IS DISTINCT FROM NEW.record) EXECUTE FUNCTION tollgate_tell_shards();
