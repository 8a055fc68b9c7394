//! Every error code of the API, in one table: what the service answers with and what `/docs` prints.
//!
//! A code is part of the contract: it is never renamed and never changes its status.

/// One kind of refusal.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The stable name, `code` in a problem.
    pub name: &'static str,
    /// The HTTP status it comes with.
    pub status: u16,
    /// A short sentence that is the same every time, `title` in a problem.
    pub title: &'static str,
    /// What the caller can do about it.
    pub advice: &'static str,
}

macro_rules! codes {
    ($($constant:ident $status:literal $name:literal $title:literal $advice:literal;)+) => {
        $(
            #[doc = $title]
            pub static $constant: Code =
                Code { name: $name, status: $status, title: $title, advice: $advice };
        )+

        /// Every code, in the order of its status.
        pub static ALL: &[&Code] = &[$(&$constant),+];
    };
}

codes! {
    INVALID_JSON 400 "invalid_json" "The body is not valid JSON"
        "Send UTF-8 JSON, nested at most 32 levels deep.";
    INVALID_HEADER 400 "invalid_header" "A header is not valid"
        "`Idempotency-Key` is sent once and is 1 to 255 visible ASCII characters; `Tollgate-Timeout-Ms` is sent once and is from 100 to 600000.";
    API_VERSION_UNKNOWN 400 "api_version_unknown" "There is no such version of the API"
        "Send `Tollgate-Version` once, with a version that `GET /api/v1/api_versions` names, or not at all.";
    WEBHOOK_MALFORMED 400 "webhook_malformed" "The webhook is not understood"
        "The signature holds, but the message is not one of this processor.";
    UNAUTHORIZED 401 "unauthorized" "The API key is missing or not valid"
        "Send `Authorization: Bearer <key>` with a key, or a token, that is neither revoked nor expired.";
    CERTIFICATE_MISMATCH 401 "certificate_mismatch" "The key is bound to another client certificate"
        "Connect with the client certificate whose fingerprint the key names.";
    WEBHOOK_SIGNATURE_INVALID 401 "webhook_signature_invalid" "The webhook's signature does not hold"
        "Check that the processor signs with the secret that is configured here.";
    CAPTURE_FAILED 402 "capture_failed" "The processor did not capture the payment"
        "No money was taken. Read the payment for the reason; a new try needs a new idempotency key.";
    PROCESSOR_REFUSED 402 "processor_refused" "The processor refused"
        "Nothing was changed. `detail` has the processor's words.";
    CANCEL_FAILED 402 "cancel_failed" "The processor did not release the payment"
        "The payment stands as it was. Read it for the reason.";
    MERCHANT_SUSPENDED 403 "merchant_suspended" "The account takes no new payments"
        "Existing payments can still be read, captured, cancelled and refunded.";
    LIVE_CLOSED 403 "live_closed" "The account is not open for real money"
        "It has to be active and verified. The sandbox works.";
    METHOD_NOT_OPEN 403 "method_not_open" "The payment method is not open to the account"
        "Use another method, or ask for this one to be opened.";
    CURRENCY_NOT_OPEN 403 "currency_not_open" "The currency is not open to the account"
        "Use another currency, or ask for this one to be opened.";
    CARD_COUNTRY_NOT_OPEN 403 "card_country_not_open" "Cards of this country are not open to the account"
        "Nothing was charged. The customer can pay with another card.";
    CONFIRMATION_REQUIRED 403 "confirmation_required" "The customer has to confirm the payment"
        "Nothing was charged. Get a confirmation with `POST /api/v1/confirmations` and send the payment again with it.";
    FORBIDDEN 403 "forbidden" "The key may not do this"
        "`detail` names the permission that is missing. Use a key whose role has it.";
    ADDRESS_NOT_ALLOWED 403 "address_not_allowed" "The key may not be used from this address"
        "Call from a network on the key's list.";
    NOT_FOUND 404 "not_found" "There is no such thing"
        "The path or id is unknown, or it belongs to somebody else.";
    METHOD_NOT_ALLOWED 405 "method_not_allowed" "The path does not know this method"
        "The `Allow` header lists the methods it knows.";
    REQUEST_TIMEOUT 408 "request_timeout" "The body did not arrive in time"
        "Send the whole body without pauses.";
    PAYMENT_NOT_CAPTURABLE 409 "payment_not_capturable" "The payment cannot be captured"
        "Only an authorized payment can be captured, once.";
    NO_QR_CODE 409 "no_qr_code" "The payment has no QR code"
        "Only a payment whose customer has to open or scan a UPI link has one.";
    PAYMENT_NOT_CANCELLABLE 409 "payment_not_cancellable" "The payment cannot be cancelled"
        "Only an authorized payment, or one that waits for its customer, can be cancelled.";
    PAYMENT_NOT_REFUNDABLE 409 "payment_not_refundable" "The payment cannot be refunded"
        "Only captured money can be refunded.";
    NOT_IN_REVIEW 409 "not_in_review" "The payment waits for no review"
        "It was decided before, or never needed one.";
    OPERATION_IN_PROGRESS 409 "operation_in_progress" "Another operation on this payment is under way"
        "Try again when the payment has changed.";
    INSUFFICIENT_BALANCE 409 "insufficient_balance" "The balance does not cover the refund"
        "Refund again when later payments have filled the balance.";
    TOO_MANY_OPERATIONS 409 "too_many_operations" "The payment has as many operations as it may have"
        "Nothing more can be done to this payment.";
    IDEMPOTENCY_KEY_IN_USE 409 "idempotency_key_in_use" "The first request with this key is still being worked on"
        "Repeat the request after `Retry-After` seconds; it will get the first request's reply.";
    CONFLICT 409 "conflict" "It does not fit what is there"
        "Read it again; `detail` says whether it was changed meanwhile or a reference is taken.";
    CONFIRMATION_USED 409 "confirmation_used" "The confirmation was used for another payment"
        "Ask the customer to confirm again, with new options from `POST /api/v1/confirmations`.";
    API_KEY_ENDED 409 "api_key_ended" "The API key has ended"
        "It was revoked, has expired or was rotated. Use another, or make a new one.";
    TOO_MANY_API_KEYS 409 "too_many_api_keys" "There are as many API keys as there may be"
        "Use the keys there are; rotate instead of making new ones.";
    SUBJECT_BUSY 409 "subject_busy" "The person's data is needed still"
        "`detail` names the payment and why. Repeat the request when it has ended.";
    NO_VAULT_KEY 409 "no_vault_key" "This gateway's vault keeps nothing"
        "Credentials need a vault with a master key: `[vault] master_key`.";
    ANOTHER_ACCOUNT 409 "another_account" "The credentials are of another account at the processor"
        "`field` names the one that tells. To change to that account, send `same_account: false`, or end the present one first.";
    ACCOUNT_UNCLEAR 409 "account_unclear" "The credentials do not tell whether they are of the same account"
        "Send `same_account`: true if the account's keys were renewed, false if they are another account's.";
    TOO_MANY_ENDPOINTS 409 "too_many_endpoints" "The account has as many webhook endpoints as it may have"
        "Delete one first; an account may have 50.";
    API_VERSION_GONE 410 "api_version_gone" "This version of the API is no longer served"
        "Send `Tollgate-Version` with a version that is, or pin your account to one with `PUT /api/v1/api_version`.";
    VERSION_CHANGED 412 "version_changed" "It is at another version than the one you named"
        "Somebody changed it meanwhile. Read it again, and send `If-Match` with the version it has now.";
    PAYLOAD_TOO_LARGE 413 "payload_too_large" "The body is too large"
        "Most bodies may have 64 KiB.";
    UNSUPPORTED_MEDIA_TYPE 415 "unsupported_media_type" "The body is not announced as JSON"
        "Send `Content-Type: application/json`.";
    INVALID_FIELD 422 "invalid_field" "A field of the body is not valid"
        "`field` is the JSON pointer of it.";
    INVALID_PARAMETER 422 "invalid_parameter" "A query parameter is not valid"
        "`field` is the name of it. Unknown and repeated parameters are refused.";
    AMOUNT_INVALID 422 "amount_invalid" "The amount is not a decimal number"
        "Send decimal major units as a JSON number or string, such as `100.00`.";
    AMOUNT_NOT_POSITIVE 422 "amount_not_positive" "The amount must be above zero"
        "Send an amount above zero.";
    AMOUNT_TOO_MANY_DIGITS 422 "amount_too_many_digits" "The amount has more decimal digits than the currency allows"
        "Use 2 digits for most currencies, 0 for such as JPY, 3 for such as KWD.";
    AMOUNT_TOO_LARGE 422 "amount_too_large" "The amount is too large"
        "One payment may have at most 1,000,000,000,000,000 minor units.";
    AMOUNT_ABOVE_CAPTURABLE 422 "amount_above_capturable" "The amount is above what can be captured"
        "Read `amount_capturable` of the payment.";
    AMOUNT_ABOVE_REFUNDABLE 422 "amount_above_refundable" "The amount is above what can be refunded"
        "Read `amount_refundable` of the payment.";
    ABOVE_TRANSACTION_LIMIT 422 "above_transaction_limit" "The amount is above the account's limit for one payment"
        "Take a smaller amount, or ask for a higher limit.";
    ABOVE_DAY_LIMIT 422 "above_day_limit" "The amount is above what is left of the account's limit for the day"
        "Days end at midnight UTC. Payments that end without money are given back to the limit.";
    ABOVE_MONTH_LIMIT 422 "above_month_limit" "The amount is above what is left of the account's limit for the month"
        "Months end at midnight UTC. Payments that end without money are given back to the limit.";
    CURRENCY_UNKNOWN 422 "currency_unknown" "The currency is not known"
        "Send an active ISO 4217 code in capitals, such as `INR`.";
    CARD_INVALID 422 "card_invalid" "The card is not valid"
        "`field` says which part of it.";
    DETAILS_REQUIRED 422 "details_required" "The payment method's details are required"
        "In live mode send `payment_method` as an object with the instrument's details.";
    NO_PROCESSOR 422 "no_processor" "No processor takes this payment"
        "Use another method or currency; see which your account's processors take.";
    UPI_COLLECT_DISCONTINUED 422 "upi_collect_discontinued" "UPI collect is not open to this payment"
        "NPCI ended collect on 28 February 2026 but for MCC 6012 and 6211 and for iOS. Use flow `intent` or `qr`.";
    PASSKEY_INVALID 422 "passkey_invalid" "The passkey cannot be registered"
        "`detail` says which check failed. Begin again with new options.";
    CONFIRMATION_INVALID 422 "confirmation_invalid" "The confirmation does not hold for this payment"
        "`detail` says which check failed. Nothing was charged; ask the customer to confirm this very payment.";
    CONFIRMATION_EXPIRED 422 "confirmation_expired" "The confirmation's time is over"
        "Nothing was charged. Ask the customer to confirm again, with new options.";
    MANDATE_UNUSABLE 422 "mandate_unusable" "The mandate cannot be debited"
        "`detail` says why. Set a new mandate up with a payment that has `mandate`.";
    NO_MANDATE 422 "no_mandate" "The payment has no mandate in force"
        "Only a completed payment that was made with `mandate` has one.";
    NOT_SUPPORTED 422 "not_supported" "The processor cannot do this"
        "`detail` says what the processor of this payment cannot do.";
    IDEMPOTENCY_KEY_REUSED 422 "idempotency_key_reused" "The idempotency key was used with another request"
        "Use a new key for a new request.";
    CARD_TOKEN_UNKNOWN 422 "card_token_unknown" "There is no such card token"
        "It was never made, was used, its time is over, its card was deleted, or it is another account's.";
    CARD_NOT_ACCEPTED_HERE 422 "card_not_accepted_here" "This address takes no card numbers"
        "Cards are sent to the vault's own address: ask `POST /api/v1/card_sessions` for it, and pay with the token it gives.";
    CARD_NUMBER_IN_TEXT 422 "card_number_in_text" "A text shows a card number"
        "Texts are stored and shown. Send card numbers in `payment_method.card.number` alone.";
    CARD_STORAGE_FORBIDDEN 422 "card_storage_forbidden" "This account may not store card numbers"
        "Accounts in India save network tokens alone (RBI, card-on-file tokenisation): send `card.network_token` with the network's token as `card.number`.";
    CARDS_DESTROYED 422 "cards_destroyed" "This account's cards have been destroyed"
        "They cannot be brought back.";
    TOO_MANY_UNDER_WAY 429 "too_many_under_way" "You have as much under way as you may have"
        "Nothing was charged. Wait for answers, or repeat the request after `Retry-After` seconds.";
    RATE_LIMITED 429 "rate_limited" "There were too many requests"
        "Nothing was done. Repeat the request after `Retry-After` seconds; `RateLimit` tells what is left.";
    TOO_MANY_FAILURES 429 "too_many_failures" "There were too many requests with a wrong key"
        "Wait `Retry-After` seconds, and send a right key.";
    HEADERS_TOO_LARGE 431 "headers_too_large" "The request has too many headers"
        "Send at most 64.";
    CARD_UNREADABLE 500 "card_unreadable" "The card cannot be decrypted"
        "Quote `request_id` to support; the vault's audit has the cause.";
    INTERNAL 500 "internal_error" "Something went wrong on our side"
        "Repeat the request with the same idempotency key; quote `request_id` to support.";
    OVERLOADED 503 "overloaded" "Too much is under way"
        "Repeat the request after `Retry-After` seconds.";
    PROCESSOR_UNAVAILABLE 503 "processor_unavailable" "The processor cannot be asked right now"
        "Nothing was changed that can be told. Repeat the request after `Retry-After` seconds.";
    PROCESSORS_CLOSED 503 "processors_closed" "Every processor that takes this payment is out of order or busy"
        "Nothing was charged. Repeat the request after `Retry-After` seconds.";
    VAULT_UNAVAILABLE 503 "vault_unavailable" "The card vault cannot be used right now"
        "Nothing was charged. Repeat the request after `Retry-After` seconds.";
    STORE_UNAVAILABLE 503 "store_unavailable" "The store cannot be used right now"
        "Repeat the request with the same idempotency key after `Retry-After` seconds.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_and_without_repetition() {
        assert!(ALL.windows(2).all(|pair| pair[0].status <= pair[1].status));
        for (place, code) in ALL.iter().enumerate() {
            assert!(ALL.iter().skip(place + 1).all(|other| other.name != code.name), "{}", code.name);
            assert!(code.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        }
    }
}
