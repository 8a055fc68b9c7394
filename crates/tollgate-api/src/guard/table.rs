//! What each endpoint demands: one line an endpoint.
//!
//! An endpoint of the API that is not here cannot be used: its handler gets no caller. A test compares the table with the
//! OpenAPI document.

use http::Method;
use std::collections::HashMap;
use std::sync::LazyLock;
use tollgate_core::access::Permission;

/// What a caller has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Nothing.
    Nothing,
    /// A key or token with this permission.
    Needs(Permission),
}

/// How much a request of an endpoint costs, as rate limits see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// As much as most.
    Ordinary,
    /// Much: lists, reports, batches, trials.
    Bulk,
    /// Changes keys or policies.
    Admin,
}

/// One endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// Its method. A `GET` is a `HEAD` too.
    pub method: Method,
    /// Its path's pattern.
    pub path: &'static str,
    /// What it demands.
    pub demand: Demand,
    /// What it costs.
    pub class: Class,
}

macro_rules! endpoints {
    ($($method:ident $path:literal $demand:ident $class:ident;)+) => {
        /// Every documented endpoint.
        pub static ENDPOINTS: &[Endpoint] = &[$(Endpoint {
            method: Method::$method,
            path: $path,
            demand: endpoints!(@ $demand),
            class: Class::$class,
        }),+];
    };
    (@ Nothing) => { Demand::Nothing };
    (@ $permission:ident) => { Demand::Needs(Permission::$permission) };
}

