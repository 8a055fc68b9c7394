//! UPI AutoPay: mandates, their debits, their end.

use super::particulars::{Mandate, Particulars, Product, subscription_id, transaction_id};
use super::reply::{self, bad_request, problem};
use super::v2::{Pay, accepted, refused};
use super::{NewOrder, PhonePeSim, Setup};
use crate::books::{Entry, Method, Status};
use crate::desk::now_ms;
use crate::fault::FaultProfile;
use crate::http::{HangUp, Response, json, reply as respond};
use crate::instrument::Behaviour;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// How long a mandate lives that was set up without an end, in milliseconds.
const MANDATE_LIVES_MS: u64 = 30 * 365 * 86_400_000;
const FREQUENCIES: [&str; 9] = [
    "DAILY",
    "WEEKLY",
    "MONTHLY",
    "FORTNIGHTLY",
    "BIMONTHLY",
    "QUARTERLY",
    "HALFYEARLY",
    "YEARLY",
    "ON_DEMAND",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Redeem {
    #[serde(alias = "merchant_order_id")]
    merchant_order_id: String,
}

/// What a set-up order asks for; `None` when something is missing.
fn mandate_of(pay: &Pay) -> Option<Mandate> {
    let flow = &pay.payment_flow;
    let is = |value: &Option<String>, allowed: &[&str]| {
        value.as_deref().is_some_and(|value| allowed.contains(&value))
    };
    let mode_right = flow
        .payment_mode
        .as_ref()
        .is_some_and(|mode| matches!(mode.r#type.as_str(), "UPI_INTENT" | "UPI_COLLECT"));
    let id = flow.merchant_subscription_id.clone().filter(|id| PhonePeSim::is_id(id))?;
    let max_minor = flow.max_amount.filter(|max_minor| *max_minor >= pay.amount)?;
    let expires_ms = flow.expire_at.unwrap_or_else(|| now_ms().saturating_add(MANDATE_LIVES_MS));
    let right = mode_right
        && is(&flow.auth_workflow_type, &["TRANSACTION", "PENNY_DROP"])
        && is(&flow.amount_type, &["FIXED", "VARIABLE"])
        && is(&flow.frequency, &FREQUENCIES)
        && expires_ms > now_ms();
    let frequency = flow.frequency.clone()?;
    right.then_some(Mandate { merchant_subscription_id: id, max_minor, frequency, expires_ms })
}

impl PhonePeSim {
    pub(super) async fn set_up(
        self: &Arc<Self>,
        body: &[u8],
        profile: &Arc<FaultProfile>,
    ) -> Result<Response, HangUp> {
        let Some(pay) = Pay::read(body, "SUBSCRIPTION_SETUP") else {
            return Ok(bad_request());
        };
        let (Some((method, behaviour)), Some(mandate)) = (pay.instrument(), mandate_of(&pay)) else {
            return Ok(bad_request());
        };
        let mode = pay.payment_flow.payment_mode.as_ref().map_or("", |mode| mode.r#type.as_str()).to_owned();
        let id = mandate.merchant_subscription_id.clone();
        if self.mandate(&id).is_some() {
            return Ok(bad_request());
        }
        let particulars =
            Particulars { product: Product::Setup, mode, mandate: Some(mandate), ..Particulars::default() };
        let order = NewOrder {
            reference: &pay.merchant_order_id,
            amount_minor: pay.amount,
            method,
            particulars,
            behaviour,
            return_url: None,
        };
        let accept = |number, entry: &Entry, particulars: &Particulars| {
            self.mandates.lock().insert(id, Setup { number, is_cancelled: false });
            let mut reply = accepted(number, entry);
            if particulars.mode == "UPI_INTENT" {
                let max_minor = particulars.mandate.as_ref().map_or(0, |mandate| mandate.max_minor);
                reply["intentUrl"] = reply::mandate_link(number, max_minor).into();
            }
            reply.to_string()
        };
        self.take(order, profile, accept, refused).await
    }

    /// The set-up order of a mandate.
    fn mandate(&self, id: &str) -> Option<(Setup, Entry, Mandate)> {
        let setup = self.mandates.lock().get(id).copied()?;
        let entry = self.desk.books.get(setup.number)?;
        let mandate = Particulars::of(&entry).mandate.filter(|known| known.merchant_subscription_id == id)?;
        Some((setup, entry, mandate))
    }

    fn mandate_state(setup: Setup, entry: &Entry, mandate: &Mandate) -> &'static str {
        match entry.status {
            _ if setup.is_cancelled => "CANCELLED",
            Status::Captured if mandate.expires_ms <= now_ms() => "EXPIRED",
            Status::Captured => "ACTIVE",
            Status::Failed => "FAILED",
            _ => "ACTIVATION_IN_PROGRESS",
        }
    }

    /// Announces a debit to the customer; with `autoDebit` PhonePe then makes it.
    pub(super) async fn announce(
        self: &Arc<Self>,
        body: &[u8],
        profile: &Arc<FaultProfile>,
    ) -> Result<Response, HangUp> {
        let Some(pay) = Pay::read(body, "SUBSCRIPTION_REDEMPTION") else {
            return Ok(bad_request());
        };
        let id = pay.payment_flow.merchant_subscription_id.as_deref().unwrap_or("");
        let Some((setup, entry, mandate)) = self.mandate(id) else {
            return Ok(problem(404, "SUBSCRIPTION_NOT_FOUND", "No such subscription"));
        };
        if Self::mandate_state(setup, &entry, &mandate) != "ACTIVE" || pay.amount > mandate.max_minor {
            return Ok(bad_request());
        }
        let particulars = Particulars {
            product: Product::Redemption,
            mode: "UPI_AUTO_PAY".to_owned(),
            mandate: Some(mandate),
            auto_debit: pay.payment_flow.auto_debit == Some(true),
            ..Particulars::default()
        };
        let order = NewOrder {
            reference: &pay.merchant_order_id,
            amount_minor: pay.amount,
            method: Method::Upi,
            particulars,
            behaviour: Behaviour::Success,
            return_url: None,
        };
        let accept = |number, entry: &Entry, _: &Particulars| {
            let mut reply = accepted(number, entry);
            reply["state"] = "NOTIFICATION_IN_PROGRESS".into();
            reply.to_string()
        };
        self.take(order, profile, accept, refused).await
    }

    /// Makes an announced debit that is not made by itself.
    pub(super) fn redeem(self: &Arc<Self>, body: &[u8], profile: &FaultProfile) -> Response {
        let Ok(Redeem { merchant_order_id }) = serde_json::from_slice(body) else {
            return bad_request();
        };
        let Some((number, entry)) = self.desk.books.find(&merchant_order_id) else {
            return reply::not_found(Product::Redemption);
        };
        let particulars = Particulars::of(&entry);
        if particulars.product != Product::Redemption || entry.status != Status::Pending {
            return bad_request();
        }
        self.decide_later(number, &particulars, profile);
        json(200, json!({ "state": "PENDING", "transactionId": transaction_id(number) }).to_string())
    }

    pub(super) fn cancel_mandate(&self, id: &str) -> Response {
        let Some((setup, entry, mandate)) = self.mandate(id) else {
            return problem(404, "SUBSCRIPTION_NOT_FOUND", "No such subscription");
        };
        if Self::mandate_state(setup, &entry, &mandate) != "ACTIVE" {
            return bad_request();
        }
        if let Some(setup) = self.mandates.lock().get_mut(id) {
            setup.is_cancelled = true;
        }
        respond(204, "application/json", "")
    }

    pub(super) fn mandate_status(&self, id: &str) -> Response {
        let Some((setup, entry, mandate)) = self.mandate(id) else {
            return problem(404, "SUBSCRIPTION_NOT_FOUND", "No such subscription");
        };
        let reply = json!({
            "merchantSubscriptionId": id,
            "subscriptionId": subscription_id(setup.number),
            "state": Self::mandate_state(setup, &entry, &mandate),
            "authWorkflowType": "TRANSACTION",
            "amountType": "VARIABLE",
            "currency": entry.currency(),
            "maxAmount": mandate.max_minor,
            "frequency": mandate.frequency,
            "expireAt": mandate.expires_ms,
            "pauseStartDate": null,
            "pauseEndDate": null,
        });
        json(200, reply.to_string())
    }
}
