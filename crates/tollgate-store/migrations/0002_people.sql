-- Rows of totals (failures by code) and of jobs (what is wiped at their end) have a new layout; programs before this one
-- were not released, and what they wrote is not read any more.
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM merchants) THEN
        RAISE EXCEPTION 'rows of schema 1 are not read any more: start with an empty database';
    END IF;
END
$$;

-- The secret under which the audit log names people. 244 random bits, from the server's strong source.
ALTER TABLE log_head ADD COLUMN log_key bytea;
UPDATE log_head SET log_key = decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
ALTER TABLE log_head ALTER COLUMN log_key SET NOT NULL, ADD CHECK (length(log_key) = 32);
