//! The current API: bearer tokens and plain JSON.

use super::account::PhonePeV2Account;
use super::order::{self, Found};
use super::request::{self, CHECKOUT, PAYMENTS, SUBSCRIPTIONS};
use super::{codes, unsupported};
use crate::answer::{declined, is_success, unknown, unreadable};
use crate::digest::sha256_text;
use crate::form::{Form, escaped};
use crate::json::{Text, text};
use crate::webhook::{WebhookError, WebhookMessage, WebhookRequest};
use crate::wire::{HttpRequest, HttpResponse};
use crate::{BuildError, Call, Charge, ChargeHandle, Login, Operation, Progress, Step};
use serde::Deserialize;
use tollgate_core::card::Secret;
use tollgate_core::failure::FailureCode;
use tollgate_core::outcome::Outcome;
use zeroize::Zeroizing;

/// Where an order can be found, in the order of likelihood: PhonePe keeps the orders of its three
/// products apart, and nothing but their products tells them apart.
const PRODUCTS: [&str; 3] = [PAYMENTS, CHECKOUT, SUBSCRIPTIONS];

pub(super) struct V2 {
    account: PhonePeV2Account,
    /// What the `authorization` header of a webhook has to be.
    webhook_authorization: Zeroizing<String>,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow)]
    access_token: Option<Text<'a>>,
    #[serde(borrow)]
    issued_at: Option<Text<'a>>,
    #[serde(borrow)]
    expires_at: Option<Text<'a>>,
    #[serde(borrow)]
    token_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription<'a> {
    #[serde(borrow)]
    merchant_subscription_id: Option<Text<'a>>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
}

impl V2 {
    pub(super) fn new(account: PhonePeV2Account) -> Self {
        let pair =
            Zeroizing::new(format!("{}:{}", account.webhook_username, account.webhook_password.expose()));
        let webhook_authorization = Zeroizing::new(sha256_text(pair.as_bytes()));
        Self { account, webhook_authorization }
    }

    pub(super) fn login(&self) -> HttpRequest {
        let mut form = Form::new();
        form.field("client_id", &self.account.client_id)
            .field("client_version", &self.account.client_version)
            .field("client_secret", self.account.client_secret.expose())
            .field("grant_type", "client_credentials");
        HttpRequest::post_form(format!("{}/v1/oauth/token", self.account.auth_url), form.into_body())
    }

    pub(super) fn read_login(response: &HttpResponse<'_>) -> Option<Login> {
        if !is_success(response.status) {
            return None;
        }
        let token: Token<'_> = serde_json::from_slice(response.body).ok()?;
        let access_token = text(&token.access_token);
        let printable = !access_token.is_empty() && access_token.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || !text(&token.token_type).eq_ignore_ascii_case("O-Bearer") {
            return None;
        }
        let seconds = |value: &Option<Text<'_>>| value.as_ref().and_then(Text::as_i64);
        let lives_s = seconds(&token.expires_at)?.checked_sub(seconds(&token.issued_at)?)?;
        let lives_ms = u64::try_from(lives_s).ok().filter(|seconds| *seconds > 0)?.checked_mul(1_000)?;
        Some(Login { authorization: Secret::new(format!("O-Bearer {access_token}")), lives_ms })
    }

    fn get(&self, path: &str, step: Step, moves_money: bool) -> Call {
        let url = format!("{}{path}", self.account.base_url);
        let request = HttpRequest::get(url).header("content-type", "application/json");
        Call::new(request, moves_money, step).with_login()
    }

    fn post(&self, path: &str, body: Zeroizing<Vec<u8>>) -> Call {
        let url = format!("{}{path}", self.account.base_url);
        Call::new(HttpRequest::post_json(url, body), true, Step::default()).with_login()
    }

    fn order_status(&self, reference: &str, index: u8) -> Call {
        let product = PRODUCTS.get(usize::from(index)).copied().unwrap_or(PAYMENTS);
        let path = format!("{product}/order/{}/status?details=true&errorContext=true", escaped(reference));
        self.get(&path, Step { index, carry: None }, false)
    }

    fn refund_status(&self, reference: &str, step: Step, moves_money: bool) -> Call {
        self.get(&format!("{PAYMENTS}/refund/{}/status", escaped(reference)), step, moves_money)
    }

    pub(super) fn start(&self, operation: &Operation<'_>) -> Result<Call, BuildError> {
        match operation {
            Operation::Charge(charge) => self.charge(charge),
            Operation::Capture { .. } => Err(unsupported("captures")),
            Operation::Void { .. } => Err(unsupported("voids")),
            Operation::Refund { charge, reference, amount } => {
                request::check_amount(*amount)?;
                let body = request::refund(charge.reference, reference, *amount);
                Ok(self.post("/payments/v2/refund", body))
            }
            Operation::EnquireCharge { charge } => Ok(self.order_status(charge.reference, 0)),
            Operation::EnquireRefund { reference, .. } => {
                Ok(self.refund_status(reference, Step::default(), false))
            }
            Operation::RevokeMandate { setup } => {
                let path = format!("{SUBSCRIPTIONS}/{}/cancel", escaped(setup.reference));
                Ok(self.post(&path, Zeroizing::default()))
            }
        }
    }

