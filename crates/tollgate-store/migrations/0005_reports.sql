-- For lists, analytics and reports on many payments: an index of methods, totals of days, and sums over many merchants.
CREATE INDEX payments_method ON payments (merchant_id, method, id);

-- Totals of whole days stand beside those of hours, in the same table. Programs of the schema before change hours without
-- their days: none must start any more, and as long as one is at work no days are added up.
ALTER TABLE instances ADD COLUMN keeps_days boolean NOT NULL DEFAULT false;

--
-- The sums are made anew from the payments, now and then (tollgate_refresh_reports), and may be behind: `reports` says as of
-- when they are. Nothing that decides reads them. They go back 400 days: a refresh reads the payments of those and no others.
CREATE MATERIALIZED VIEW report_days AS
SELECT merchant_id,
       (created_at_ms / 86400000)::integer AS day,
       currency,
       processor,
       count(*) AS payments,
       count(*) FILTER (WHERE status IN ('authorized', 'completed', 'partially_refunded', 'refunded')) AS succeeded,
       count(*) FILTER (WHERE status IN ('declined', 'failed')) AS failed,
       coalesce(sum(amount_minor)
           FILTER (WHERE status IN ('authorized', 'completed', 'partially_refunded', 'refunded')), 0) AS volume_minor
FROM payments
WHERE id >= (lpad(to_hex((extract(epoch FROM now())::bigint / 86400 - 400) * 86400000), 12, '0') || repeat('0', 20))::uuid
GROUP BY merchant_id, (created_at_ms / 86400000)::integer, currency, processor
WITH NO DATA;
-- Without a unique index it could not be refreshed while it is read.
CREATE UNIQUE INDEX report_days_key ON report_days (merchant_id, day, currency, processor);

-- As of when it is; none: it was never made, or merchants have come from another shard since. Each arrival has a number:
-- a refresh that was under way then does not count.
CREATE TABLE reports (name text PRIMARY KEY, as_of timestamptz, arrivals bigint NOT NULL DEFAULT 0);
INSERT INTO reports (name) VALUES ('days');

-- Makes it anew, unless somebody is about it or it is younger than that. Only a view's owner may refresh it, and servers
-- need not be that: so it is done in the owner's name. The schema is named because nothing that others put in the way of
-- names may be found instead.
DO $do$
BEGIN
    EXECUTE format($make$
        CREATE FUNCTION tollgate_refresh_reports(least_age interval) RETURNS boolean
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp AS $body$
        DECLARE
            made timestamptz;
            arrived bigint;
        BEGIN
            IF NOT pg_try_advisory_xact_lock(8389754676633099634) THEN
                RETURN false;
            END IF;
            SELECT as_of, arrivals INTO made, arrived FROM reports WHERE name = 'days';
            IF made > now() - least_age THEN
                RETURN false;
            END IF;
            -- Nobody reads it before it was made.
            IF made IS NULL THEN
                REFRESH MATERIALIZED VIEW report_days;
            ELSE
                REFRESH MATERIALIZED VIEW CONCURRENTLY report_days;
            END IF;
            -- The transaction's beginning: everything that was committed before it is in.
            UPDATE reports SET as_of = now() WHERE name = 'days' AND arrivals = arrived;
            RETURN true;
        END
        $body$
    $make$, current_schema());
END
$do$;
