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

use crate::auth::{self, Principal};
use crate::client::CallerAddress;
use crate::codes::{self, Code};
use crate::problem::Problem;
use crate::state::AppState;
use crate::tls::ClientCertificate;
use crate::versions::layer::{self, Chosen};
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use limits::Told;
use rate::TooSoon;
use std::net::IpAddr;
use std::sync::Arc;
use table::Demand;
use tollgate_core::api_key::KeyOwner;
use tollgate_store::reads::relaxed;

/// Passes a request on if its caller may do what it asks for, now.
pub(crate) fn guard(
    state: AppState,
    mut request: Request,
    next: Next,
) -> impl Future<Output = Response> + Send {
    let address = state.client_address().of(request.headers(), request.extensions());
    async move {
        let Admitted { chosen, principal, told } = match enter(&state, address, &mut request).await {
            Ok(Some(admitted)) => admitted,
            Ok(None) => return next.run(request).await,
            Err(response) => return *response,
        };
        let is_change = !request.method().is_safe();
        let reading = consistency::reading(chosen.endpoint(), request.headers(), &principal.owner);
        let mut response = if reading.is_none() && chosen.is_as_it_is() {
            next.run(request).await
        } else {
            // Boxed: room for it would be kept for every payment too.
            let running = chosen.run(&state, request, next);
            Box::pin(async move {
                match reading {
                    Some(reading) => relaxed(reading, running).await,
                    None => running.await,
                }
            })
            .await
        };
        if is_change {
            consistency::tell(&state, &principal.owner, response.headers_mut());
        }
        chosen.write(response.headers_mut());
        told.write(response.headers_mut());
        response
    }
}

/// A request that may be passed on.
struct Admitted {
    chosen: Chosen,
    principal: Arc<Principal>,
    told: Told,
}

/// Lets a request in, or answers it. None: nothing is demanded of it.
async fn enter(
    state: &AppState,
    address: Option<IpAddr>,
    request: &mut Request,
) -> Result<Option<Admitted>, Box<Response>> {
    // What has no route has no demands either, and nothing behind it.
    let Some(path) = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) else {
        return Ok(None);
    };
    let (is_exempt, endpoint) = (is_exempt(path), table::endpoint(request.method(), path));
    if !is_exempt && let Err(too_soon) = state.limits().arrive(address).await {
        let problem = too_often(&codes::RATE_LIMITED, too_soon);
        return Err(answer(problem.because("too many requests from your address")));
    }
    // Pages, and methods that a path does not know, have no line in the table; nor do they get a caller.
    let Some(endpoint) = endpoint else {
        return Ok(None);
    };
    let Demand::Needs(permission) = endpoint.demand else {
        return Ok(None);
    };
    let certificate = request.extensions().get::<ClientCertificate>().copied();
    let entered = auth::authenticate(state, request.headers(), address, certificate).await.map_err(answer)?;
    let mut told = Told::default();
    if let Some(meters) = &entered.meters {
        let merchant_id = match entered.principal.owner.of_keys() {
            KeyOwner::Merchant(id) => Some(id),
            KeyOwner::Platform => None,
        };
        let (result, headers) = state.limits().request(merchant_id, meters, endpoint.class).await;
        told = headers;
        if let Err(too_soon) = result {
            let mut response = answer(too_often(&codes::RATE_LIMITED, too_soon));
            told.write(response.headers_mut());
            return Err(response);
        }
    }
    let chosen = match layer::choose(state, request.headers(), &entered.principal, endpoint) {
        Ok(chosen) => chosen,
        Err(mut response) => {
            told.write(response.headers_mut());
            return Err(response);
        }
    };
    let principal = entered.principal;
    if !principal.permissions.has(permission) {
        let detail = format!("this needs the permission {permission}");
        let mut response = answer(Problem::new(&codes::FORBIDDEN).because(detail));
        chosen.write(response.headers_mut());
        told.write(response.headers_mut());
        return Err(response);
    }
    chosen.count(state, &principal);
    request.extensions_mut().insert(Arc::clone(&principal));
    if let Some(address) = address {
        request.extensions_mut().insert(CallerAddress(address));
    }
    Ok(Some(Admitted { chosen, principal, told }))
}

fn answer(problem: Problem) -> Box<Response> {
    Box::new(problem.into_response())
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
