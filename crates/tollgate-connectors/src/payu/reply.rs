//! Replies to a payment, and the transaction fields that webhooks share with them.
//!
//! A server-to-server reply is JSON `{"metaData": …, "result": …}`. `result` holds either what the
//! customer has to do, or the final transaction with its hash.
//! Source: docs.payu.in, Additional Info for Payment APIs, UPI Intent (S2S), Sample Error Responses.

use super::request::{CAPTURE_AUTOMATIC, CAPTURE_MANUAL};
use super::{PayU, amount_minor, codes, is_payment_id, is_success, throttled, unknown, unreadable};
use crate::Charge;
use crate::answer::upi_link;
use crate::digest::{same, sha512_of_joined};
use crate::form::Fields;
use crate::json::{Text, read, text};
use crate::wire::HttpResponse;
use serde::Deserialize;
use tollgate_core::outcome::{NextAction, Outcome};

/// The longest bank page that is passed on.
const PAGE_BYTES_MAX: usize = 64 * 1024;

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, rename = "metaData")]
    meta: Option<Meta<'a>>,
    #[serde(borrow)]
    result: Option<ReplyResult<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    error: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow, rename = "error_Message")]
    error_message: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "txnId")]
    txnid: Option<Text<'a>>,
    #[serde(borrow, rename = "unmappedStatus")]
    unmapped_status: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ReplyResult<'a> {
    #[serde(borrow, rename = "paymentId")]
    payment_id: Option<Text<'a>>,
    #[serde(borrow, rename = "intentURIData")]
    intent_uri_data: Option<Text<'a>>,
    #[serde(borrow, rename = "acsTemplate")]
    acs_template: Option<Text<'a>>,
    #[serde(borrow, rename = "postUri")]
    post_uri: Option<Text<'a>>,
    #[serde(borrow)]
    mihpayid: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    unmappedstatus: Option<Text<'a>>,
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    txnid: Option<Text<'a>>,
    #[serde(borrow)]
    amount: Option<Text<'a>>,
    #[serde(borrow)]
    productinfo: Option<Text<'a>>,
    #[serde(borrow)]
    firstname: Option<Text<'a>>,
    #[serde(borrow)]
    email: Option<Text<'a>>,
    #[serde(borrow)]
    udf1: Option<Text<'a>>,
    #[serde(borrow)]
    udf2: Option<Text<'a>>,
    #[serde(borrow)]
    udf3: Option<Text<'a>>,
    #[serde(borrow)]
    udf4: Option<Text<'a>>,
    #[serde(borrow)]
    udf5: Option<Text<'a>>,
    #[serde(borrow, rename = "additionalCharges")]
    additional_charges: Option<Text<'a>>,
    #[serde(borrow)]
    error: Option<Text<'a>>,
    #[serde(borrow, rename = "error_Message")]
    error_message: Option<Text<'a>>,
    #[serde(borrow)]
    hash: Option<Text<'a>>,
}

/// The transaction fields that matter, wherever they came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transaction<'t> {
    mihpayid: &'t str,
    status: &'t str,
    unmapped: &'t str,
    key: &'t str,
    txnid: &'t str,
    amount: &'t str,
    product: &'t str,
    firstname: &'t str,
    email: &'t str,
    udfs: [&'t str; 5],
    additional_charges: &'t str,
    error: &'t str,
    error_message: &'t str,
    hash: &'t str,
}

impl<'t> Transaction<'t> {
    fn of_result(result: &'t ReplyResult<'_>) -> Self {
        Self {
            mihpayid: text(&result.mihpayid),
            status: text(&result.status),
            unmapped: text(&result.unmappedstatus),
            key: text(&result.key),
            txnid: text(&result.txnid),
            amount: text(&result.amount),
            product: text(&result.productinfo),
            firstname: text(&result.firstname),
            email: text(&result.email),
            udfs: [
                text(&result.udf1),
                text(&result.udf2),
                text(&result.udf3),
                text(&result.udf4),
                text(&result.udf5),
            ],
            additional_charges: text(&result.additional_charges),
            error: text(&result.error),
            error_message: text(&result.error_message),
            hash: text(&result.hash),
        }
    }

    /// From a webhook; `None` when a field is sent twice.
    pub(super) fn of_form(fields: &'t Fields<'_>) -> Option<Self> {
        Some(Self {
            mihpayid: fields.get("mihpayid")?,
            status: fields.get("status")?,
            unmapped: fields.get("unmappedstatus")?,
            key: fields.get("key")?,
            txnid: fields.get("txnid")?,
            amount: fields.get("amount")?,
            product: fields.get("productinfo")?,
            firstname: fields.get("firstname")?,
            email: fields.get("email")?,
            udfs: [
                fields.get("udf1")?,
                fields.get("udf2")?,
                fields.get("udf3")?,
                fields.get("udf4")?,
                fields.get("udf5")?,
            ],
            additional_charges: fields.get("additionalCharges")?,
            error: fields.get("error")?,
            error_message: fields.get("error_Message")?,
            hash: fields.get("hash")?,
        })
    }

