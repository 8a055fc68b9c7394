//! Captures, refunds and enquiries.

use super::request::{MoneyRequest, NO_SUCH_ID, RECEIPT_LENGTH_MAX, Refused, UNREADABLE, integer, refused};
use super::{RazorpaySim, entity};
use crate::books::{RefundState, Refusal, Status};
use crate::fault::FaultProfile;
use crate::http::{Response, json, query};
use std::sync::Arc;

impl RazorpaySim {
    pub(super) fn capture(&self, id: &str, body: &[u8], profile: &FaultProfile) -> Result<Response, Refused> {
        let request: MoneyRequest<'_> = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
        let number = entity::number_of(id, "pay_").ok_or(NO_SUCH_ID)?;
        let entry = self.desk.books.get(number).ok_or(NO_SUCH_ID)?;
        let amount = request.amount.and_then(integer).unwrap_or(0);
        let currency_fits = request.currency.as_deref().unwrap_or("INR") == entry.currency();
        let validation = |text, field| refused(text, "input_validation_failed", field);
        if entry.status == Status::Captured {
            return Err(validation("This payment has already been captured", ""));
        }
        let entry = self.desk.books.capture(number, amount, "").ok().filter(|_| currency_fits);
        let entry = entry.ok_or_else(|| match self.desk.books.get(number).map(|entry| entry.status) {
            Some(Status::Authorized) => {
                validation("Capture amount must be equal to the amount authorized", "amount")
            }
            _ => validation(
                "Only payments which have been authorized and not yet captured can be captured",
                "",
            ),
        })?;
        self.tell_of_payment(number, &entry, false, profile);
        Ok(json(200, entity::payment(number, &entry)))
    }

    pub(super) fn refund(
        self: Arc<Self>,
        id: &str,
        key: &str,
        body: &[u8],
        profile: &FaultProfile,
    ) -> Result<Response, Refused> {
        let body = if body.is_empty() { b"{}" } else { body };
        let request: MoneyRequest<'_> = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
        let validation = |text, field| refused(text, "input_validation_failed", field);
        let key_right = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !key.is_empty() && (key.len() < 10 || !key.bytes().all(key_right)) {
            return Err(validation("The idempotency key must be at least 10 characters", ""));
        }
        let number = entity::number_of(id, "pay_").ok_or(NO_SUCH_ID)?;
        let entry = self.desk.books.get(number).ok_or(NO_SUCH_ID)?;
        let amount = match request.amount {
            Some(raw) => integer(raw).ok_or(validation("The amount must be an integer.", "amount"))?,
            None => entry.captured_minor - entry.reserved_for_refunds(),
        };
        let receipt = request.receipt.as_deref().unwrap_or("");
        if receipt.len() > RECEIPT_LENGTH_MAX || receipt.contains(['\t', '\n']) {
            return Err(validation("The receipt may not be greater than 40 characters.", "receipt"));
        }
        let pending = self.desk.dice.happens(profile.refund_pending);
        let state = if pending { RefundState::Pending } else { RefundState::Processed };
        let refunded = self.desk.books.refund(number, receipt, key, amount, state);
        let (entry, place) = refunded.map_err(|refusal| match refusal {
            Refusal::KeyReused => Refused {
                status: 409,
                ..validation(
                    "Different request with the same idempotency key has already been processed.",
                    "",
                )
            },
            Refusal::TooMuch if entry.refunded_minor() == entry.captured_minor => {
                validation("The payment has been fully refunded already", "")
            }
            Refusal::TooMuch => {
                validation("The total refund amount is greater than the refund payment amount", "amount")
            }
            Refusal::State => validation("The payment status should be captured for action to be taken", ""),
            _ => Refused { status: 500, ..UNREADABLE },
        })?;
        let refund = &entry.refunds[place];
        let response = json(200, entity::refund(number, &entry, refund));
        if refund.state == RefundState::Pending {
            let (sim, action) = (Arc::clone(&self), refund.action);
            self.desk.later(profile.pending_ms, move || sim.decide_refund(number, action));
        } else {
            self.tell_of_refund(number, &entry, place, false, profile);
        }
        Ok(response)
    }

    pub(super) fn decide_refund(&self, number: u64, action: u64) {
        let profile = self.desk.profile();
        let failed = self.desk.dice.happens(profile.refund_fail);
        let state = if failed { RefundState::Failed } else { RefundState::Processed };
        if let Ok(entry) = self.desk.books.settle_refund(number, action, state)
            && let Some(place) = entry.refunds.iter().position(|refund| refund.action == action)
        {
            self.tell_of_refund(number, &entry, place, true, &profile);
        }
    }

    pub(super) fn enquire(&self, parts: &[&str], uri: &http::Uri, profile: &FaultProfile) -> Response {
        let books = &self.desk.books;
        let seen =
            |number: u64| books.get(number).filter(|entry| !self.desk.is_blind_to(entry.created_ms, profile));
        let of_id = |id: &str, prefix: &str| {
            let number = entity::number_of(id, prefix)?;
            Some((number, seen(number)?))
        };
        let body = match parts {
            ["orders"] => {
                let receipt = query(uri, "receipt").unwrap_or_default();
                let found = books
                    .find(&receipt)
                    .filter(|(_, entry)| !self.desk.is_blind_to(entry.created_ms, profile));
                let expand = uri.query().is_some_and(|query| query.contains("=payments"));
                Some(match found {
                    Some((number, entry)) => {
                        let payments = expand.then(|| self.payments_on(number, &entry));
                        entity::collection(&[entity::order(number, &entry, payments.as_deref())])
                    }
                    None => entity::collection(&[]),
                })
            }
            ["orders", id] => of_id(id, "order_").map(|(number, entry)| entity::order(number, &entry, None)),
            ["orders", id, "payments"] => of_id(id, "order_")
                .map(|(number, entry)| entity::collection(&self.payments_on(number, &entry))),
            ["payments", id] => of_id(id, "pay_")
                .and_then(|(number, entry)| self.payments_on(number, &entry).into_iter().next()),
            ["customers", customer, "tokens"] => Some(self.tokens_of(customer)),
            ["customers", customer, "tokens", token] => self.token(customer, token),
            ["payments", id, "refunds", refund] => of_id(id, "pay_").and_then(|(number, entry)| {
                let action = entity::number_of(refund, "rfnd_")?;
                let refund = entry.refunds.iter().find(|refund| refund.action == action)?;
                Some(entity::refund(number, &entry, refund))
            }),
            ["payments", id, "refunds"] => of_id(id, "pay_").map(|(number, entry)| {
                let number_in = |name: &str, otherwise: usize| {
                    query(uri, name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
                };
                let (skip, count) = (number_in("skip", 0), number_in("count", 10).min(100));
                let page = entry.refunds.iter().rev().skip(skip).take(count);
                let items: Vec<_> = page.map(|refund| entity::refund(number, &entry, refund)).collect();
                entity::collection(&items)
            }),
            _ => None,
        };
        body.map_or_else(|| NO_SUCH_ID.reply(), |body| json(200, body))
    }
}
