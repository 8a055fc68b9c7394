//! Before every handler: who calls, whether they may, whether not too often, and with which version of the API.
//!
//! The one layer around all routes comes here first. This asks [`table`] what the endpoint demands, authenticates the caller, and puts the result
//! where the extractors of [`crate::auth`] find it.

pub mod consistency;
pub mod limits;
pub mod rate;
pub mod table;

mod addresses;
mod lockout;
mod shared;

pub(crate) use lockout::Lockout;

use crate::auth;
use crate::client::CallerAddress;
use crate::codes::{self, Code};
use crate::problem::Problem;
use crate::state::AppState;
use crate::tls::ClientCertificate;
use crate::versions::layer;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use limits::Told;
use rate::TooSoon;
use std::sync::Arc;
use table::Demand;
use tollgate_core::api_key::KeyOwner;
use tollgate_store::reads::relaxed;

/// Passes a request on if its caller may do what it asks for, now.
pub(crate) async fn guard(state: &AppState, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let address = state.client_address().of(&parts);
    if !is_exempt(path)
        && let Err(too_soon) = state.limits().arrive(address).await
    {
        return too_often(&codes::RATE_LIMITED, too_soon)
            .because("too many requests from your address")
            .into_response();
    }
    // Pages, and methods that a path does not know, have no line in the table; nor do they get a caller.
    let Some(endpoint) = table::endpoint(&parts.method, path) else {
        return next.run(Request::from_parts(parts, body)).await;
    };
    let Demand::Needs(permission) = endpoint.demand else {
        return next.run(Request::from_parts(parts, body)).await;
    };
    let certificate = parts.extensions.get::<ClientCertificate>().copied();
    let entered = match auth::authenticate(state, &parts.headers, address, certificate).await {
        Ok(entered) => entered,
        Err(problem) => return problem.into_response(),
    };
    let mut told = Told::default();
    if let Some(meters) = &entered.meters {
        let merchant_id = match entered.principal.owner.of_keys() {
            KeyOwner::Merchant(id) => Some(id),
            KeyOwner::Platform => None,
        };
        let (result, headers) = state.limits().request(merchant_id, meters, endpoint.class).await;
        told = headers;
        if let Err(too_soon) = result {
            let mut response = too_often(&codes::RATE_LIMITED, too_soon).into_response();
            told.write(response.headers_mut());
            return response;
        }
    }
    let chosen = match layer::choose(state, &parts.headers, &entered.principal, endpoint) {
        Ok(chosen) => chosen,
        Err(mut response) => {
            told.write(response.headers_mut());
            return *response;
        }
    };
    let mut response = if entered.principal.permissions.has(permission) {
        let principal = entered.principal;
        parts.extensions.insert(Arc::clone(&principal));
        if let Some(address) = address {
            parts.extensions.insert(CallerAddress(address));
        }
        let is_change = !parts.method.is_safe();
        let reading = consistency::reading(endpoint, &parts.headers, &principal.owner);
        let running = chosen.run(state, &principal, parts, body, next);
        let mut response = match reading {
            Some(reading) => relaxed(reading, running).await,
            None => running.await,
        };
        if is_change {
            consistency::tell(state, &principal.owner, response.headers_mut());
        }
        response
    } else {
        let detail = format!("this needs the permission {permission}");
        Problem::new(&codes::FORBIDDEN).because(detail).into_response()
    };
    chosen.write(response.headers_mut());
    told.write(response.headers_mut());
    response
}

/// What is asked for again and again by machines that are our own, and what processors tell: it must arrive.
fn is_exempt(path: &str) -> bool {
    matches!(
        path,
        "/health"
            | "/health/detailed"
            | "/ready"
            | "/metrics"
            | "/api/v1/webhooks/{processor}"
            | "/api/v1/webhooks/{processor}/{merchant}"
    )
}

/// The refusal of somebody who has to wait.
pub(crate) fn too_often(code: &'static Code, too_soon: TooSoon) -> Problem {
    Problem::new(code).retry_after_s(too_soon.retry_after_s)
}
