//! Who may look after partners: holders of the platform's own keys.

use crate::auth::{Anyone, Owner, Signed};
use crate::codes;
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use http::request::Parts;
use tollgate_core::audit::By;

/// A caller who acts for the platform.
#[derive(Debug, Clone)]
pub(crate) struct Platform(Signed);

impl Platform {
    /// What the audit log says of who does something now.
    pub(crate) fn by(&self, at_ms: u64) -> By {
        self.0.by(at_ms)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Platform {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Anyone(principal) = Anyone::from_request_parts(parts, state).await?;
        match principal.owner {
            Owner::Platform => Ok(Self(Signed::from_request_parts(parts, state).await?)),
            // An account's key is not the platform's, whatever it may do with its own account.
            Owner::Merchant(_) => {
                Err(Problem::new(&codes::FORBIDDEN).because("this needs a key of the platform"))
            }
        }
    }
}
