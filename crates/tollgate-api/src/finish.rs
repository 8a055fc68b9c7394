//! The one layer around all routes: what every reply has in common.
//!
//! It gives the request its id, counts it, has the guard asked before the handler, compresses the reply for those who want
//! that, answers for a handler that panicked, writes the bodies of problems, adds the security headers and answers `OPTIONS`.

use crate::codes;
use crate::compression::Accepted;
use crate::guard;
use crate::problem::Problem;
use crate::reply::Waited;
use crate::request_id::RequestId;
use crate::state::AppState;
use crate::versions::layer::ProblemShape;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Carries the request's id in the reply.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Tells where a reply's time went.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Passes a request on and finishes its reply.
///
/// What is given to a future is kept in it to its end, and all of a future is copied wherever it is moved to. So the request
/// goes on from here and not from inside, and what is behind this layer has a box of its own.
pub(crate) fn finish(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> impl Future<Output = Response> + Send {
    let began = Instant::now();
    let under_way = state.http_metrics().begin();
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id);
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let accepted = Accepted::of(request.headers());
    let guarded = Box::pin(guard::guard(state.clone(), request, next));
    async move {
        let response = caught(async { accepted.apply(guarded.await).await }).await;
        let response = finished(&state, response, (id, began), &method, matched.as_ref());
        drop(under_way);
        response
    }
}

/// A reply with what all have in common.
fn finished(
    state: &AppState,
    mut response: Response,
    (id, began): (RequestId, Instant),
    method: &Method,
    matched: Option<&MatchedPath>,
) -> Response {
    if method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        answer_options(&mut response);
    }
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        write_problem(&mut response, &problem, id, method);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID_HEADER, id.to_header());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Replies are about money and people; pages that may be kept say so themselves.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));

    let route = matched.map(MatchedPath::as_str);
    let took = began.elapsed();
    if let Some(Waited(waited)) = response.extensions_mut().remove::<Waited>() {
        let own = took.saturating_sub(waited);
        state.http_metrics().record_overhead(own);
        response.headers_mut().insert(SERVER_TIMING, timing(waited, own));
    }
    state.http_metrics().of(route, method).record(response.status(), took);
    tracing::debug!(
        request_id = id.as_str(),
        method = method.as_str(),
        route = route.unwrap_or("other"),
        status = response.status().as_u16(),
        took_us = took.as_micros(),
        "request"
    );
    response
}

/// Where a reply's time went, in milliseconds, as W3C Server Timing writes it.
fn timing(processor: Duration, gateway: Duration) -> HeaderValue {
    let ms = |span: Duration| (span.as_millis(), span.subsec_micros() % 1_000);
    let ((processor, processor_us), (gateway, gateway_us)) = (ms(processor), ms(gateway));
    let text = format!("processor;dur={processor}.{processor_us:03}, gateway;dur={gateway}.{gateway_us:03}");
    // Digits and the letters above: always a header's value.
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("processor"))
}

/// Waits for a reply; a panic has one too.
async fn caught(running: impl Future<Output = Response>) -> Response {
    let mut running = pin!(running);
    poll_fn(|context| {
        // What panicked is not polled again.
        catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context)))
            .unwrap_or_else(|panic| Poll::Ready(panicked(panic)))
    })
    .await
}

/// The same for a server that has no state: no metrics.
pub(crate) async fn plainly(request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let method = request.method().clone();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        write_problem(&mut response, &problem, id, &method);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID_HEADER, id.to_header());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn write_problem(response: &mut Response, problem: &Problem, id: RequestId, method: &Method) {
    let mut body = problem.to_json(Some(id.as_str()));
    if let Some(shape) = response.extensions_mut().remove::<ProblemShape>() {
        body = shape.apply(body);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(crate::problem::MEDIA_TYPE));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if method != Method::HEAD {
        *response.body_mut() = Body::from(body);
    }
}

/// `OPTIONS` asks what a path knows: that is the `Allow` header, which the router adds behind this
/// layer, and no fault.
fn answer_options(response: &mut Response) {
    response.extensions_mut().remove::<Problem>();
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.body_mut() = Body::empty();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.remove(CONTENT_LENGTH);
}

/// Answers a path that is not there.
pub(crate) async fn not_found() -> Problem {
    Problem::new(&codes::NOT_FOUND)
}

/// Answers a method that a path does not know; the router adds `Allow`.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(&codes::METHOD_NOT_ALLOWED)
}

/// Answers for a handler that panicked. The panic's text goes to the log alone.
pub(crate) fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text");
    tracing::error!(panic = text, "a handler panicked");
    Problem::new(&codes::INTERNAL).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn room<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// What every request takes up before its handler, and is copied from where it is made.
    #[test]
    fn what_is_around_a_handler_stays_small() {
        type Asked = (AppState, Request, Next);
        let guard = room(|(state, request, next): Asked| guard::guard(state, request, next));
        let finish = room(|(state, request, next): Asked| finish(State(state), request, next));
        assert!(guard < 1_500 && finish < 1_000, "{guard} and {finish} bytes");
    }

    #[tokio::test]
    async fn a_panic_is_answered_whenever_it_comes() {
        let at_once = caught(async { panic!("at once") }).await;
        let later = caught(async {
            tokio::task::yield_now().await;
            panic!("later")
        });
        for mut response in [at_once, later.await] {
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let problem = response.extensions_mut().remove::<Problem>().unwrap();
            assert_eq!(problem.code(), &codes::INTERNAL);
        }
        let said = caught(async { StatusCode::CREATED.into_response() }).await;
        assert_eq!(said.status(), StatusCode::CREATED);
    }
}
