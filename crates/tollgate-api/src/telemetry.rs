//! Metrics: the recorder behind `/metrics`, and the counters of the API itself.
//!
//! Handles are made once; a request only adds to them. Labels are route patterns, methods and
//! statuses, never anything a caller can invent.

use http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;
use tollgate_store::connections::PoolReport;
use utoipa::openapi::OpenApi;

/// Upper bounds of the buckets of durations, in seconds.
const DURATION_BUCKETS_S: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds of the buckets of fraud scores.
const SCORE_BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];

/// Upper bounds of the buckets of scoring times, in seconds: most take microseconds.
const SCORING_BUCKETS_S: [f64; 10] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.01, 0.1];

/// How often samples are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the process's recorder. Everything named `…_seconds` is counted in buckets.
///
/// # Errors
/// A recorder is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS_S)?
        .set_buckets_for_metric(Matcher::Full("tollgate_fraud_score".to_owned()), &SCORE_BUCKETS)?
        .set_buckets_for_metric(
            Matcher::Full("tollgate_fraud_scoring_seconds".to_owned()),
            &SCORING_BUCKETS_S,
        )?
        .install_recorder()?;
    let upkeep = handle.clone();
    // Without it every sample is kept until somebody scrapes. A thread, because this has to work
    // before and beside any runtime; it ends with the process.
    let started = std::thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(UPKEEP);
            upkeep.run_upkeep();
        }
    });
    if let Err(error) = started {
        tracing::error!(%error, "metrics are kept without upkeep");
    }
    Ok(handle)
}

/// Takes over what a store's pools have counted.
pub(crate) fn record_pools(pools: &[PoolReport]) {
    // Seconds and counts of connections are far below what a float holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "a time in milliseconds")]
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    for PoolReport { name, statistics, replica } in pools {
        let pool = || name.clone();
        gauge!("tollgate_pool_connections", "pool" => pool()).set(f64::from(statistics.connections));
        gauge!("tollgate_pool_idle_connections", "pool" => pool()).set(f64::from(statistics.idle));
        gauge!("tollgate_pool_waiting", "pool" => pool()).set(f64::from(statistics.waiting));
        counter!("tollgate_pool_gets_total", "pool" => pool()).absolute(statistics.wanted);
        counter!("tollgate_pool_waits_total", "pool" => pool()).absolute(statistics.waited);
        gauge!("tollgate_pool_wait_seconds_sum", "pool" => pool()).set(seconds(statistics.waited_ms));
        counter!("tollgate_pool_timeouts_total", "pool" => pool()).absolute(statistics.timed_out);
        counter!("tollgate_pool_connects_total", "pool" => pool()).absolute(statistics.made);
        counter!("tollgate_pool_broken_total", "pool" => pool()).absolute(statistics.broken);
        if let Some(replica) = replica {
            gauge!("tollgate_replica_serving", "pool" => pool()).set(f64::from(u8::from(replica.is_serving)));
            gauge!("tollgate_replica_lag", "pool" => pool()).set(replica.lag_ms.map_or(f64::NAN, seconds));
            counter!("tollgate_replica_reads_total", "pool" => pool()).absolute(replica.reads);
            counter!("tollgate_replica_ejections_total", "pool" => pool()).absolute(replica.ejected);
        }
    }
}

/// Statuses that have a counter of their own; all others share one.
const STATUSES: [u16; 21] =
    [200, 201, 202, 204, 304, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 500, 503, 0];

/// The handles of one route and method.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    route: &'static str,
    method: &'static str,
    requests: [OnceLock<Counter>; STATUSES.len()],
    duration: Histogram,
}

impl RouteMetrics {
    fn new(route: &'static str, method: &'static str) -> Self {
        Self {
            route,
            method,
            requests: [const { OnceLock::new() }; STATUSES.len()],
            duration: histogram!("tollgate_http_request_duration_seconds", "route" => route, "method" => method),
        }
    }

    /// Counts a request that was answered.
    pub(crate) fn record(&self, status: StatusCode, took: Duration) {
        let place = STATUSES.iter().position(|known| *known == status.as_u16());
        let place = place.unwrap_or(STATUSES.len() - 1);
        if let Some(slot) = self.requests.get(place) {
            let label =
                || if place == STATUSES.len() - 1 { "other".to_owned() } else { status.as_str().to_owned() };
            slot.get_or_init(|| {
                counter!("tollgate_http_requests_total", "route" => self.route, "method" => self.method, "status" => label())
            })
            .increment(1);
        }
        self.duration.record(took.as_secs_f64());
    }
}

