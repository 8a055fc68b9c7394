//! What the guard does about versions: which one a call has, and its translation.
//!
//! A call of the newest version costs a look at a header, a number to add to and a header to write.

use super::shape::{self, translated};
use super::{Change, VERSIONS, VersionId};
use crate::auth::Principal;
use crate::body;
use crate::codes;
use crate::guard::table::{self, Endpoint};
use crate::problem::{self, Problem};
use crate::state::AppState;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LINK};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

/// Says which version a call has, and which its reply.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("tollgate-version");

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Where the changes are told.
const CHANGELOG_LINK: HeaderValue =
    HeaderValue::from_static("</api/v1/api_versions>; rel=\"deprecation\"; type=\"application/json\"");

/// The endpoint by which an account leaves a version: it answers even to those whose version is gone.
const WAY_OUT: &str = "/api/v1/api_version";

/// What is said of a version in headers.
struct Said {
    version: HeaderValue,
    deprecated_since: Option<HeaderValue>,
    sunset: Option<HeaderValue>,
    sunset_ms: Option<u64>,
}

static SAID: LazyLock<Vec<Said>> = LazyLock::new(|| {
    let said = |version: &'static super::Version| {
        let begin = |date: &str| -> Option<jiff::Timestamp> {
            Some(date.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        };
        let sunset = version.sunset.and_then(begin);
        let http_date = |at: jiff::Timestamp| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        Said {
            version: HeaderValue::from_static(version.date),
            deprecated_since: version
                .deprecated_since
                .and_then(begin)
                .and_then(|since| HeaderValue::try_from(format!("@{}", since.as_second())).ok()),
            sunset: sunset.and_then(|at| HeaderValue::try_from(http_date(at)).ok()),
            sunset_ms: sunset.and_then(|at| u64::try_from(at.as_millisecond()).ok()),
        }
    };
    VERSIONS.iter().map(said).collect()
});

/// From when on a version is gone, in milliseconds since the Unix epoch.
pub(crate) fn sunset_ms(version: VersionId) -> Option<u64> {
    SAID.get(version.place())?.sunset_ms
}

/// A call's version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chosen {
    version: VersionId,
    endpoint: &'static Endpoint,
    /// Whether the account is pinned to nothing, and the call names nothing.
    is_first: bool,
}

/// The version of a call.
///
/// # Errors
/// `api_version_unknown` or `api_version_gone`, as a whole reply.
pub(crate) fn choose(
    state: &AppState,
    headers: &HeaderMap,
    principal: &Principal,
    endpoint: &'static Endpoint,
) -> Result<Chosen, Box<Response>> {
    let mut sent = headers.get_all(HEADER).iter();
    let (version, is_first) = match (sent.next(), &principal.account) {
        (Some(value), _) => {
            let named = value.to_str().ok().and_then(VersionId::named).filter(|_| sent.next().is_none());
            (named.ok_or_else(|| Box::new(unknown().into_response()))?, false)
        }
        (None, Some(account)) => {
            let pin = account.pin();
            (pin.unwrap_or(VersionId::NEWEST), pin.is_none())
        }
        (None, None) => (VersionId::NEWEST, false),
    };
    let chosen = Chosen { version, endpoint, is_first };
    if version != VersionId::NEWEST
        && endpoint.path != WAY_OUT
        && sunset_ms(version).is_some_and(|at_ms| state.engine().now_ms() >= at_ms)
    {
        let mut response = gone(version).into_response();
        chosen.write(response.headers_mut());
        return Err(Box::new(response));
    }
    Ok(chosen)
}

fn known() -> String {
    VERSIONS.iter().map(|version| version.date).collect::<Vec<_>>().join(", ")
}

fn unknown() -> Problem {
    Problem::new(&codes::API_VERSION_UNKNOWN).at("Tollgate-Version").because(format!("known: {}", known()))
}

fn gone(version: VersionId) -> Problem {
    let date = version.version().date;
    Problem::new(&codes::API_VERSION_GONE)
        .at("Tollgate-Version")
        .because(format!("{date} is no longer served; the newest is {}", VersionId::NEWEST.version().date))
}

