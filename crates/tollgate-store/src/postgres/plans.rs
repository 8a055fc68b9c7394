//! Tests that PostgreSQL answers the listed queries by the indexes made for them (`docs/schema.md`).

use crate::postgres::address::Address;
use crate::postgres::link::{Id, Link, Param, Query, column};
use crate::postgres::list::payments_query;
use crate::postgres::partitions::{PartitionWish, keep};
use crate::postgres::reports::{Way, statement};
use crate::postgres::schema::migrate;
use crate::query::PaymentFilter;
use crate::report::ReportBy;
use tollgate_core::currency::Currency;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::method::MethodKind;
use tollgate_core::transition::PaymentStatus;

const NOW_MS: u64 = 1_790_000_000_000;

const FILL: &str = "
    INSERT INTO payments
    SELECT lpad(to_hex(n % 20 + 1), 32, '0')::uuid,
           (lpad(to_hex(1790000000000 + n * 10), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
           1,
           CASE WHEN n % 100 < 20 THEN 'processing' ELSE 'completed' END,
           'processor' || n % 50,
           'upi',
           decode(md5((n % 5000)::text), 'hex'),
           CASE WHEN n % 40 = 0 THEN lpad(to_hex(n / 80), 32, '0')::uuid END,
           'INR', n, 1790000000000 + n * 10,
           CASE WHEN n % 200 = 0 THEN 1790000000000 + n END,
           decode(repeat('00', 600), 'hex')
    FROM generate_series(1::bigint, 60000) AS n;
    INSERT INTO attempts
    SELECT merchant_id, id, id, processor, 'open', deadline_ms IS NOT NULL, amount_minor, created_at_ms, record
    FROM payments;
    INSERT INTO events
    SELECT lpad(to_hex(amount_minor % 500 + 1), 32, '0')::uuid, id, 1, row_number() OVER (ORDER BY id), id, created_at_ms, 'payment.created', record
    FROM payments;
    INSERT INTO webhook_outcomes
    SELECT merchant_id, amount_minor, amount_minor, amount_minor % 3 > 0, created_at_ms, decode(repeat('00', 200), 'hex')
    FROM payments;
    INSERT INTO totals
    SELECT merchant_id, decode(lpad(to_hex(400000 + amount_minor % 4000), 8, '0') || '494e5203', 'hex'), record
    FROM payments ON CONFLICT DO NOTHING;
    INSERT INTO audit
    SELECT n, lpad(to_hex(n % 500), 32, '0')::uuid, decode(repeat('00', 200), 'hex')
    FROM generate_series(1::bigint, 20000) AS n;
    INSERT INTO job_due
    SELECT merchant_id, '\\x01'::bytea || uuid_send(merchant_id) || int8send(created_at_ms) || uuid_send(id),
           uuid_send(merchant_id)
    FROM payments;
    ANALYZE";

/// The plan of a statement, and the indexes it uses by the names they have on their partitioned tables.
async fn plan(link: &Link, text: &str, params: &[Param<'_>]) -> (String, Vec<String>) {
    let rows = link.query(Query::Text(format!("EXPLAIN {text}")), params).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| column(row, 0, "plan").unwrap()).collect();
    let mut names = Vec::new();
    for line in &lines {
        let Some((_, rest)) = line.split_once("using ").or_else(|| line.split_once("Bitmap Index Scan on "))
        else {
            continue;
        };
        let name = rest.split(' ').next().unwrap();
        let query = "SELECT coalesce((SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid), c.oid)::regclass::text
                     FROM pg_class c WHERE oid = $1::text::regclass";
        let row = link.query_opt(Query::Fixed(query), &[&name]).await.unwrap().unwrap();
        names.push(column::<String>(&row, 0, "index").unwrap());
    }
    names.sort_unstable();
    names.dedup();
    (lines.join("\n"), names)
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn listed_queries_use_their_indexes() {
    let url = std::env::var("TOLLGATE_TEST_POSTGRES").expect("TOLLGATE_TEST_POSTGRES");
    let link =
        Link::connect(&Address::read(&url).unwrap().target(None, None, (5_000, 0)).unwrap()).await.unwrap();
    link.run("DROP SCHEMA IF EXISTS plans CASCADE; CREATE SCHEMA plans; SET search_path TO plans")
        .await
        .unwrap();
    migrate(&link).await.unwrap();
    let wish = PartitionWish { now_ms: NOW_MS, months_ahead: 2, keep_ms: None };
    keep(&link, &wish, 86_400_000).await.unwrap();
    link.run(FILL).await.unwrap();

    let mer = MerchantId::from_u128(3);
    let all = PaymentFilter { limit: 50, ..PaymentFilter::default() };
    let id = |at_ms: u64| PaymentId::from_u128(u128::from(at_ms) << 80);
    let lists = [
        (all.clone(), "payments_pkey"),
        (PaymentFilter { status: Some(PaymentStatus::Processing), ..all.clone() }, "payments_status"),
        // None of them: all of the merchant's payments would have to be looked at.
        (PaymentFilter { status: Some(PaymentStatus::Refunded), ..all.clone() }, "payments_status"),
        (PaymentFilter { processor: Some("processor7".to_owned()), ..all.clone() }, "payments_processor"),
        (PaymentFilter { user_id: Some("somebody".to_owned()), ..all.clone() }, "payments_customer"),
        (PaymentFilter { method: Some(MethodKind::Emi), ..all.clone() }, "payments_method"),
        (PaymentFilter { offset: 1_000, ..all.clone() }, "payments_pkey"),
        (
            PaymentFilter {
                status: Some(PaymentStatus::Processing),
                created_from_ms: Some(NOW_MS),
                created_to_ms: Some(NOW_MS + 86_400_000),
                before: Some(id(NOW_MS + 300_000)),
                ..all
            },
            "payments_status",
        ),
    ];
    for (filter, index) in lists {
        let made = payments_query(mer, &filter, None);
        let (text, used) = plan(&link, made.text(), &made.params()).await;
        assert_eq!(used, [index], "{filter:?}\n{text}");
        assert!(!text.contains("Seq Scan on payments_202609"), "{text}");
        if filter.created_from_ms.is_some() {
            // A range of time is a range of ids: other months are not looked at.
            assert!(text.contains("payments_202609") && !text.contains("payments_202610"), "{text}");
        }
    }

    let (merchant, one, later) =
        (Id(mer.to_bytes()), Id((u128::from(NOW_MS + 50_000) << 80).to_be_bytes()), 1_790_000_000_500_i64);
    let ids = vec![one];
    let key = [1_u8; 41];
    let (key, end) = (key.as_slice(), [1_u8, 255].as_slice());
    let (hour, later_hour) = ([0_u8, 6, 0x1B, 0].as_slice(), [0_u8, 6, 0x1C, 0].as_slice());
    let others: [(&str, &[Param<'_>], &str); 13] = [
        (
            include_str!("sql/totals_days.sql"),
            &[&merchant, &hour, &later_hour, &later_hour, &later_hour, &later_hour, &later_hour],
            "totals_pkey",
        ),
        (include_str!("sql/totals.sql"), &[&merchant, &hour, &later_hour], "totals_pkey"),
        (
            include_str!("sql/totals_when.sql"),
            &[&merchant, &b"INR".as_slice(), &hour, &later_hour, &hour, &later_hour, &end],
            "totals_pkey",
        ),
        (include_str!("sql/deadlines.sql"), &[&later, &50_i64], "payments_active"),
        (include_str!("sql/checkout_payments.sql"), &[&merchant, &one, &50_i64], "payments_checkout"),
        (include_str!("sql/attempts_get.sql"), &[&ids], "attempts_id"),
        (include_str!("sql/open_attempts.sql"), &[&one, &50_i64], "attempts_watched"),
        (include_str!("sql/outbox.sql"), &[&500_i64, &50_i64], "events_sequence"),
        (include_str!("sql/outcomes.sql"), &[&500_i64, &50_i64], "webhook_outcomes_sequence"),
        (include_str!("sql/merchant_events.sql"), &[&merchant, &500_i64, &50_i64], "events_merchant"),
        (include_str!("sql/history.sql"), &[&merchant, &one], "events_pkey"),
        (include_str!("sql/merchant_audit.sql"), &[&merchant, &900_i64, &50_i64], "audit_merchant"),
        (
            &include_str!("sql/keyed_scan.sql").replace("{table}", "job_due"),
            &[&key, &end, &50_i64],
            "job_due_key",
        ),
    ];
    for (statement, params, index) in others {
        let (text, used) = plan(&link, statement, params).await;
        assert_eq!(used, [index], "{statement}\n{text}");
        assert!(!text.lines().any(|line| line.contains("Seq Scan") && line.contains("_202609")), "{text}");
    }
    // What is deleted is found by its time, and its row by its key.
    let (text, used) = plan(&link, include_str!("sql/outcomes_forget.sql"), &[&later, &50_i64]).await;
    assert_eq!(used, ["webhook_outcomes_pkey", "webhook_outcomes_time"], "{text}");
    assert!(!text.contains("Seq Scan on webhook_outcomes"), "{text}");
    link.run("DROP SCHEMA plans CASCADE").await.unwrap();
}

/// A deep offset is counted by an index alone: not one of the rows before the page is looked at.
#[tokio::test]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn offsets_are_skipped_by_an_index_alone() {
    let link = schema("plans_offset").await;
    link.run(FILL).await.unwrap();
    // Which rows all may see is noted by VACUUM, unless a neighbour's transaction is older. On so few rows other ways are as
    // cheap: it is asked whether the indexes have all that is needed.
    link.run("VACUUM payments").await.unwrap();
    link.run("SET enable_bitmapscan = off; SET enable_seqscan = off").await.unwrap();
    let mer = MerchantId::from_u128(3);
    let deep = PaymentFilter { limit: 20, offset: 2_000, ..PaymentFilter::default() };
    let filters = [
        (deep.clone(), true),
        (PaymentFilter { status: Some(PaymentStatus::Completed), ..deep.clone() }, true),
        (PaymentFilter { method: Some(MethodKind::Upi), ..deep.clone() }, true),
        // No index holds the currency.
        (PaymentFilter { currency: Some(Currency::INR), ..deep.clone() }, false),
    ];
    for (filter, is_skipped) in filters {
        let made = payments_query(mer, &filter, None);
        let query = Query::Text(format!("EXPLAIN (ANALYZE, TIMING OFF) {}", made.text()));
        let rows = link.query(query, &made.params()).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| column(row, 0, "plan").unwrap()).collect();
        let text = lines.join("\n");
        assert_eq!(text.contains("Index Only Scan"), is_skipped, "{filter:?}\n{text}");
        // The page is the one that stepping over the rows gives.
        let ids = async |text: &str, params: &[Param<'_>]| -> Vec<Id> {
            let text = text.replacen("SELECT record", "SELECT id", 1);
            let rows = link.query(Query::Text(text), params).await.unwrap();
            rows.iter().map(|row| column(row, 0, "id").unwrap()).collect()
        };
        let stepped = payments_query(mer, &PaymentFilter { offset: 0, ..filter.clone() }, None);
        let page = ids(made.text(), &made.params()).await;
        let expected = ids(&format!("{} OFFSET 2000", stepped.text()), &stepped.params()).await;
        assert_eq!((page.len(), page), (21, expected), "{filter:?}");
    }
    link.run("DROP SCHEMA plans_offset CASCADE").await.unwrap();
}

/// A schema of a test's own.
async fn schema(name: &str) -> Link {
    let url = std::env::var("TOLLGATE_TEST_POSTGRES").expect("TOLLGATE_TEST_POSTGRES");
    let link =
        Link::connect(&Address::read(&url).unwrap().target(None, None, (5_000, 0)).unwrap()).await.unwrap();
    let made =
        format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}; SET search_path TO {name}");
    link.run(&made).await.unwrap();
    migrate(&link).await.unwrap();
    let wish = PartitionWish { now_ms: NOW_MS, months_ahead: 2, keep_ms: None };
    keep(&link, &wish, 86_400_000).await.unwrap();
    link
}

/// Reports of some merchants find their sums by the view's index; its refresh leaves out months that are too old.
#[tokio::test]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn reports_use_their_index() {
    let link = schema("plans_reports").await;
    // By the server's clock, by which the view knows what is too old.
    let fill = "
        INSERT INTO payments
        SELECT lpad(to_hex(n % 400 + 1), 32, '0')::uuid,
               (lpad(to_hex(at_ms), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
               1, 'completed', 'processor' || n % 3, 'upi', NULL, NULL, 'INR', 100, at_ms, NULL, ''
        FROM (SELECT n, (extract(epoch FROM now())::bigint - n * 400) * 1000 AS at_ms
              FROM generate_series(1::bigint, 60000) AS n) AS made;
        INSERT INTO payments
        SELECT merchant_id, (lpad(to_hex(created_at_ms - 90 * 86400000::bigint * 12), 12, '0') || right(replace(id::text, '-', ''), 20))::uuid,
               1, 'completed', 'long ago', 'upi', NULL, NULL, 'INR', 100, created_at_ms - 90 * 86400000::bigint * 12, NULL, ''
        FROM payments LIMIT 10;
        SELECT tollgate_refresh_reports('0');
        ANALYZE";
    link.run(fill).await.unwrap();
    let kept = Query::Fixed(
        "SELECT sum(payments)::bigint, count(*) FILTER (WHERE processor = 'long ago') FROM report_days",
    );
    let row = link.query_opt(kept, &[]).await.unwrap().unwrap();
    let kept: (i64, i64) = (column(&row, 0, "").unwrap(), column(&row, 1, "").unwrap());
    assert_eq!(kept, (60_000, 0), "what is older than 400 days is left out");
    // `report_sums` and `report_merchants` are a few pages: those may be read whole.
    let ids = |from: u128, to: u128| (from..=to).map(|id| Id(id.to_be_bytes())).collect::<Vec<Id>>();
    let (few, most) = (ids(1, 5), ids(6, 400));
    let (from, to) = (0_i32, i32::MAX);
    for (by, way, merchants, index) in [
        (ReportBy::Day, Way::Own, &few, "report_days_key"),
        (ReportBy::Processor, Way::Own, &few, "report_days_key"),
        (ReportBy::Day, Way::AllButOthers, &most, "report_days_key"),
        (ReportBy::Processor, Way::AllButOthers, &most, "report_days_key"),
        (ReportBy::Merchant, Way::Own, &few, "report_running_key"),
    ] {
        assert!(by == ReportBy::Merchant || super::reports::way(&link, by, merchants).await.unwrap() == way);
        let params: [Param<'_>; 3] = [merchants, &from, &to];
        let (text, used) = plan(&link, statement(by, way), &params).await;
        assert!(used.iter().any(|used| used == index), "{text}");
        assert!(!text.contains("Seq Scan on report_days"), "{text}");
        assert!(!text.contains("Seq Scan on report_running"), "{text}");
    }
    link.run("DROP SCHEMA plans_reports CASCADE").await.unwrap();
}
