-- Reports over all merchants without adding up every day of each: sums of all merchants together, and running sums of each, whose difference
-- between two days is what lies between them. They are made of `report_days`, in the same transaction, so they always fit it.
CREATE MATERIALIZED VIEW report_sums AS
SELECT day, currency, processor, sum(payments)::bigint AS payments, sum(succeeded)::bigint AS succeeded,
       sum(failed)::bigint AS failed, sum(volume_minor) AS volume_minor
FROM report_days
GROUP BY day, currency, processor
WITH NO DATA;
CREATE UNIQUE INDEX report_sums_key ON report_sums (day, currency, processor);

-- Whose payments are in it, and of how many rows: what a report leaves out may be fewer than what it takes in.
CREATE MATERIALIZED VIEW report_merchants AS
SELECT merchant_id, currency, count(*) AS days
FROM report_days
GROUP BY merchant_id, currency
WITH NO DATA;
CREATE UNIQUE INDEX report_merchants_key ON report_merchants (merchant_id, currency);

CREATE MATERIALIZED VIEW report_running AS
SELECT merchant_id, currency, day,
       (sum(sum(payments)) OVER upto)::bigint AS payments, (sum(sum(succeeded)) OVER upto)::bigint AS succeeded,
       (sum(sum(failed)) OVER upto)::bigint AS failed, sum(sum(volume_minor)) OVER upto AS volume_minor
FROM report_days
GROUP BY merchant_id, currency, day
WINDOW upto AS (PARTITION BY merchant_id, currency ORDER BY day)
WITH NO DATA;
-- With the sums in it: a report looks at one or two rows of each merchant, far from each other.
CREATE UNIQUE INDEX report_running_key ON report_running (merchant_id, currency, day)
    INCLUDE (payments, succeeded, failed, volume_minor);

-- Whoever refreshes them does so in the name of the function's owner, whose report_days is: with a migration by another role (a superuser)
-- these would be that one's.
DO $do$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'report_days'::regclass);
BEGIN
    EXECUTE format('ALTER MATERIALIZED VIEW report_sums OWNER TO %I', owner);
    EXECUTE format('ALTER MATERIALIZED VIEW report_merchants OWNER TO %I', owner);
    EXECUTE format('ALTER MATERIALIZED VIEW report_running OWNER TO %I', owner);
END
$do$;

-- They are still to be made, so there is no report until then. A refresh that is under way does not count.
UPDATE reports SET as_of = NULL, arrivals = arrivals + 1;

-- As before, with the new ones. Programs of the schema before call it too.
DO $do$
BEGIN
    EXECUTE format($make$
        CREATE OR REPLACE FUNCTION tollgate_refresh_reports(least_age interval) RETURNS boolean
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
                REFRESH MATERIALIZED VIEW report_sums;
                REFRESH MATERIALIZED VIEW report_merchants;
                REFRESH MATERIALIZED VIEW report_running;
            ELSE
                REFRESH MATERIALIZED VIEW CONCURRENTLY report_days;
                REFRESH MATERIALIZED VIEW CONCURRENTLY report_sums;
                REFRESH MATERIALIZED VIEW CONCURRENTLY report_merchants;
                REFRESH MATERIALIZED VIEW CONCURRENTLY report_running;
            END IF;
            -- The transaction's beginning: everything that was committed before it is in.
            UPDATE reports SET as_of = now() WHERE name = 'days' AND arrivals = arrived;
            RETURN true;
        END
        $body$
    $make$, current_schema());
END
$do$;
