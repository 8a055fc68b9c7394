//! Enquiries and refunds.

use super::{PaytmSim, write};
use crate::books::{RefundState, Refusal, Status};
use crate::fault::FaultProfile;
use serde::Deserialize;
use std::sync::Arc;
use tollgate_core::currency::Currency;
use tollgate_core::money::Money;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    mid: String,
    order_id: String,
    ref_id: String,
    txn_id: String,
    txn_type: String,
    refund_amount: String,
}

fn failure(code: &str, words: &str) -> String {
    write::refused("TXN_FAILURE", code, words)
}

impl PaytmSim {
    /// A signed request of this merchant, or the answer that refuses it.
    fn asked(&self, body: &[u8]) -> Result<Asked, String> {
        let (text, signature, _) = super::open(body).ok_or_else(|| failure("501", "System Error"))?;
        let asked: Asked = serde_json::from_str(text).map_err(|_| failure("501", "System Error"))?;
        if asked.mid != self.mid {
            return Err(failure("335", "Mid is invalid"));
        }
        if !self.key.verifies(text, &signature) {
            return Err(failure("330", "Checksum provided is invalid"));
        }
        Ok(asked)
    }

    pub(super) fn status(&self, body: &[u8], profile: &FaultProfile, is_wrong: bool) -> String {
        let asked = match self.asked(body) {
            Ok(asked) => asked,
            Err(answer) => return answer,
        };
        let seen = self.desk.books.find(&asked.order_id);
        match seen.filter(|(_, entry)| !self.desk.is_blind_to(entry.created_ms, profile)) {
            None => self.reply(&no_record(), is_wrong),
            // An order that nobody has tried to pay.
            Some((_, entry)) if entry.status == Status::Created => failure("334", "Invalid Order ID"),
            Some((number, entry)) => self.reply(&write::transaction(&self.mid, number, &entry), is_wrong),
        }
    }

    pub(super) fn refund(
        self: &Arc<Self>,
        body: &[u8],
        profile: &Arc<FaultProfile>,
        is_wrong: bool,
    ) -> String {
        let asked = match self.asked(body) {
            Ok(asked) => asked,
            Err(answer) => return answer,
        };
        let right = |byte: u8| byte.is_ascii_alphanumeric() || b"_-@.".contains(&byte);
        let reference = asked.ref_id.as_str();
        if asked.txn_type != "REFUND" || !(1..=50).contains(&reference.len()) || !reference.bytes().all(right)
        {
            return failure("600", "Invalid refund request.");
        }
        let Some((number, entry)) = self.desk.books.find(&asked.order_id) else {
            return failure("627", "Order Details Mismatch");
        };
        if write::payment_id(number) != asked.txn_id {
            return failure("627", "Order Details Mismatch");
        }
        let Ok(amount) = Money::parse_major(&asked.refund_amount, Currency::INR) else {
            return failure("619", "Invalid refund amount");
        };
        if let Some(earlier) = entry.refunds.iter().find(|refund| refund.reference() == reference) {
            return match earlier.state {
                RefundState::Processed => failure("629", "Refund is already Successful"),
                _ => failure("617", "Refund Already Raised"),
            };
        }
        let pending = self.desk.dice.happens(profile.refund_pending);
        let state = if pending { RefundState::Pending } else { RefundState::Processed };
        match self.desk.books.refund(number, reference, reference, amount.minor, state) {
            Ok((entry, place)) => {
                let refund = &entry.refunds[place];
                let action = refund.action;
                if pending {
                    let sim = Arc::clone(self);
                    self.desk.later(profile.pending_ms, move || sim.decide_refund(number, action));
                } else {
                    // The answer never says more than "taken on": only the webhook and an enquiry do.
                    self.tell_of_refund(number, &entry, action, true, profile);
                }
                self.reply(&write::refund_taken_on(&self.mid, number, &entry, refund), is_wrong)
            }
            Err(Refusal::TooMuch) => failure("619", "Invalid refund amount"),
            Err(Refusal::State) => failure("607", "Refund can not be initiated for a cancelled transaction."),
            Err(_) => failure("501", "System Error"),
        }
    }

    fn decide_refund(&self, number: u64, action: u64) {
        let profile = self.desk.profile();
        let failed = self.desk.dice.happens(profile.refund_fail);
        let state = if failed { RefundState::Failed } else { RefundState::Processed };
        // Decided already is decided.
        if let Ok(entry) = self.desk.books.settle_refund(number, action, state) {
            self.tell_of_refund(number, &entry, action, true, &profile);
        }
    }

    pub(super) fn refund_status(&self, body: &[u8], profile: &FaultProfile, is_wrong: bool) -> String {
        let asked = match self.asked(body) {
            Ok(asked) => asked,
            Err(answer) => return answer,
        };
        let seen = self.desk.books.find(&asked.order_id);
        let seen = seen.filter(|(_, entry)| !self.desk.is_blind_to(entry.created_ms, profile));
        let Some((number, entry)) = seen else {
            return failure("631", "Record not found");
        };
        match entry.refunds.iter().find(|refund| refund.reference() == asked.ref_id) {
            Some(refund) => self.reply(&write::refund_state(&self.mid, number, &entry, refund), is_wrong),
            None => failure("631", "Record not found"),
        }
    }

    /// A signed reply, or one whose signature does not hold.
    pub(super) fn reply(&self, body: &str, is_wrong: bool) -> String {
        let signature = self.key.sign(if is_wrong { "something else" } else { body });
        write::signed(body, &signature)
    }
}

fn no_record() -> String {
    format!("{{{}}}", write::result_info("NO_RECORD_FOUND", "331", "No Record Found"))
}
