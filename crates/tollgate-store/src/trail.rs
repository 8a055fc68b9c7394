//! What the audit log says of each change. Every kind of [`Admin`] has its line here, or the program does not
//! compile. People are told as keyed digests: the log holds nobody's personal data, and so never has to be
//! changed for their sake.

use crate::commit::{Admin, Told};
use crate::query::PolicyKind;
use serde_json::{Value, json};
use tollgate_core::api_key::ApiKey;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::audit::key::LogKey;
use tollgate_core::audit::{AuditEntry, By};
use tollgate_core::base62;
use tollgate_core::command::Command;
use tollgate_core::id::MerchantId;
use tollgate_core::json;
use tollgate_core::merchant::Merchant;
use tollgate_core::partner::{Partner, PartnerState, fee_json};
use tollgate_core::passkey::Passkey;
use tollgate_core::processor_account::ProcessorAccount;
use tollgate_core::saved_card::SavedCard;

/// The rows a change finds, as far as it replaces them.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) partner: Option<Partner>,
    pub(crate) merchant: Option<Merchant>,
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) passkey: Option<Passkey>,
    pub(crate) policy: Option<String>,
    pub(crate) saved_card: Option<SavedCard>,
    pub(crate) processor_account: Option<ProcessorAccount>,
}

/// The entry of a change that replaces these rows.
pub(crate) fn of_change(change: &Admin, rows: &Rows, by: &By, key: &LogKey) -> AuditEntry {
    match change {
        Admin::Together(changes) => AuditEntry::new(by, "together", "changes", changes.len().to_string()),
        Admin::Told(told) => of_told(told, by),
        Admin::PutPartner(partner) => {
            let before = rows.partner.as_ref();
            let action = partner_action(before, partner);
            AuditEntry::new(by, action, "partner", partner.id.to_string())
                .change(before.map(Partner::as_json), Some(partner.as_json()))
        }
        Admin::PutMerchant(merchant) => {
            let action = if rows.merchant.is_some() { "merchant.changed" } else { "merchant.added" };
            AuditEntry::new(by, action, "merchant", merchant.id.to_string())
                .of(merchant.id)
                .change(rows.merchant.as_ref().map(merchant_json), Some(merchant_json(merchant)))
        }
        Admin::PutApiKey(key) => {
            let action = match &rows.api_key {
                None => "api_key.added",
                Some(before) if before.revoked_at_ms.is_none() && key.revoked_at_ms.is_some() => {
                    "api_key.revoked"
                }
                Some(_) => "api_key.changed",
            };
            let entry = AuditEntry::new(by, action, "api_key", key.id.to_string())
                .change(rows.api_key.as_ref().map(key_json), Some(key_json(key)));
            match key.owner.merchant_id() {
                Some(merchant_id) => entry.of(merchant_id),
                None => entry,
            }
        }
        Admin::PutPasskey(passkey) => {
            let action = if rows.passkey.is_some() { "passkey.changed" } else { "passkey.registered" };
            AuditEntry::new(by, action, "passkey", passkey.id.to_string()).of(passkey.merchant_id).change(
                rows.passkey.as_ref().map(|one| passkey_json(one, key)),
                Some(passkey_json(passkey, key)),
            )
        }
        Admin::PutPolicy { merchant_id, kind, policy } => {
            let (name, put, removed) = match kind {
                PolicyKind::Fraud => ("fraud", "fraud_policy.put", "fraud_policy.removed"),
                PolicyKind::Routing => ("routing", "routing_policy.put", "routing_policy.removed"),
                PolicyKind::Limits => ("rate_limits", "rate_limits.put", "rate_limits.removed"),
                PolicyKind::ApiVersion => ("api_version", "api_version.put", "api_version.removed"),
            };
            let read = |text: &String| match kind {
                PolicyKind::ApiVersion => json!({"version": text}),
                _ => json::read(text).unwrap_or(Value::Null),
            };
            let action = if policy.is_some() { put } else { removed };
            AuditEntry::new(by, action, "policy", name.to_owned())
                .of(*merchant_id)
                .change(rows.policy.as_ref().map(read), policy.as_ref().map(read))
        }
        Admin::RemovePasskey(passkey) => {
            AuditEntry::new(by, "passkey.removed", "passkey", passkey.id.to_string())
                .of(passkey.merchant_id)
                .change(rows.passkey.as_ref().map(|one| passkey_json(one, key)), None)
        }
        Admin::ErasePayments(wish) => {
            let payments: Vec<String> = wish.payments.iter().map(ToString::to_string).collect();
            let said = json!({"payments": payments, "checkouts": wish.checkouts.len()});
            AuditEntry::new(
                by,
                "data_subject.masked",
                "data_subject",
                wish.subject.name(key, wish.merchant_id),
            )
            .of(wish.merchant_id)
            .change(None, Some(said))
        }
        Admin::PutProcessorAccount(account) => {
            let before = rows.processor_account.as_ref();
            let action = match (before, account.ended_at_ms) {
                (None, _) => "processor_account.added",
                (Some(_), Some(_)) => "processor_account.ended",
                (Some(_), None) => "processor_account.replaced",
            };
            AuditEntry::new(by, action, "processor_account", account.processor.as_str().to_owned())
                .of(account.merchant_id)
                .change(before.map(account_json), Some(account_json(account)))
        }
        Admin::PutSavedCard(card) => {
            AuditEntry::new(by, "saved_card.saved", "saved_card", card_id(card.token))
                .of(card.merchant_id)
                .change(rows.saved_card.as_ref().map(|one| card_json(one, key)), Some(card_json(card, key)))
        }
        Admin::RemoveSavedCard { merchant_id, token } => {
            AuditEntry::new(by, "saved_card.deleted", "saved_card", card_id(*token))
                .of(*merchant_id)
                .change(rows.saved_card.as_ref().map(|one| card_json(one, key)), None)
        }
    }
}

