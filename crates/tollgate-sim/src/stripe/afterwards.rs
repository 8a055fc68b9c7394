//! Refunds and enquiries.

use super::request::{BROKEN, Form, NO_SUCH_INTENT, Refused, refused};
use super::{StripeSim, entity};
use crate::books::{Entry, RefundState, Refusal};
use crate::fault::FaultProfile;
use crate::http::{Response, json, query};
use std::sync::Arc;

impl StripeSim {
    pub(super) fn refund(
        self: &Arc<Self>,
        key: &str,
        form: &Form<'_>,
        profile: &FaultProfile,
    ) -> Result<String, Refused> {
        let id = form.get("payment_intent").ok_or(refused(
            "parameter_missing",
            "One of charge or payment_intent is needed.",
            "",
        ))?;
        let (number, entry) = self.entry_of(&id)?;
        let left = entry.captured_minor - entry.reserved_for_refunds();
        if entry.captured_minor > 0 && left == 0 {
            return Err(refused("charge_already_refunded", "The charge has already been refunded.", ""));
        }
        let amount = form.amount("amount", entry.currency())?.unwrap_or(left);
        let reference = form.get("metadata[tollgate_reference]").unwrap_or_default();
        if reference.len() > 64
            || key.len() > 255
            || [&*reference, key].iter().any(|it| it.contains(['\t', '\n']))
        {
            return Err(refused("", "Invalid metadata", "metadata"));
        }
        let pending = self.desk.dice.happens(profile.refund_pending);
        let state = if pending { RefundState::Pending } else { RefundState::Processed };
        let refunded = self.desk.books.refund(number, &reference, key, amount, state);
        let (entry, place) = refunded.map_err(|refusal| match refusal {
            Refusal::TooMuch => {
                refused("", "Refund amount is greater than unrefunded amount on charge", "amount")
            }
            Refusal::State => {
                refused("", "This PaymentIntent does not have a successful charge to refund.", "")
            }
            Refusal::KeyReused => Refused {
                kind: "idempotency_error",
                ..refused("", "Keys for idempotent requests can only be used with the same parameters.", "")
            },
            _ => BROKEN,
        })?;
        let refund = &entry.refunds[place];
        if refund.state == RefundState::Pending {
            let (sim, action) = (Arc::clone(self), refund.action);
            self.desk.later(profile.pending_ms, move || sim.decide_refund(number, action));
        }
        self.tell_of_refund(number, &entry, place, false, profile);
        Ok(entity::refund(number, &entry, refund))
    }

    fn decide_refund(&self, number: u64, action: u64) {
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
        let seen = |entry: &Entry| !self.desk.is_blind_to(entry.created_ms, profile);
        let found = match parts {
            ["payment_intents", "search"] => Ok(self.search(uri, profile)),
            ["payment_intents", id] => self
                .entry_of(id)
                .and_then(|found| if seen(&found.1) { Ok(found) } else { Err(NO_SUCH_INTENT) })
                .map(|(number, entry)| self.intent_of(number, &entry)),
            ["refunds"] => self
                .entry_of(&query(uri, "payment_intent").unwrap_or_default())
                .map(|(number, entry)| refunds_page(uri, number, &entry)),
            _ => Err(Refused { status: 404, ..refused("", "Unrecognized request URL.", "") }),
        };
        found.map_or_else(|refused| refused.reply(), |body| json(200, body))
    }

    /// Knows exactly one question: `metadata['tollgate_reference']:'…'`.
    fn search(&self, uri: &http::Uri, profile: &FaultProfile) -> String {
        let query = query(uri, "query").unwrap_or_default();
        let wanted = query
            .strip_prefix("metadata['tollgate_reference']:'")
            .or_else(|| query.strip_prefix("metadata[\"tollgate_reference\"]:\""))
            .and_then(|rest| rest.strip_suffix(['\'', '"']));
        let found = wanted
            .and_then(|reference| self.desk.books.find(reference))
            .filter(|(_, entry)| !self.desk.is_blind_to(entry.created_ms, profile))
            .map(|(number, entry)| self.intent_of(number, &entry));
        let items: Vec<String> = found.into_iter().collect();
        entity::page("search_result", "/v1/payment_intents/search", &items, false)
    }
}

/// Refunds, the latest first.
fn refunds_page(uri: &http::Uri, number: u64, entry: &Entry) -> String {
    let limit: usize = query(uri, "limit").and_then(|text| text.parse().ok()).unwrap_or(10).clamp(1, 100);
    let after = query(uri, "starting_after");
    let all = entry.refunds.iter().rev();
    let skip = match &after {
        Some(id) => all.clone().take_while(|refund| entity::refund_id(refund.action) != *id).count() + 1,
        None => 0,
    };
    let page = all.clone().skip(skip).take(limit);
    let items: Vec<_> = page.map(|refund| entity::refund(number, entry, refund)).collect();
    let has_more = entry.refunds.len() > skip + items.len();
    entity::page("list", "/v1/refunds", &items, has_more)
}
