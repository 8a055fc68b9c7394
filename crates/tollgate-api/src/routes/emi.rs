//! `GET /api/v1/emi/plans`: instalment plans for an amount.

use crate::auth::Caller;
use crate::codes;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::schemas::CurrencySchema;
use crate::state::AppState;
use crate::validate;
use crate::views::text::{Major, Rate};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tollgate_core::currency::Currency;
use tollgate_core::directory;
use tollgate_core::emi::{self, EmiMonth, EmiPlan};
use tollgate_core::method::MethodFamily;
use tollgate_core::money::Money;
use utoipa::ToSchema;

const KNOWN: [&str; 3] = ["amount", "currency", "bank"];

/// Instalment plans.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmiOfferList)]
pub(crate) struct PlansView {
    /// The plans, by bank and tenure.
    data: Vec<OfferView>,
}

/// An instalment plan on offer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmiOffer)]
pub(crate) struct OfferView {
    /// What to send as `bank`.
    #[schema(example = "HDFC")]
    bank: String,
    /// The bank's name.
    #[schema(value_type = String, example = "HDFC Bank")]
    bank_name: &'static str,
    /// What to send as `tenure_months`.
    #[schema(example = 6)]
    tenure_months: u8,
    /// The bank's yearly rate in percent, on the reducing balance.
    #[schema(value_type = String, example = "15.00")]
    annual_rate_percent: Rate,
    /// Every instalment but the last.
    #[schema(value_type = String, example = "870.17")]
    instalment: Major,
    /// The last instalment, which takes up the rounding.
    #[schema(value_type = String, example = "870.16")]
    last_instalment: Major,
    /// What the bank earns.
    #[schema(value_type = String)]
    interest: Major,
    /// What the customer pays over all months.
    #[schema(value_type = String)]
    total: Major,
    /// How each instalment is split.
    schedule: Vec<MonthView>,
    /// The same plan when you bear the interest.
    no_cost: NoCostView,
}

/// A plan whose interest the merchant bears: the instalments add up to the price.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoCostEmi)]
pub(crate) struct NoCostView {
    /// Every instalment but the last.
    #[schema(value_type = String)]
    instalment: Major,
    /// The last instalment.
    #[schema(value_type = String)]
    last_instalment: Major,
    /// What you pay the bank in the customer's place: the price less what the instalments are worth today at the
    /// bank's rate.
    #[schema(value_type = String)]
    subvention: Major,
}

/// One month of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmiMonth)]
pub(crate) struct MonthView {
    /// 1 for the first instalment.
    number: u8,
    /// What the customer pays.
    #[schema(value_type = String)]
    instalment: Major,
    /// Of that, interest.
    #[schema(value_type = String)]
    interest: Major,
    /// Of that, what pays the loan back.
    #[schema(value_type = String)]
    principal: Major,
    /// What is owed afterwards.
    #[schema(value_type = String)]
    balance: Major,
}

/// List instalment plans
///
/// What each bank offers for an amount, if a processor of yours takes instalments on its cards. Rates are the banks' list
/// rates.
#[utoipa::path(
    get,
    path = "/api/v1/emi/plans",
    tag = "Methods",
    operation_id = "list_emi_plans",
    params(
        ("amount" = String, Query, pattern = r"^([1-9][0-9]{0,12}(\.[0-9]{1,2})?|0\.([1-9][0-9]?|0[1-9]))$",
            description = "The price, in decimal major units."),
        ("currency" = Option<CurrencySchema>, Query, nullable = false,
            description = "The currency, INR if not given; there are no plans in others."),
        ("bank" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{2,32}$", nullable = false,
            description = "One bank's plans alone.")
    ),
    responses((status = 200, body = PlansView, description = "The plans."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_emi_plans(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &KNOWN)?;
    let currency = params.currency()?.unwrap_or(Currency::INR);
    let text = params.text("amount").ok_or_else(|| Problem::parameter("amount", "is required"))?;
    let amount = Money::parse_major(text, currency)
        .map_err(|error| Problem::new(&codes::INVALID_PARAMETER).at("amount").because(error.to_string()))?;
    let rule = "must be 2 to 32 letters, digits, _ or -";
    let bank = params.read("bank", rule, |code| validate::is_word(code).then(|| code.to_owned()))?;
    let offers = state.engine().offers(&caller.merchant, MethodFamily::Emi);
    let plans = emi::offers(amount, bank.as_deref());
    let taken = plans.filter(|plan| offers.iter().any(|offer| offer.fits(amount) && offer.has(&plan.bank)));
    let data = taken.filter_map(|plan| view(plan, amount)).collect();
    reply::json(StatusCode::OK, &PlansView { data })
}

fn view(plan: EmiPlan, amount: Money) -> Option<OfferView> {
    let no_cost = EmiPlan::offered(&plan.bank, plan.tenure_months, amount, true).ok()?;
    let major = |minor: i64| Major::new(minor, amount.currency);
    let month = |month: EmiMonth| MonthView {
        number: month.number,
        instalment: major(month.instalment_minor),
        interest: major(month.interest_minor),
        principal: major(month.principal_minor),
        balance: major(month.balance_minor),
    };
    Some(OfferView {
        bank_name: directory::find(&directory::BANKS, &plan.bank)?.name,
        tenure_months: plan.tenure_months,
        annual_rate_percent: Rate(plan.annual_rate_bps),
        instalment: major(plan.instalment_minor),
        last_instalment: major(plan.last_instalment_minor),
        interest: major(plan.interest_minor),
        total: major(plan.total_minor()),
        schedule: plan.schedule().into_iter().map(month).collect(),
        no_cost: NoCostView {
            instalment: major(no_cost.instalment_minor),
            last_instalment: major(no_cost.last_instalment_minor),
            subvention: major(no_cost.subvention_minor),
        },
        bank: plan.bank,
    })
}
