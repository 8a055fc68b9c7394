//! Reads replies and puts every payment's end into a class. Pure: no I/O, no counting.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest id, status or problem code that is believed.
const WORD_MAX: usize = 128;

/// A reply as it came over the wire.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) http: u16,
    /// `Idempotent-Replayed: true` was there.
    pub(super) replayed: bool,
    /// `Retry-After` was there.
    pub(super) says_when: bool,
    /// How long the gateway says it waited for processors, in microseconds.
    pub(super) processor_us: Option<u64>,
    pub(super) body: Bytes,
}

/// The fields read from a payment or a problem (RFC 9457); the rest is parsed and left.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(default)]
    id: Option<String>,
    /// Text in a payment, the HTTP number in a problem.
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(default)]
    code: Option<String>,
}

/// How a payment ended, as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The gateway answered with a payment: it has taken responsibility for it.
    Payment { http: u16, id: String, status: String },
    /// The gateway refused the request; `says_when`: with a time to come back.
    Refused { http: u16, code: Option<String>, says_when: bool },
    /// No usable answer.
    Failed(Failure),
}

/// Why there is no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection; nothing was sent.
    Connect,
    /// No reply in time; the outcome is unknown.
    Timeout,
    /// The connection broke after sending; the outcome is unknown.
    Reset,
    /// A reply that is not HTTP, or a 2xx without a payment in it.
    Malformed,
}

impl Failure {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Malformed => "malformed_reply",
        }
    }
}

/// The classes the report counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// 2xx, and the payment is neither declined nor failed.
    Success,
    /// Declined by the processor or the risk rules: an ordinary answer, no fault of the gateway.
    Declined,
    /// Everything else.
    Error,
}

impl Outcome {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Payment { status, .. } if status == "declined" => Class::Declined,
            Self::Payment { http, status, .. } if (200..300).contains(http) && status != "failed" => {
                Class::Success
            }
            Self::Payment { .. } | Self::Refused { .. } | Self::Failed(_) => Class::Error,
        }
    }

    /// The gateway answered fast and on purpose that it will not take this one now. Kept out of the latency figures, which
    /// it would flatter.
    pub(super) fn is_quick_refusal(&self) -> bool {
        match self {
            Self::Refused { http, .. } => (400..500).contains(http) || *http == 503,
            Self::Failed(failure) => *failure == Failure::Connect,
            Self::Payment { .. } => false,
        }
    }

    /// The gateway answered that there is too much to do, or too much from this caller.
    pub(super) fn is_shed(&self) -> bool {
        matches!(self, Self::Refused { http: 429 | 503, .. })
    }

    /// The client cannot know whether the payment was taken.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Failed(Failure::Timeout | Failure::Reset))
    }

    /// The answer to a repeated request that says nothing yet about the first: still in flight, or try later.
    pub(super) fn says_later(&self) -> bool {
        matches!(self, Self::Refused { http: 409 | 429 | 502..=504, .. })
    }

    /// The line of the error breakdown it belongs to; `None` when it is no error.
    pub(super) fn error_name(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Failed(failure) => Some(Cow::Borrowed(failure.name())),
            Self::Refused { http: 429, .. } => Some(Cow::Borrowed("http_429")),
            Self::Refused { http: 503, .. } => Some(Cow::Borrowed("http_503")),
            Self::Refused { http, code: Some(code), .. } => Some(Cow::Owned(format!("http_{http} {code}"))),
            Self::Refused { http, code: None, .. } => Some(Cow::Owned(format!("http_{http}"))),
            Self::Payment { .. } if self.class() == Class::Error => Some(Cow::Borrowed("payment_failed")),
            Self::Payment { .. } => None,
        }
    }
}

/// Reads a reply. A body with an id and a textual status is a payment, whatever the HTTP status: a decline may come as 402.
pub(super) fn read(reply: &Reply) -> Outcome {
    let Ok(fields) = serde_json::from_slice::<Fields<'_>>(&reply.body) else {
        return refused(reply, None);
    };
    // A number is no text, and then this is no payment.
    let status = fields.status.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    match (fields.id.filter(is_word), status.filter(is_word)) {
        (Some(id), Some(status)) => Outcome::Payment { http: reply.http, id, status },
        _ => refused(reply, fields.code.filter(is_word)),
    }
}