    pub(super) const fn reference(&self) -> &'t str {
        self.txnid
    }

    /// The hash runs the other way round than the request's, with the additional charges, if there
    /// are any, in front: `[additionalCharges|]SALT|status||||||udf5|…|udf1|email|firstname|
    /// productinfo|amount|txnid|key`.
    pub(super) fn is_signed_by(&self, account: &PayU) -> bool {
        let [udf1, udf2, udf3, udf4, udf5] = self.udfs;
        let salt = account.salt.expose();
        let parts = [
            self.additional_charges,
            salt,
            self.status,
            "",
            "",
            "",
            "",
            "",
            udf5,
            udf4,
            udf3,
            udf2,
            udf1,
            self.email,
            self.firstname,
            self.product,
            self.amount,
            self.txnid,
            self.key,
        ];
        let signed = if self.additional_charges.is_empty() { &parts[1..] } else { &parts[..] };
        // A field that holds the separator could be read as two others.
        let unambiguous = signed.iter().all(|part| *part == salt || !part.contains('|'));
        unambiguous && self.key == account.key && same(&sha512_of_joined(signed), self.hash.as_bytes())
    }

    /// What a signed transaction says.
    ///
    /// Authorized or captured is decided by the signed `udf1`; the unsigned `unmappedstatus` may
    /// only make less of it, never more.
    pub(super) fn outcome(&self) -> Outcome {
        let known_id = is_payment_id(self.mihpayid).then(|| self.mihpayid.to_owned());
        match self.status {
            "success" => {
                let (Some(amount_minor), Some(processor_payment_id)) = (amount_minor(self.amount), known_id)
                else {
                    return unreadable();
                };
                match (self.unmapped, self.udfs[0]) {
                    ("captured", CAPTURE_AUTOMATIC) => {
                        Outcome::Captured { processor_payment_id, amount_minor }
                    }
                    ("auth", CAPTURE_AUTOMATIC | CAPTURE_MANUAL) | ("captured", CAPTURE_MANUAL) => {
                        Outcome::Authorized { processor_payment_id, amount_minor }
                    }
                    _ => unreadable(),
                }
            }
            "pending" => Outcome::Pending { processor_payment_id: known_id },
            "failure" | "failed" => codes::failed(self.unmapped, self.error, self.error_message),
            _ => unreadable(),
        }
    }
}

/// The reply to a payment.
pub(super) fn read_payment(account: &PayU, charge: &Charge<'_>, response: &HttpResponse<'_>) -> Outcome {
    if response.status == 429 {
        return throttled();
    }
    if response.status >= 500 || response.status < 200 {
        return unknown("the processor failed to answer");
    }
    let Some(reply) = read::<Reply<'_>>(response.body) else {
        return unreadable();
    };
    let Some(result) = &reply.result else {
        let message = [text(&reply.message), text(&reply.error_message)];
        let message = message.into_iter().find(|message| !message.is_empty()).unwrap_or("");
        return match text(&reply.status) {
            "failed" | "failure" => codes::refused_request(text(&reply.error), message),
            _ => unreadable(),
        };
    };
    if !is_success(response.status) {
        return unreadable();
    }
    if !text(&result.hash).is_empty() {
        let transaction = Transaction::of_result(result);
        return if transaction.txnid != charge.reference {
            unknown("the reply is about another transaction")
        } else if transaction.is_signed_by(account) {
            transaction.outcome()
        } else {
            unknown("the reply is not signed by the processor")
        };
    }
    read_next_action(&reply, result, charge)
}

fn read_next_action(reply: &Reply<'_>, result: &ReplyResult<'_>, charge: &Charge<'_>) -> Outcome {
    let Some(meta) = &reply.meta else {
        return unreadable();
    };
    if text(&meta.txnid) != charge.reference || text(&meta.unmapped_status) != "pending" {
        return unreadable();
    }
    let id = [text(&result.payment_id), text(&result.mihpayid)];
    let processor_payment_id = id.into_iter().find(|id| is_payment_id(id)).map(str::to_owned);
    let action = if let Some(data) = some(&result.intent_uri_data) {
        // UPI's links for mandates are others than those for payments.
        let verb = if charge.mandate.is_some() { "mandate" } else { "pay" };
        upi_link(charge, format!("upi://{verb}?{}", data.replace(' ', "%20")))
    } else if let Some(url) = some(&result.post_uri).filter(|url| url.starts_with("http")) {
        NextAction::Redirect { url: url.to_owned() }
    } else if let Some(page) = some(&result.acs_template).filter(|page| is_page(page)) {
        // The bank's page comes as a document, not as an address.
        NextAction::Page { html_base64: page.to_owned() }
    } else if matches!(charge.instrument, tollgate_core::method::Instrument::Upi { vpa: Some(_), .. }) {
        NextAction::UpiCollect
    } else {
        return Outcome::Pending { processor_payment_id };
    };
    Outcome::ActionRequired { processor_payment_id, action }
}

fn some<'t>(value: &'t Option<Text<'_>>) -> Option<&'t str> {
    Some(text(value)).filter(|text| !text.is_empty())
}

fn is_page(base64: &str) -> bool {
    base64.len() <= PAGE_BYTES_MAX
        && base64.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}
