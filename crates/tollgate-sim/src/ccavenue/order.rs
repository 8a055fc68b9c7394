//! An order: the form it came with, and what CCAvenue says of its outcome.

use crate::books::{Entry, Method, Status};
use crate::http::form_field;
use crate::instrument::{self, Behaviour, Failure};
use tollgate_core::currency::Currency;
use tollgate_core::money::Money;

/// Reference numbers are twelve digits, as the real ones.
const FIRST_REFERENCE: u64 = 204_000_000_000;
/// Bank references of refunds.
const FIRST_BANK_REFERENCE: u64 = 240_000;
/// Longest `order_id` that the API can be asked about.
const ORDER_ID_LENGTH_MAX: usize = 30;
/// Largest amount: twelve digits, two of them decimal.
const AMOUNT_MINOR_MAX: i64 = 999_999_999_999;

pub(super) fn reference_no(number: u64) -> String {
    FIRST_REFERENCE.saturating_add(number).to_string()
}

pub(super) fn number_of(reference_no: &str) -> Option<u64> {
    reference_no.parse::<u64>().ok()?.checked_sub(FIRST_REFERENCE)
}

pub(super) fn bank_reference(action: u64) -> String {
    FIRST_BANK_REFERENCE.saturating_add(action).to_string()
}

/// The form's fields that are needed.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) reference: String,
    pub(super) currency: String,
    pub(super) currency_bytes: [u8; 3],
    pub(super) amount: String,
    pub(super) amount_minor: i64,
    pub(super) redirect_url: String,
    pub(super) cancel_url: String,
    pub(super) method: Method,
    pub(super) behaviour: Behaviour,
    billing_name: String,
    billing_tel: String,
    billing_email: String,
    merchant_params: [String; 5],
}

impl Order {
    /// Reads a decrypted form; `None` when CCAvenue would not take it.
    pub(super) fn read(plain: &str, merchant_id: &str) -> Option<Self> {
        let field = |name: &str| form_field(plain.as_bytes(), name).unwrap_or_default();
        let reference = field("order_id");
        let right = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/".contains(&byte);
        let reference_right =
            (1..=ORDER_ID_LENGTH_MAX).contains(&reference.len()) && reference.bytes().all(right);
        let currency = field("currency");
        let known = ["INR", "USD", "SGD", "GBP", "EUR"].contains(&currency.as_str());
        if field("merchant_id") != merchant_id || !reference_right || !known {
            return None;
        }
        // Cards are typed on CCAvenue's page. A number that comes with the form would be stored.
        if plain.contains("card_number=") {
            return None;
        }
        let parsed: Currency = currency.parse().ok()?;
        let amount = field("amount");
        let money = Money::parse_major(&amount, parsed).ok()?;
        let (redirect_url, cancel_url) = (field("redirect_url"), field("cancel_url"));
        let absolute = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if money.minor > AMOUNT_MINOR_MAX || ![&redirect_url, &cancel_url].into_iter().all(absolute) {
            return None;
        }
        let method = match field("payment_option").as_str() {
            "OPTUPI" => Method::Upi,
            "OPTNBK" => Method::NetBanking,
            "OPTWLT" | "OPTCASHC" => Method::Wallet,
            "OPTEMI" => Method::Emi,
            _ => Method::Card,
        };
        let billing_email = field("billing_email");
        Some(Self {
            reference,
            currency_bytes: parsed.bytes(),
            currency,
            amount,
            amount_minor: money.minor,
            redirect_url,
            cancel_url,
            method,
            behaviour: instrument::of_name(&billing_email),
            billing_name: field("billing_name"),
            billing_tel: field("billing_tel"),
            billing_email,
            merchant_params: [1, 2, 3, 4, 5].map(|place| field(&format!("merchant_param{place}"))),
        })
    }

    /// What the browser and the notifications carry: a query string whose values are not escaped.
    pub(super) fn outcome(&self, number: u64, entry: &Entry) -> String {
        let (status, failure, code, message) = match entry.status {
            Status::Authorized | Status::Captured => ("Success", "", "0", "Transaction Successful"),
            Status::Failed => match Failure::from_index(entry.failure) {
                Failure::Cancelled => ("Aborted", "", "null", "Cancelled by customer"),
                Failure::Doubtful => ("Awaited", "", "null", "null"),
                failure => ("Failure", "", "05", bank_words(failure)),
            },
            Status::Voided => ("Failure", "", "null", "Cancelled"),
            Status::Created | Status::Pending => ("Awaited", "", "null", "null"),
        };
        let [first, second, third, fourth, fifth] = &self.merchant_params;
        let reference_no = reference_no(number);
        let bank = bank_reference(number);
        let fields: [(&str, &str); 34] = [
            ("order_id", &self.reference),
            ("tracking_id", &reference_no),
            ("bank_ref_no", &bank),
            ("order_status", status),
            ("failure_message", failure),
            ("payment_mode", mode(entry.method)),
            ("card_name", "null"),
            ("status_code", code),
            ("status_message", message),
            ("currency", &self.currency),
            ("amount", &self.amount),
            ("billing_name", &self.billing_name),
            ("billing_address", ""),
            ("billing_city", ""),
            ("billing_state", ""),
            ("billing_zip", ""),
            ("billing_country", ""),
            ("billing_tel", &self.billing_tel),
            ("billing_email", &self.billing_email),
            ("delivery_name", ""),
            ("delivery_address", ""),
            ("delivery_city", ""),
            ("delivery_state", ""),
            ("delivery_zip", ""),
            ("delivery_country", ""),
            ("delivery_tel", ""),
            ("merchant_param1", first),
            ("merchant_param2", second),
            ("merchant_param3", third),
            ("merchant_param4", fourth),
            ("merchant_param5", fifth),
            ("vault", "N"),
            ("discount_value", "0.0"),
            ("retry", "N"),
        ];
        fields.map(|(name, value)| format!("{name}={value}")).join("&")
    }
}

/// What the bank says of a failure.
pub(super) const fn bank_words(failure: Failure) -> &'static str {
    match failure {
        Failure::Declined => "Do not honour",
        Failure::Insufficient => "Insufficient funds",
        Failure::Expired => "Expired card",
        Failure::Blocked => "Card blocked",
        Failure::Risk => "Declined due to risk",
        Failure::Cancelled => "Cancelled by customer",
        Failure::Doubtful => "",
    }
}

const fn mode(method: Method) -> &'static str {
    match method {
        Method::Card => "Credit Card",
        Method::Upi => "Unified Payments",
        Method::Wallet => "Wallet",
        Method::NetBanking => "Net Banking",
        Method::Bnpl => "Pay Later",
        Method::Emi => "EMI",
    }
}

/// `order_option_type` of the status API.
pub(super) const fn option_type(method: Method) -> &'static str {
    match method {
        Method::Card => "OPTCRDC",
        Method::Upi => "OPTUPI",
        Method::Wallet => "OPTWLT",
        Method::NetBanking => "OPTNBK",
        Method::Bnpl => "OPTPL",
        Method::Emi => "OPTEMI",
    }
}