    fn charge(&self, charge: &Charge<'_>) -> Result<Call, BuildError> {
        let wanted = request::charge(charge, &self.account.upi_target_app)?;
        let mut call = self.post(wanted.path, wanted.body);
        if let Some(device_os) = wanted.device_os {
            call.request = call.request.header("x-device-os", device_os);
        }
        Ok(call)
    }

    pub(super) fn read(
        &self,
        operation: &Operation<'_>,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        let done = |found| {
            Progress::Done(match found {
                Found::Answer(outcome) => outcome,
                Found::Nothing => Outcome::NotFound,
            })
        };
        match operation {
            Operation::Charge(charge) => Progress::Done(order::read_charge(charge, response)),
            Operation::Capture { .. } | Operation::Void { .. } => Progress::Done(unreadable()),
            Operation::EnquireCharge { charge } => match order::read_order(charge, response) {
                // Nothing is known of it only if none of the products knows it.
                Found::Nothing if usize::from(step.index) + 1 < PRODUCTS.len() => {
                    Progress::Next(Box::new(self.order_status(charge.reference, step.index + 1)))
                }
                found => done(found),
            },
            Operation::Refund { charge, reference, .. } => {
                self.read_refund(charge, reference, step, response)
            }
            Operation::EnquireRefund { charge, reference, .. } => {
                done(order::read_refund_status(charge, reference, response))
            }
            Operation::RevokeMandate { setup } => self.read_revocation(setup, step, response),
        }
    }

    /// A refund is only taken note of at first; asking at once gives its end if it has one.
    ///
    /// A refused one is asked after as well: the refusal of a repeated request is not documented, and
    /// must not hide that the first one was carried out.
    fn read_refund(
        &self,
        charge: &ChargeHandle<'_>,
        reference: &str,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        let ask = |step| Progress::Next(Box::new(self.refund_status(reference, step, true)));
        let refused = step.carry.as_deref();
        match step.index {
            0 if is_success(response.status) => match order::read_refund(response) {
                Some(outcome) => Progress::Done(outcome),
                None => ask(Step { index: 1, carry: None }),
            },
            0 => {
                let (code, message) = order::error_of(response.body);
                if let Some(outcome) = codes::turned_away(response.status, &code) {
                    return Progress::Done(outcome);
                }
                match response.status {
                    400..=499 if !code.is_empty() => ask(Step { index: 1, carry: Some(code) }),
                    _ => Progress::Done(codes::refused(response.status, &code, &message)),
                }
            }
            _ => Progress::Done(match (order::read_refund_status(charge, reference, response), refused) {
                (Found::Nothing, Some(code)) => codes::refused_refund(code),
                (Found::Answer(Outcome::Unknown(_)) | Found::Nothing, None) => {
                    Outcome::Pending { processor_payment_id: None }
                }
                (Found::Answer(outcome), _) => outcome,
            }),
        }
    }

    /// `204` is the documented answer. Any other may mean that the mandate had ended before.
    fn read_revocation(
        &self,
        setup: &ChargeHandle<'_>,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        if step.index == 0 {
            return match response.status {
                204 => Progress::Done(Outcome::Voided),
                200..=499 => {
                    let path = format!("{SUBSCRIPTIONS}/{}/status", escaped(setup.reference));
                    Progress::Next(Box::new(self.get(&path, Step { index: 1, carry: None }, true)))
                }
                _ => Progress::Done(unknown("the processor did not confirm the end of the mandate")),
            };
        }
        if !is_success(response.status) {
            let (code, _) = order::error_of(response.body);
            let is_unknown_there = codes::is_not_found(response.status, &code);
            return Progress::Done(match is_unknown_there {
                true => declined(FailureCode::ProcessorRejected, "the processor knows no such mandate"),
                false => codes::not_told(&code),
            });
        }
        let subscription = serde_json::from_slice::<Subscription<'_>>(response.body);
        Progress::Done(match subscription {
            Ok(subscription) if text(&subscription.merchant_subscription_id) == setup.reference => {
                match text(&subscription.state) {
                    "CANCELLED" | "REVOKED" | "EXPIRED" | "FAILED" => Outcome::Voided,
                    _ => unknown("the mandate has not ended"),
                }
            }
            _ => unreadable(),
        })
    }

    pub(super) fn webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        order::read_webhook(request, &self.webhook_authorization)
    }
}