/// The API's own metrics.
#[derive(Debug)]
pub(crate) struct HttpMetrics {
    routes: HashMap<&'static str, Vec<(Method, RouteMetrics)>>,
    unmatched: RouteMetrics,
    in_flight: Gauge,
    overhead: Histogram,
}

impl HttpMetrics {
    /// Handles for every documented route and every page.
    pub(crate) fn new(document: &OpenApi) -> Self {
        let mut routes: HashMap<&'static str, Vec<(Method, RouteMetrics)>> = HashMap::new();
        for (path, item) in &document.paths.paths {
            // Once a process (and test), a few hundred bytes.
            let route: &'static str = path.clone().leak();
            let methods = [
                (Method::GET, "GET", &item.get),
                (Method::POST, "POST", &item.post),
                (Method::PUT, "PUT", &item.put),
                (Method::DELETE, "DELETE", &item.delete),
            ];
            let documented = methods.into_iter().filter(|(_, _, operation)| operation.is_some());
            let handles = documented.map(|(method, name, _)| (method, RouteMetrics::new(route, name)));
            routes.insert(route, handles.collect());
        }
        for (route, methods) in crate::PAGE_ROUTES {
            let handle = |name: &&'static str| {
                let method = if *name == "POST" { Method::POST } else { Method::GET };
                (method, RouteMetrics::new(route, name))
            };
            routes.insert(route, methods.iter().map(handle).collect());
        }
        Self {
            routes,
            unmatched: RouteMetrics::new("other", "other"),
            in_flight: gauge!("tollgate_http_requests_in_flight"),
            overhead: histogram!("tollgate_gateway_overhead_seconds"),
        }
    }

    /// The handles of a request; unknown routes and methods share one set.
    pub(crate) fn of(&self, route: Option<&str>, method: &Method) -> &RouteMetrics {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        route
            .and_then(|route| self.routes.get(route))
            .and_then(|methods| methods.iter().find(|(known, _)| known == method))
            .map_or(&self.unmatched, |(_, metrics)| metrics)
    }

    /// Keeps how long a request took besides waiting for processors.
    pub(crate) fn record_overhead(&self, own: Duration) {
        self.overhead.record(own.as_secs_f64());
    }

    /// Counts a request as under way until the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.increment(1.0);
        InFlight(self.in_flight.clone())
    }
}

/// A request under way; it ends when this is dropped, even when its caller hangs up.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_store::connections::{PoolStatistics, ReplicaStatus};

    #[test]
    fn every_documented_operation_has_handles_of_its_own() {
        let document = crate::openapi::document();
        let metrics = HttpMetrics::new(&document);
        let of = |route, method: Method| {
            let found = metrics.of(Some(route), &method);
            (found.route, found.method)
        };
        assert_eq!(of("/api/v1/payments", Method::POST), ("/api/v1/payments", "POST"));
        assert_eq!(of("/api/v1/payments/{id}", Method::HEAD), ("/api/v1/payments/{id}", "GET"));
        assert_eq!(of("/api/v1/payments/{id}", Method::PUT), ("other", "other"));
        assert_eq!(of("/nope", Method::GET), ("other", "other"));
    }

    #[test]
    fn pools_are_shown_by_name() {
        let statistics = PoolStatistics { connections: 7, waited_ms: 1_500, ..PoolStatistics::default() };
        let replica = ReplicaStatus { is_serving: true, lag_ms: Some(20), reads: 9, ejected: 0 };
        let pools = [PoolReport { name: "replica-1".to_owned(), statistics, replica: Some(replica) }];
        let recorder = PrometheusBuilder::new().build_recorder();
        let text = metrics::with_local_recorder(&recorder, || {
            record_pools(&pools);
            recorder.handle().render()
        });
        for line in [
            r#"tollgate_pool_connections{pool="replica-1"} 7"#,
            r#"tollgate_pool_wait_seconds_sum{pool="replica-1"} 1.5"#,
            r#"tollgate_replica_lag{pool="replica-1"} 0.02"#,
            r#"tollgate_replica_reads_total{pool="replica-1"} 9"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn requests_are_counted_by_status() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let text = metrics::with_local_recorder(&recorder, || {
            let metrics = RouteMetrics::new("/x", "GET");
            metrics.record(StatusCode::OK, Duration::from_millis(1));
            metrics.record(StatusCode::OK, Duration::from_millis(1));
            metrics.record(StatusCode::IM_A_TEAPOT, Duration::from_millis(1));
            recorder.handle().render()
        });
        assert!(text.contains(r#"route="/x",method="GET",status="200"} 2"#), "{text}");
        assert!(text.contains(r#"status="other"} 1"#), "{text}");
    }
}
