//! Ids and names in paths.

use crate::codes;
use crate::problem::Problem;
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use std::str::FromStr;

/// The one variable part of a path. What is no id at all is answered like an id that is unknown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InPath<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(&codes::NOT_FOUND))?;
        text.parse().map(Self).map_err(|_| Problem::new(&codes::NOT_FOUND))
    }
}