/// The processor's time in a `Server-Timing` header, in microseconds.
pub(super) fn processor_us(timing: &str) -> Option<u64> {
    let metrics = timing.split(',').map(|metric| metric.trim().split(';'));
    let mut parameters = metrics.into_iter().find_map(|mut metric| {
        (metric.next().is_some_and(|name| name.trim() == "processor")).then_some(metric)
    })?;
    let ms = parameters.find_map(|parameter| parameter.trim().strip_prefix("dur="))?;
    let span = Duration::try_from_secs_f64(ms.parse::<f64>().ok()? / 1_000.0).ok()?;
    u64::try_from(span.as_micros()).ok()
}

fn refused(reply: &Reply, code: Option<String>) -> Outcome {
    if (200..300).contains(&reply.http) {
        Outcome::Failed(Failure::Malformed)
    } else {
        Outcome::Refused { http: reply.http, code, says_when: reply.says_when }
    }
}

#[expect(clippy::ptr_arg, reason = "the shape `Option::filter` asks for")]
fn is_word(text: &String) -> bool {
    (1..=WORD_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(http: u16, body: &str) -> Outcome {
        read(&Reply {
            http,
            replayed: false,
            says_when: false,
            processor_us: None,
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    #[test]
    fn payments_are_classed_by_their_status() {
        let class = |http, status| {
            outcome(http, &format!(r#"{{"id":"pay_1","status":"{status}","x":[1e400]}}"#)).class()
        };
        for status in ["completed", "authorized", "requires_action", "processing", "pending"] {
            assert_eq!(class(201, status), Class::Success, "{status}");
        }
        assert_eq!(class(201, "declined"), Class::Declined);
        assert_eq!(class(402, "declined"), Class::Declined);
        assert_eq!(class(201, "failed"), Class::Error);
        assert_eq!(class(500, "completed"), Class::Error);
    }

    #[test]
    fn a_2xx_without_a_payment_is_malformed() {
        let bodies = [
            r"{}",
            "",
            "ok",
            r#"{"id":"pay_1"}"#,
            r#"{"id":"a b","status":"completed"}"#,
            r#"{"id":1,"status":"x"}"#,
        ];
        for body in bodies {
            assert_eq!(outcome(200, body), Outcome::Failed(Failure::Malformed), "{body}");
        }
    }

    #[test]
    fn problems_are_named_by_code() {
        let problem = outcome(422, r#"{"type":"about:blank","status":422,"code":"amount_invalid"}"#);
        assert_eq!(problem.error_name().unwrap(), "http_422 amount_invalid");
        assert_eq!(outcome(503, r#"{"code":"overloaded"}"#).error_name().unwrap(), "http_503");
        assert_eq!(outcome(429, "").error_name().unwrap(), "http_429");
        assert_eq!(outcome(500, "<html>").error_name().unwrap(), "http_500");
        assert_eq!(Outcome::Failed(Failure::Reset).error_name().unwrap(), "reset");
        assert_eq!(outcome(201, r#"{"id":"pay_1","status":"completed"}"#).error_name(), None);
    }

    #[test]
    fn the_processors_time_is_found_among_others() {
        assert_eq!(processor_us("processor;dur=12.345, gateway;dur=1.5"), Some(12_345));
        assert_eq!(processor_us("cache, processor;desc=PayU; dur=3"), Some(3_000));
        for none in
            ["", "gateway;dur=1", "processor", "processor;dur=x", "processor;dur=-1", "processor;dur=1e300"]
        {
            assert_eq!(processor_us(none), None, "{none}");
        }
    }

    #[test]
    fn quick_refusals_do_not_flatter_the_latency() {
        assert!(outcome(503, "{}").is_quick_refusal());
        assert!(outcome(429, "{}").is_quick_refusal());
        assert!(!outcome(500, "{}").is_quick_refusal());
        assert!(!Outcome::Failed(Failure::Timeout).is_quick_refusal());
        assert!(!outcome(201, r#"{"id":"pay_1","status":"completed"}"#).is_quick_refusal());
    }
}
