//! Before every handler: who calls, and whether they may.
//!
//! One layer around all routes asks [`table`] what the endpoint demands, authenticates the caller, and puts the result
//! where the extractors of [`crate::auth`] find it.

pub mod table;

use crate::auth;
use crate::codes;
use crate::problem::Problem;
use crate::state::AppState;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use table::Demand;

/// Passes a request on if its caller may do what it asks for.
pub(crate) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let endpoint = parts
        .extensions
        .get::<MatchedPath>()
        .and_then(|path| table::endpoint(&parts.method, path.as_str()))
        .map(|endpoint| endpoint.demand);
    // Pages, and methods that a path does not know, have no line in the table; nor do they get a caller.
    if let Some(Demand::Needs(permission)) = endpoint {
        let principal = match auth::authenticate(&state, &parts).await {
            Ok(principal) => principal,
            Err(problem) => return problem.into_response(),
        };
        if !principal.permissions.has(permission) {
            let detail = format!("this needs the permission {permission}");
            return Problem::new(&codes::FORBIDDEN).because(detail).into_response();
        }
        parts.extensions.insert(principal);
    }
    next.run(Request::from_parts(parts, body)).await
}