endpoints! {
    POST "/api/v1/payments" PaymentsWrite Ordinary;
    GET "/api/v1/payments" PaymentsRead Bulk;
    POST "/api/v1/payments/batch" PaymentsWrite Bulk;
    POST "/api/v1/payments/recent" PaymentsRead Bulk;
    GET "/api/v1/payments/{id}" PaymentsRead Ordinary;
    GET "/api/v1/payments/{id}/qr.svg" PaymentsRead Ordinary;
    GET "/api/v1/payments/{id}/qr.png" PaymentsRead Ordinary;
    POST "/api/v1/payments/{id}/capture" PaymentsWrite Ordinary;
    POST "/api/v1/payments/{id}/cancel" PaymentsWrite Ordinary;
    POST "/api/v1/payments/{id}/mandate/revoke" PaymentsWrite Ordinary;
    POST "/api/v1/payments/{id}/refunds" RefundsWrite Ordinary;
    POST "/api/v1/payments/{id}/review" ReviewsWrite Ordinary;
    POST "/api/v1/payments/{id}/label" ReviewsWrite Ordinary;
    GET "/api/v1/refunds/{id}" PaymentsRead Ordinary;
    GET "/api/v1/fraud/policy" PoliciesRead Ordinary;
    PUT "/api/v1/fraud/policy" PoliciesWrite Admin;
    DELETE "/api/v1/fraud/policy" PoliciesWrite Admin;
    POST "/api/v1/fraud/policy/dry_run" PoliciesRead Bulk;
    GET "/api/v1/fraud/alerts" PaymentsRead Bulk;
    GET "/api/v1/fraud/reviews" PaymentsRead Bulk;
    GET "/api/v1/fraud/feedback" ReportsRead Bulk;
    GET "/api/v1/routing/policy" PoliciesRead Ordinary;
    PUT "/api/v1/routing/policy" PoliciesWrite Admin;
    DELETE "/api/v1/routing/policy" PoliciesWrite Admin;
    POST "/api/v1/routing/policy/dry_run" PoliciesRead Bulk;
    POST "/api/v1/routing/preview" PoliciesRead Ordinary;
    GET "/api/v1/routing/health" PoliciesRead Ordinary;
    GET "/api/v1/routing/events" PoliciesRead Bulk;
    GET "/api/v1/banks" PaymentsRead Ordinary;
    GET "/api/v1/wallets" PaymentsRead Ordinary;
    GET "/api/v1/emi/plans" PaymentsRead Ordinary;
    POST "/api/v1/bnpl/eligibility" PaymentsWrite Ordinary;
    POST "/api/v1/card_sessions" PaymentsWrite Ordinary;
    POST "/api/v1/payment_methods" CustomersWrite Ordinary;
    GET "/api/v1/payment_methods" CustomersRead Ordinary;
    GET "/api/v1/payment_methods/{id}" CustomersRead Ordinary;
    DELETE "/api/v1/payment_methods/{id}" CustomersWrite Ordinary;
    POST "/api/v1/passkeys" CustomersWrite Ordinary;
    POST "/api/v1/passkeys/options" CustomersWrite Ordinary;
    POST "/api/v1/confirmations" PaymentsWrite Ordinary;
    POST "/api/v1/qr_codes" PaymentsWrite Ordinary;
    GET "/api/v1/analytics/payments" ReportsRead Bulk;
    GET "/api/v1/events" PaymentsRead Bulk;
    POST "/api/v1/checkout/sessions" PaymentsWrite Ordinary;
    GET "/api/v1/checkout/sessions/{id}" PaymentsRead Ordinary;
    GET "/api/v1/balance" ReportsRead Ordinary;
    POST "/api/v1/api_keys" KeysManage Admin;
    GET "/api/v1/api_keys" KeysRead Admin;
    GET "/api/v1/api_keys/{id}" KeysRead Admin;
    POST "/api/v1/api_keys/{id}/rotate" KeysManage Admin;
    POST "/api/v1/api_keys/{id}/revoke" KeysManage Admin;
    GET "/api/v1/api_version" PartnerRead Ordinary;
    PUT "/api/v1/api_version" VersionsManage Admin;
    GET "/api/v1/api_version/usage" PartnerRead Bulk;
    GET "/api/v1/api_versions" Nothing Ordinary;
    GET "/api/v1/platform/api_versions" PartnersRead Bulk;
    POST "/api/v1/tokens" TokensCreate Admin;
    GET "/.well-known/jwks.json" Nothing Ordinary;
    GET "/api/v1/rate_limits" LimitsRead Admin;
    PUT "/api/v1/rate_limits" LimitsManage Admin;
    DELETE "/api/v1/rate_limits" LimitsManage Admin;
    GET "/api/v1/merchants/{id}/rate_limits" LimitsRead Admin;
    PUT "/api/v1/merchants/{id}/rate_limits" LimitsManage Admin;
    DELETE "/api/v1/merchants/{id}/rate_limits" LimitsManage Admin;
    GET "/api/v1/audit" AuditRead Bulk;
    POST "/api/v1/webhook_endpoints" WebhooksManage Admin;
    GET "/api/v1/webhook_endpoints" WebhooksRead Ordinary;
    GET "/api/v1/webhook_endpoints/{id}" WebhooksRead Ordinary;
    PUT "/api/v1/webhook_endpoints/{id}" WebhooksManage Admin;
    DELETE "/api/v1/webhook_endpoints/{id}" WebhooksManage Admin;
    POST "/api/v1/webhook_endpoints/{id}/rotate_secret" WebhooksManage Admin;
    POST "/api/v1/webhook_endpoints/{id}/test" WebhooksManage Admin;
    POST "/api/v1/webhook_endpoints/{id}/replay" WebhooksManage Admin;
    GET "/api/v1/webhook_deliveries" WebhooksRead Bulk;
    GET "/api/v1/webhook_deliveries/{id}" WebhooksRead Ordinary;
    POST "/api/v1/webhook_deliveries/{id}/retry" WebhooksManage Admin;
    GET "/api/v1/jobs" WebhooksRead Bulk;
    GET "/api/v1/jobs/{id}" WebhooksRead Ordinary;
    POST "/api/v1/jobs/{id}/cancel" WebhooksManage Admin;
    GET "/api/v1/partners/{id}/export" PartnersManage Bulk;
    GET "/api/v1/partners/{id}/jobs" PartnersRead Bulk;
    POST "/api/v1/partners/{id}/jobs/{job}/cancel" PartnersManage Admin;
    POST "/api/v1/data_subjects/export" PartnerWrite Bulk;
    POST "/api/v1/data_subjects/erase" PartnerWrite Bulk;
    POST "/api/v1/partners" PartnersManage Admin;
    GET "/api/v1/partners" PartnersRead Bulk;
    POST "/api/v1/partners/import" PartnersManage Bulk;
    GET "/api/v1/partners/{id}" PartnersRead Ordinary;
    PATCH "/api/v1/partners/{id}" PartnersManage Admin;
    GET "/api/v1/partner" PartnerRead Ordinary;
    PATCH "/api/v1/partner" PartnerWrite Admin;
    GET "/api/v1/partners/{id}/processors" PartnersRead Ordinary;
    PUT "/api/v1/partners/{id}/processors/{processor}" PartnersManage Admin;
    DELETE "/api/v1/partners/{id}/processors/{processor}" PartnersManage Admin;
    GET "/api/v1/partner/statistics" ReportsRead Bulk;
    GET "/api/v1/partner/processors" PartnerRead Ordinary;
    PUT "/api/v1/partner/processors/{processor}" PartnerWrite Admin;
    DELETE "/api/v1/partner/processors/{processor}" PartnerWrite Admin;
    POST "/api/v1/partners/{id}/suspend" PartnersManage Admin;
    POST "/api/v1/partners/{id}/resume" PartnersManage Admin;
    POST "/api/v1/partners/{id}/offboard" PartnersManage Admin;
    GET "/api/v1/partners/{id}/statistics" PartnersRead Bulk;
    POST "/api/v1/webhooks/{processor}" Nothing Ordinary;
    POST "/api/v1/webhooks/{processor}/{merchant}" Nothing Ordinary;
    GET "/health" Nothing Ordinary;
    GET "/health/detailed" Nothing Ordinary;
    GET "/ready" Nothing Ordinary;
    GET "/metrics" Nothing Ordinary;
    GET "/openapi.json" Nothing Ordinary;
    GET "/docs" Nothing Ordinary;
}