impl Chosen {
    /// The endpoint that is called.
    pub(crate) const fn endpoint(self) -> &'static Endpoint {
        self.endpoint
    }

    /// Counts a call that its caller may make.
    pub(crate) fn count(self, state: &AppState, principal: &Principal) {
        if let Some(account) = &principal.account {
            if let Some(calls) = &account.calls {
                calls.count(self.version, table::place(self.endpoint));
            }
            if self.is_first {
                account.pin_to_newest(state);
            }
        }
        state.versions().count(self.version);
    }

    /// What has changed since its version where it goes.
    fn plan(self) -> &'static [&'static Change] {
        if self.version == VersionId::NEWEST { &[] } else { self.version.plan(self.endpoint) }
    }

    /// Whether there is nothing to translate.
    pub(crate) fn is_as_it_is(self) -> bool {
        self.plan().is_empty()
    }

    /// Passes a call on, translated if it is of an older version.
    pub(crate) async fn run(self, state: &AppState, request: Request, next: Next) -> Response {
        let plan = self.plan();
        if plan.is_empty() {
            return next.run(request).await;
        }
        let (parts, body) = request.into_parts();
        let is_head = parts.method == Method::HEAD;
        let response = match upgraded(state, plan, parts, body).await {
            Ok(request) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
        downgraded(plan, response, is_head).await
    }

    /// Says in a reply which version it has, and what becomes of that.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let Some(said) = SAID.get(self.version.place()) else {
            return;
        };
        headers.insert(HEADER, said.version.clone());
        if let Some(since) = &said.deprecated_since {
            headers.insert(DEPRECATION, since.clone());
            headers.append(LINK, CHANGELOG_LINK);
        }
        if let Some(sunset) = &said.sunset {
            headers.insert(SUNSET, sunset.clone());
        }
    }
}

/// The call in the newest form. What cannot be read is passed on as it is: the endpoint says what is wrong with it.
async fn upgraded(
    state: &AppState,
    plan: &[&Change],
    mut parts: Parts,
    body: Body,
) -> Result<Request, Problem> {
    if plan.iter().any(|change| change.query.is_some())
        && let Some(uri) = upgraded_query(plan, &parts.uri)
    {
        parts.uri = uri;
    }
    let translate: Vec<fn(&mut Value)> = plan.iter().filter_map(|change| change.request).collect();
    if translate.is_empty() || body::require_json(&parts.headers).is_err() {
        return Ok(Request::from_parts(parts, body));
    }
    let read = body::read(&parts.headers, body, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let readable = !shape::has_a_name_twice(&read) && body::is_depth_within(&read, body::DEPTH_MAX);
    let bytes = match translated(&read, &translate).filter(|_| readable) {
        Some(new) if !is_same(&read, &new) => {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(new.len()));
            Bytes::from(new)
        }
        // To the byte: an idempotency key stands for them.
        _ => read,
    };
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Whether two JSON texts say the same.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    shape::read(one) == shape::read(other)
}

fn upgraded_query(plan: &[&Change], uri: &Uri) -> Option<Uri> {
    let sent = uri.query()?;
    let mut query: super::Query = form_urlencoded::parse(sent.as_bytes()).into_owned().collect();
    let before = query.clone();
    for translate in plan.iter().filter_map(|change| change.query) {
        translate(&mut query);
    }
    if query == before {
        return None;
    }
    let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(&query).finish();
    let mut new = uri.clone().into_parts();
    new.path_and_query = format!("{}?{text}", uri.path()).parse().ok();
    Uri::from_parts(new).ok()
}

/// How the outermost layer translates a problem, whose body it writes.
#[derive(Debug, Clone)]
pub(crate) struct ProblemShape(Arc<[fn(&mut Value)]>);

impl ProblemShape {
    /// A problem's body in the shape of the call's version.
    pub(crate) fn apply(&self, body: Vec<u8>) -> Vec<u8> {
        translated(&body, &self.0).unwrap_or(body)
    }
}

/// The reply in the form of the call's version.
async fn downgraded(plan: &[&Change], mut response: Response, is_head: bool) -> Response {
    let of_problems: Vec<_> = plan.iter().rev().filter_map(|change| change.problem).collect();
    if response.extensions().get::<Problem>().is_some() {
        if !of_problems.is_empty() {
            response.extensions_mut().insert(ProblemShape(of_problems.into()));
        }
        return response;
    }
    let translate = match response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes) {
        Some(b"application/json") => plan.iter().rev().filter_map(|change| change.response).collect(),
        Some(media) if media == problem::MEDIA_TYPE.as_bytes() => of_problems,
        _ => return response,
    };
    if translate.is_empty() {
        return response;
    }
    if is_head {
        // It has the length of a body that nobody is sent.
        response.headers_mut().remove(CONTENT_LENGTH);
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Bounded by what the endpoint answers with: it is in memory already.
    let Ok(collected) = body.collect().await else {
        return Problem::new(&codes::INTERNAL).into_response();
    };
    let bytes = collected.to_bytes();
    let Some(new) = translated(&bytes, &translate) else {
        tracing::error!("a reply of this program is not JSON");
        return Response::from_parts(parts, Body::from(bytes));
    };
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(new))
}
