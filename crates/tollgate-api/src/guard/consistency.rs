//! What may be read from a replica, and the `Tollgate-Consistency` header that lets a caller see its own changes there.
//!
//! Lists, statistics, reports and exports may be a little behind; nothing that decides about money, answers a repeated
//! request or shows one payment is. A reply to a change carries a token; a caller who sends it back with a list sees
//! the change in it, whichever instance and whichever replica answers.

use super::table::Endpoint;
use crate::auth::Owner;
use crate::state::AppState;
use http::{HeaderMap, HeaderValue, Method};
use tollgate_core::id::MerchantId;
use tollgate_store::reads::Reading;

/// The header's name.
pub const HEADER: &str = "Tollgate-Consistency";

/// Longer tokens are none of ours.
const TOKEN_LENGTH_MAX: usize = 64;

/// The endpoints whose answers may be a little behind. What jobs write (deliveries, jobs) is read where it is written.
pub const MAY_LAG: [(Method, &str); 12] = [
    (Method::GET, "/api/v1/payments"),
    (Method::POST, "/api/v1/payments/recent"),
    (Method::GET, "/api/v1/fraud/alerts"),
    (Method::GET, "/api/v1/fraud/reviews"),
    (Method::GET, "/api/v1/fraud/feedback"),
    (Method::GET, "/api/v1/analytics/payments"),
    (Method::GET, "/api/v1/events"),
    (Method::GET, "/api/v1/partners"),
    (Method::GET, "/api/v1/partners/{id}/export"),
    (Method::GET, "/api/v1/partners/{id}/statistics"),
    (Method::GET, "/api/v1/partner/statistics"),
    (Method::GET, "/api/v1/platform/api_versions"),
];

fn merchant_of(owner: &Owner) -> Option<MerchantId> {
    match owner {
        Owner::Merchant(merchant) => Some(merchant.id),
        Owner::Platform => None,
    }
}

/// How an endpoint's answer is read; none: as everything else is.
pub(super) fn reading(endpoint: &Endpoint, headers: &HeaderMap, owner: &Owner) -> Option<Reading> {
    let is_listed = MAY_LAG.iter().any(|(method, path)| *method == endpoint.method && *path == endpoint.path);
    is_listed.then(|| Reading::new(merchant_of(owner), token(headers)))
}

/// What cannot be read is passed on as a token that nobody knows: then everything is seen.
fn token(headers: &HeaderMap) -> Option<String> {
    let mut sent = headers.get_all(HEADER).iter();
    let first = sent.next()?;
    let text = first.to_str().ok().filter(|text| text.len() <= TOKEN_LENGTH_MAX);
    Some(text.filter(|_| sent.next().is_none()).unwrap_or_default().to_owned())
}

/// Tells the caller of a change how to see it.
pub(super) fn tell(state: &AppState, owner: &Owner, headers: &mut HeaderMap) {
    let token = state.engine().store().consistency(merchant_of(owner));
    if let Some(value) = token.and_then(|token| HeaderValue::try_from(token).ok()) {
        headers.insert(HEADER, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::table;

    #[test]
    fn every_endpoint_that_may_lag_is_there_and_changes_nothing() {
        for (method, path) in &MAY_LAG {
            let endpoint = table::endpoint(method, path).expect(path);
            assert!(matches!(endpoint.demand, table::Demand::Needs(_)), "{path}");
            assert!(*method == Method::GET || *path == "/api/v1/payments/recent", "{path}");
            assert_eq!(endpoint.class, table::Class::Bulk, "{path}");
        }
    }

    #[test]
    fn a_token_is_one_short_text_or_unknown() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, HeaderValue::from_str(value).unwrap());
            }
            token(&headers)
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["7-1f"]).as_deref(), Some("7-1f"));
        assert_eq!(read(&["7-1f", "7-1f"]).as_deref(), Some(""));
        assert_eq!(read(&["x".repeat(65).as_str()]).as_deref(), Some(""));
    }
}