/// The entry of a command that a person gives, without its merchant.
pub(crate) fn of_command(command: &Command) -> Option<AuditEntry> {
    let (by, action, said) = match command {
        Command::Review { approved, note, by, .. } => {
            (by, "payment.reviewed", json!({"approved": approved, "note": note}))
        }
        Command::Label { fraud, by, .. } => (by, "payment.labelled", json!({"fraud": fraud})),
        _ => return None,
    };
    let entry = AuditEntry::new(by, action, "payment", command.payment_id().to_string());
    Some(entry.change(None, Some(said)))
}

pub(crate) fn of_told(told: &Told, by: &By) -> AuditEntry {
    let entry = AuditEntry::new(by, told.action, told.kind, told.id.clone());
    let entry = entry.change(None, Some(told.said.clone()));
    match told.merchant_id {
        Some(merchant_id) => entry.of(merchant_id),
        None => entry,
    }
}

fn partner_action(before: Option<&Partner>, after: &Partner) -> &'static str {
    let Some(before) = before else {
        return "partner.added";
    };
    match (before.state, after.state) {
        (PartnerState::Onboarding, PartnerState::Active) => "partner.activated",
        (before, after) if before == after => "partner.changed",
        (_, PartnerState::Onboarding | PartnerState::Active) => "partner.resumed",
        (_, PartnerState::Suspended) => "partner.suspended",
        (_, PartnerState::Offboarded) => "partner.offboarded",
    }
}

fn merchant_json(merchant: &Merchant) -> Value {
    json!({
        "name": merchant.name,
        "mode": merchant.mode,
        "active": merchant.active,
        "fee": fee_json(merchant.fee),
        "mcc": merchant.mcc,
        "country": merchant.country,
        "processors": merchant.processors.iter().map(ProcessorName::as_str).collect::<Vec<_>>(),
    })
}

fn key_json(key: &ApiKey) -> Value {
    json!({
        "owner": key.owner.merchant_id().map_or_else(|| "platform".to_owned(), |id| id.to_string()),
        "name": key.name,
        "role": key.role,
        "scopes": key.scopes,
        "networks": key.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "certificates_sha256": key.certificates.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "created_at_ms": key.created_at_ms,
        "expires_at_ms": key.expires_at_ms,
        "revoked_at_ms": key.revoked_at_ms,
        "rotated_to": key.rotated_to.map(|id| id.to_string()),
    })
}

fn passkey_json(passkey: &Passkey, key: &LogKey) -> Value {
    let user = user(key, passkey.merchant_id, &passkey.user_id);
    json!({"user_digest": user, "created_at_ms": passkey.created_at_ms})
}

fn account_json(account: &ProcessorAccount) -> Value {
    json!({
        "generation": account.generation,
        "fingerprint": account.current.as_json()["fingerprint"],
        "set_at_ms": account.current.set_at_ms,
        "previous_good_until_ms": account.previous.as_ref().map(|(_, until_ms)| until_ms),
        "ended_at_ms": account.ended_at_ms,
    })
}

fn card_json(card: &SavedCard, key: &LogKey) -> Value {
    json!({
        "user_digest": user(key, card.merchant_id, &card.user_id),
        "brand": card.summary.brand,
        "last4": card.summary.last4,
        "network_card": card.summary.network_token,
        "consent_terms": card.consent.terms,
    })
}

/// What the log calls a customer.
fn user(key: &LogKey, merchant_id: MerchantId, user_id: &str) -> String {
    key.name(merchant_id, ["customer", user_id])
}

fn card_id(token: [u8; 16]) -> String {
    let mut text = "tok_".to_owned();
    base62::encode_into(u128::from_be_bytes(token), &mut text);
    text
}
