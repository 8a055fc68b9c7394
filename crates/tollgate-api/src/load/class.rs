//! What a request is worth when there is too much to do, by its method and path alone.
//!
//! The question is asked before a body or a key is read, so that saying no costs next to nothing. What ends
//! something that has begun comes before what begins something, and that before what only looks back.

use http::Method;

/// How important a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Lists, reports, batches, fraud policies and feedback, and what is not known: refused first.
    Bulk,
    /// New payments, and what leads to them.
    New,
    /// Ends or shows what has begun: webhooks, captures, cancellations, refunds, reads of one payment.
    Settling,
}

impl Class {
    /// All, the least important first.
    pub const ALL: [Self; 3] = [Self::Bulk, Self::New, Self::Settling];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::New => "new",
            Self::Settling => "settling",
        }
    }

    /// Per cent of the limit that requests under way of all classes may fill before this one is refused.
    #[must_use]
    pub const fn share_percent(self) -> u32 {
        match self {
            Self::Bulk => 60,
            Self::New => 90,
            Self::Settling => 100,
        }
    }

    /// When a refused caller is asked to come back. The less important come back later.
    #[must_use]
    pub const fn retry_after_s(self) -> &'static str {
        match self {
            Self::Bulk => "5",
            Self::New => "2",
            Self::Settling => "1",
        }
    }
}

/// The class of a request; none: it is never refused.
#[must_use]
pub fn of(method: &Method, path: &str) -> Option<Class> {
    match path {
        "/health" | "/health/detailed" | "/ready" | "/metrics" | "/openapi.json" | "/docs" => return None,
        "/demo" | "/demo/pay" | "/vault/cards" => return Some(Class::New),
        "/demo/receipt" => return Some(Class::Settling),
        _ => {}
    }
    Some(match path.strip_prefix("/api/v1/") {
        Some(rest) => of_api(method, rest),
        None => of_page(path),
    })
}

fn of_api(method: &Method, rest: &str) -> Class {
    let (head, rest) = rest.split_once('/').map_or((rest, None), |(head, rest)| (head, Some(rest)));
    let is_post = method == Method::POST;
    match (head, rest) {
        ("webhooks", Some(_)) => Class::Settling,
        ("payments", None) if is_post => Class::New,
        ("payments", Some("recent" | "batch")) => Class::Bulk,
        ("payments", Some(rest)) if rest.ends_with("/label") => Class::Bulk,
        ("payments" | "refunds", Some(_)) => Class::Settling,
        ("checkout", Some("sessions")) => Class::New,
        ("checkout", Some(_)) => Class::Settling,
        // What a shop, or a page, needs to offer before a payment.
        (
            "banks" | "wallets" | "emi" | "bnpl" | "card_sessions" | "payment_methods" | "passkeys"
            | "confirmations" | "qr_codes" | "tokens",
            _,
        ) => Class::New,
        _ => Class::Bulk,
    }
}

/// What customers' browsers see.
fn of_page(path: &str) -> Class {
    match path.strip_prefix("/checkout/") {
        Some(rest) if rest.ends_with("/pay") => Class::New,
        Some(_) => Class::Settling,
        None if path.starts_with("/pay/") || path.starts_with("/return/") => Class::Settling,
        None => Class::Bulk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: [&str; 6] = ["/health", "/health/detailed", "/ready", "/metrics", "/openapi.json", "/docs"];

    #[test]
    fn every_documented_operation_has_the_class_it_should_have() {
        let document = serde_json::to_value(crate::openapi::document()).unwrap();
        let mut seen = std::collections::BTreeMap::new();
        for (pattern, item) in document["paths"].as_object().unwrap() {
            let path = pattern.replace("{id}", "pay_0123").replace("{processor}", "razorpay");
            for method in item.as_object().unwrap().keys() {
                let class = of(&method.to_uppercase().parse().unwrap(), &path);
                let Some(class) = class else {
                    assert!(NEVER.contains(&path.as_str()), "{path}");
                    continue;
                };
                *seen.entry(class.name()).or_insert(0) += 1;
                let expected = match (method.as_str(), pattern.as_str()) {
                    ("post", "/api/v1/payments" | "/api/v1/checkout/sessions") => Class::New,
                    ("get" | "post", pattern)
                        if pattern.contains("/payments/{id}") && !pattern.ends_with("label") =>
                    {
                        Class::Settling
                    }
                    (_, "/api/v1/refunds/{id}") => Class::Settling,
                    (_, pattern) if pattern.starts_with("/api/v1/webhooks/") => Class::Settling,
                    (_, "/api/v1/checkout/sessions/{id}") => Class::Settling,
                    (_, pattern)
                        if ["fraud/", "analytics", "events", "balance", "recent", "batch", "label"]
                            .iter()
                            .any(|bulk| pattern.contains(bulk)) =>
                    {
                        Class::Bulk
                    }
                    ("get", "/api/v1/payments") => Class::Bulk,
                    // The rest leads to payments; what is new and not thought of is refused first.
                    _ => {
                        assert_ne!(class, Class::Settling, "{method} {path}");
                        continue;
                    }
                };
                assert_eq!(class, expected, "{method} {path}");
            }
        }
        assert!(seen.len() == 3 && seen.values().all(|count| *count >= 5), "{seen:?}");
    }

    #[test]
    fn pages_and_what_nobody_knows() {
        for (method, path, class) in [
            ("GET", "/checkout/cs_1.x", Class::Settling),
            ("GET", "/checkout/cs_1.x/events", Class::Settling),
            ("POST", "/checkout/cs_1.x/cancel", Class::Settling),
            ("POST", "/checkout/cs_1.x/pay", Class::New),
            ("GET", "/return/payu/abc", Class::Settling),
            ("GET", "/pay/mer_1/pay_1", Class::Settling),
            ("OPTIONS", "/vault/cards", Class::New),
            ("GET", "/api/v1/payments/", Class::Settling),
            ("GET", "/api/v1/nothing", Class::Bulk),
            ("GET", "/", Class::Bulk),
            ("GET", "", Class::Bulk),
            ("GET", "*", Class::Bulk),
            ("GET", "/healthy", Class::Bulk),
        ] {
            assert_eq!(of(&method.parse().unwrap(), path), Some(class), "{method} {path}");
        }
    }
}
