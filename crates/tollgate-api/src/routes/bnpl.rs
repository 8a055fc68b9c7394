//! `POST /api/v1/bnpl/eligibility`: who would lend to a customer, and how it would be paid back.

use crate::auth::Caller;
use crate::body;
use crate::input::methods::EligibilityBody;
use crate::problem::{AskProblems, Problem};
use crate::query::Params;
use crate::reply;
use crate::schemas::methods::EligibilitySchema;
use crate::state::AppState;
use crate::validate;
use crate::views::instrument::{InstalmentView, instalments};
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tollgate_core::bnpl::{Applicant, BnplLender, LENDERS};
use tollgate_core::directory;
use tollgate_core::method::MethodFamily;
use tollgate_engine::methods::Offer;
use utoipa::ToSchema;

/// Lenders.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BnplEligibility)]
pub(crate) struct EligibilityView {
    /// One entry for each lender.
    data: Vec<LenderView>,
}

/// A lender and what it offers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BnplLender)]
pub(crate) struct LenderView {
    /// What to send as `lender`.
    #[schema(value_type = String, example = "lazypay")]
    lender: &'static str,
    /// The name customers know.
    #[schema(value_type = String, example = "LazyPay")]
    name: &'static str,
    /// Whether it comes into question. The lender has the last word, on its own page.
    eligible: bool,
    /// Why not: `no_processor`, `currency`, `amount_too_small`, `amount_too_large`, `phone_required` or `email_required`.
    #[schema(value_type = Option<String>, example = "phone_required")]
    reason: Option<&'static str>,
    /// Its plans, if it comes into question.
    plans: Vec<PlanView>,
}

/// A way to pay back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BnplOffer)]
pub(crate) struct PlanView {
    /// What to send as `plan`: `pay_later` or `pay_in_3`.
    #[schema(value_type = String, example = "pay_in_3")]
    plan: &'static str,
    /// When the customer would pay the lender how much.
    schedule: Vec<InstalmentView>,
}

/// Who lends to a customer
///
/// Looks at the amount and at what is known of the customer. Asks no lender and changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/bnpl/eligibility",
    tag = "Methods",
    operation_id = "bnpl_eligibility",
    request_body = EligibilitySchema,
    responses((status = 200, body = EligibilityView, description = "One entry for each lender."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn bnpl_eligibility(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let applicant = validate::methods::applicant(body::parse::<EligibilityBody<'_>>(&bytes)?)?;
    let offers = state.engine().offers(&caller.merchant, MethodFamily::Bnpl);
    let today = today(state.engine().now_ms());
    let data = LENDERS.iter().map(|lender| view(lender, &applicant, &offers, today)).collect();
    reply::json(StatusCode::OK, &EligibilityView { data })
}

/// The day, in days since 1970-01-01: India's, where most of the lenders are.
pub(crate) fn today(now_ms: u64) -> u32 {
    const INDIA_MS: u64 = 19_800_000;
    u32::try_from(now_ms.saturating_add(INDIA_MS) / 86_400_000).unwrap_or(u32::MAX)
}

fn view(lender: &'static BnplLender, applicant: &Applicant, offers: &[Offer], today: u32) -> LenderView {
    let taken = offers.iter().any(|offer| offer.fits(applicant.amount) && offer.has(lender.code));
    let reason = match lender.check(applicant) {
        Err(why) => Some(why.as_str()),
        Ok(()) if !taken => Some("no_processor"),
        Ok(()) => None,
    };
    let plan = |kind: &tollgate_core::bnpl::BnplKind| {
        let plan = lender.plan(*kind, applicant, today).ok()?;
        Some(PlanView { plan: kind.as_str(), schedule: instalments(&plan, applicant.amount.currency) })
    };
    LenderView {
        lender: lender.code,
        name: directory::find(&directory::BNPL_LENDERS, lender.code).map_or(lender.code, |named| named.name),
        eligible: reason.is_none(),
        reason,
        plans: if reason.is_none() { lender.kinds.iter().filter_map(plan).collect() } else { Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_india_s() {
        assert_eq!(today(0), 0);
        assert_eq!(today(86_400_000 - 19_800_001), 0);
        assert_eq!(today(86_400_000 - 19_800_000), 1);
    }
}