static BY_PATH: LazyLock<HashMap<&'static str, Vec<&'static Endpoint>>> = LazyLock::new(|| {
    let mut by_path: HashMap<_, Vec<_>> = HashMap::new();
    for endpoint in ENDPOINTS {
        by_path.entry(endpoint.path).or_default().push(endpoint);
    }
    by_path
});

/// The endpoint of a method and a path's pattern.
#[must_use]
pub fn endpoint(method: &Method, path: &str) -> Option<&'static Endpoint> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    BY_PATH.get(path)?.iter().find(|endpoint| endpoint.method == *method).copied()
}

/// An endpoint's place in [`ENDPOINTS`].
pub(crate) fn place(endpoint: &'static Endpoint) -> usize {
    let begin = ENDPOINTS.as_ptr().addr();
    std::ptr::from_ref(endpoint).addr().saturating_sub(begin) / size_of::<Endpoint>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_and_the_document_have_the_same_endpoints() {
        let document = serde_json::to_value(crate::openapi::document()).unwrap();
        let mut documented = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let demand = operation["x-permission"].as_str().map(str::to_owned);
                assert_eq!(demand.is_some(), operation["security"].is_array(), "{method} {path}");
                documented.insert((method.to_uppercase(), path.clone(), demand));
            }
        }
        let known: BTreeSet<_> = ENDPOINTS
            .iter()
            .map(|endpoint| {
                let demand = match endpoint.demand {
                    Demand::Nothing => None,
                    Demand::Needs(permission) => Some(permission.name().to_owned()),
                };
                (endpoint.method.to_string(), endpoint.path.to_owned(), demand)
            })
            .collect();
        assert_eq!(known, documented);
        assert_eq!(known.len(), ENDPOINTS.len(), "an endpoint is there twice");
    }

    #[test]
    fn places_are_those_of_the_table() {
        for (at, endpoint) in ENDPOINTS.iter().enumerate() {
            assert_eq!(place(endpoint), at);
        }
    }

    #[test]
    fn endpoints_are_found_by_method_and_path() {
        let demand = |method: &Method, path: &str| endpoint(method, path).map(|endpoint| endpoint.demand);
        let path = "/api/v1/payments";
        assert_eq!(demand(&Method::HEAD, path), Some(Demand::Needs(Permission::PaymentsRead)));
        assert_eq!(demand(&Method::POST, path), Some(Demand::Needs(Permission::PaymentsWrite)));
        assert_eq!(demand(&Method::DELETE, path), None);
        assert_eq!(demand(&Method::GET, "/health"), Some(Demand::Nothing));
        assert_eq!(demand(&Method::GET, "/checkout/{session}"), None);
    }
}
