//! The current API: tokens, payments, status, refunds.

use super::particulars::{Particulars, Product, order_id};
use super::reply::{self, bad_request, not_found, problem};
use super::{AMOUNT_MINOR_MIN, NewOrder, PhonePeSim, header, same, sha256_hex};
use crate::accounts::PhonePeOptions;
use crate::books::{Method, Refusal};
use crate::desk::now_ms;
use crate::fault::FaultProfile;
use crate::http::{HangUp, Response, form_field, json, query};
use crate::instrument::{self, Behaviour};
use crate::webhooks::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const TOKEN_LIVES_S: u64 = 3_600;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pay {
    pub(super) merchant_order_id: String,
    pub(super) amount: i64,
    pub(super) payment_flow: Flow,
    device_context: Option<DeviceContext>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Flow {
    pub(super) r#type: String,
    pub(super) payment_mode: Option<Mode>,
    merchant_urls: Option<MerchantUrls>,
    payment_mode_config: Option<PaymentModeConfig>,
    pub(super) merchant_subscription_id: Option<String>,
    pub(super) auth_workflow_type: Option<String>,
    pub(super) amount_type: Option<String>,
    pub(super) max_amount: Option<i64>,
    pub(super) frequency: Option<String>,
    pub(super) expire_at: Option<u64>,
    pub(super) auto_debit: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mode {
    pub(super) r#type: String,
    target_app: Option<String>,
    details: Option<Details>,
    bank_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Details {
    r#type: String,
    vpa: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MerchantUrls {
    redirect_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct DeviceContext {
    #[serde(rename = "deviceOS")]
    device_os: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentModeConfig {
    enabled_payment_modes: Option<Vec<EnabledMode>>,
    disabled_payment_modes: Option<Vec<EnabledMode>>,
}

#[derive(Debug, Deserialize)]
struct EnabledMode {
    r#type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundRequest {
    merchant_refund_id: String,
    original_merchant_order_id: String,
    amount: i64,
}

impl Pay {
    /// Refuses what every product refuses.
    pub(super) fn read(body: &[u8], flow: &str) -> Option<Self> {
        let pay: Self = serde_json::from_slice(body).ok()?;
        let right = PhonePeSim::is_id(&pay.merchant_order_id)
            && pay.amount >= AMOUNT_MINOR_MIN
            && pay.payment_flow.r#type == flow;
        right.then_some(pay)
    }

    fn return_url(&self) -> Option<&str> {
        let url = self.payment_flow.merchant_urls.as_ref()?.redirect_url.as_deref()?;
        (url.starts_with("http://") || url.starts_with("https://")).then_some(url)
    }

    /// What pays, and what it makes happen; `None` when something is missing.
    pub(super) fn instrument(&self) -> Option<(Method, Behaviour)> {
        let mode = self.payment_flow.payment_mode.as_ref()?;
        match mode.r#type.as_str() {
            "UPI_QR" => Some((Method::Upi, Behaviour::Success)),
            "UPI_INTENT" => {
                let os = self.device_context.as_ref()?.device_os.as_deref()?.to_ascii_uppercase();
                let app = mode.target_app.as_deref().is_some_and(|app| !app.is_empty());
                let right = os == "IOS" || (os == "ANDROID" && app);
                right.then_some((Method::Upi, Behaviour::Success))
            }
            "UPI_COLLECT" => {
                let details = mode.details.as_ref().filter(|details| details.r#type == "VPA")?;
                let vpa = details.vpa.as_deref().filter(|vpa| tollgate_core::method::is_vpa(vpa))?;
                Some((Method::Upi, instrument::of_name(vpa)))
            }
            "NET_BANKING" => {
                let bank = mode.bank_id.as_deref().filter(|bank| !bank.is_empty())?;
                self.return_url()?;
                Some((Method::NetBanking, instrument::of_name(bank)))
            }
            _ => None,
        }
    }
}

impl PhonePeSim {
    pub(super) async fn answer_v2(
        self: &Arc<Self>,
        account: &PhonePeOptions,
        head: &http::request::Parts,
        path: &str,
        body: &[u8],
        profile: &Arc<FaultProfile>,
    ) -> Result<Response, HangUp> {
        if (head.method.as_str(), path) == ("POST", "/v1/oauth/token") {
            return Ok(token(account, body));
        }
        if !is_logged_in(account, header(head, "authorization")) {
            let text = "Authorization failed [message = Please check the authorization token and try again]";
            return Ok(problem(401, "AUTHORIZATION_FAILED", text));
        }
        match (head.method.as_str(), path) {
            ("POST", "/payments/v2/pay") => self.pay(body, profile).await,
            ("POST", "/checkout/v2/pay") => self.check_out(body, profile).await,
            ("POST", "/subscriptions/v2/setup") => self.set_up(body, profile).await,
            ("POST", "/subscriptions/v2/notify") => self.announce(body, profile).await,
            ("POST", path) => {
                let fault = self.desk.fault(profile, false);
                if let Some(response) = self.desk.strike_before(fault, profile).await? {
                    return Ok(response);
                }
                let response = match path {
                    "/payments/v2/refund" => self.refund(body, profile),
                    "/subscriptions/v2/redeem" => self.redeem(body, profile),
                    _ => match between(path, "/subscriptions/v2/", "/cancel") {
                        Some(id) => self.cancel_mandate(id),
                        None => problem(404, "API_NOT_FOUND", "No such API"),
                    },
                };
                self.desk.strike_after(fault, profile, response).await
            }
            ("GET", path) => {
                let fault = self.desk.fault(profile, true);
                if let Some(response) = self.desk.strike_before(fault, profile).await? {
                    return Ok(response);
                }
                let response = self.look(account, head, path, profile);
                self.desk.strike_after(fault, profile, response).await
            }
            _ => Ok(problem(404, "API_NOT_FOUND", "No such API")),
        }
    }

    async fn pay(self: &Arc<Self>, body: &[u8], profile: &Arc<FaultProfile>) -> Result<Response, HangUp> {
        let Some(pay) = Pay::read(body, "PG") else {
            return Ok(bad_request());
        };
        let (Some((method, behaviour)), Some(mode)) = (pay.instrument(), &pay.payment_flow.payment_mode)
        else {
            return Ok(bad_request());
        };
        let particulars =
            Particulars { product: Product::Payments, mode: mode.r#type.clone(), ..Particulars::default() };
        let order = NewOrder {
            reference: &pay.merchant_order_id,
            amount_minor: pay.amount,
            method,
            particulars,
            behaviour,
            return_url: pay.return_url(),
        };
        let accept = |number, entry: &crate::books::Entry, particulars: &Particulars| {
            let mut reply = accepted(number, entry);
            match particulars.mode.as_str() {
                "UPI_INTENT" => reply["intentUrl"] = reply::upi_link(number, entry.amount_minor).into(),
                "UPI_QR" => {
                    reply["intentUrl"] = reply::upi_link(number, entry.amount_minor).into();
                    reply["qrData"] = reply["intentUrl"].clone();
                }
                "NET_BANKING" => reply["redirectUrl"] = self.desk.challenge_url(&entry.reference).into(),
                _ => {}
            }
            reply.to_string()
        };
        self.take(order, profile, accept, refused).await
    }

    /// PhonePe's own page: the customer chooses there, so only the profile decides what happens.
    async fn check_out(
        self: &Arc<Self>,
        body: &[u8],
        profile: &Arc<FaultProfile>,
    ) -> Result<Response, HangUp> {
        let Some(pay) = Pay::read(body, "PG_CHECKOUT") else {
            return Ok(bad_request());
        };
        let config = pay.payment_flow.payment_mode_config.as_ref();
        let both = config.is_some_and(|config| {
            config.enabled_payment_modes.is_some() && config.disabled_payment_modes.is_some()
        });
        if both {
            return Ok(bad_request());
        }
        let enabled = config.and_then(|config| config.enabled_payment_modes.as_deref()).unwrap_or_default();
        let cards_alone = !enabled.is_empty() && enabled.iter().all(|mode| mode.r#type == "CARD");
        let (method, mode) =
            if cards_alone { (Method::Card, "CARD") } else { (Method::Wallet, "PPE_INTENT") };
        let particulars =
            Particulars { product: Product::Checkout, mode: mode.to_owned(), ..Particulars::default() };
        let order = NewOrder {
            reference: &pay.merchant_order_id,
            amount_minor: pay.amount,
            method,
            particulars,
            behaviour: Behaviour::Success,
            return_url: pay.return_url(),
        };
        let accept = |number, entry: &crate::books::Entry, _: &Particulars| {
            let mut reply = accepted(number, entry);
            reply["redirectUrl"] = self.desk.challenge_url(&entry.reference).into();
            reply.to_string()
        };
        self.take(order, profile, accept, refused).await
    }

    fn refund(self: &Arc<Self>, body: &[u8], profile: &FaultProfile) -> Response {
        let Ok(request) = serde_json::from_slice::<RefundRequest>(body) else {
            return bad_request();
        };
        if !Self::is_id(&request.merchant_refund_id) || request.amount < AMOUNT_MINOR_MIN {
            return bad_request();
        }
        let order = &request.original_merchant_order_id;
        match self.begin_refund(order, &request.merchant_refund_id, request.amount, profile) {
            Ok((_, entry, place)) => json(200, reply::refund_accepted(&entry.refunds[place])),
            Err(Refusal::NotFound) => not_found(Product::Payments),
            Err(Refusal::TooMuch) => problem(
                400,
                "REFUND_AMOUNT_EXCEEDS_ORIGINAL",
                "Refund amount is greater than the original transaction amount",
            ),
            Err(_) => bad_request(),
        }
    }

    fn look(
        &self,
        account: &PhonePeOptions,
        head: &http::request::Parts,
        path: &str,
        profile: &FaultProfile,
    ) -> Response {
        let merchant_id = account.client_id.as_str();
        if let Some(id) = between(path, "/payments/v2/refund/", "/status") {
            return match self.refund_of(id) {
                Some((entry, refund)) => json(200, reply::refund(&entry, &refund, merchant_id).to_string()),
                None => problem(404, "MERCHANT_REFUND_MAPPING_NOT_FOUND", "No entry found"),
            };
        }
        let products: [(&str, &[Product]); 3] = [
            ("/payments/v2/order/", &[Product::Payments]),
            ("/checkout/v2/order/", &[Product::Checkout]),
            ("/subscriptions/v2/order/", &[Product::Setup, Product::Redemption]),
        ];
        for (folder, products) in products {
            let Some(id) = between(path, folder, "/status") else {
                continue;
            };
            let error_context = query(&head.uri, "errorContext").as_deref() == Some("true");
            let seen = self.seen(id, profile).filter(|(.., known)| products.contains(&known.product));
            return match seen {
                Some((number, entry, known)) => {
                    json(200, reply::order(number, &entry, &known, merchant_id, error_context).to_string())
                }
                None => not_found(products[0]),
            };
        }
        match between(path, "/subscriptions/v2/", "/status") {
            Some(id) => self.mandate_status(id),
            None => problem(404, "API_NOT_FOUND", "No such API"),
        }
    }

    pub(super) fn message_v2(
        &self,
        account: &PhonePeOptions,
        name: &str,
        payload: Value,
        profile: &FaultProfile,
    ) -> Message {
        let wrong = self.desk.dice.happens(profile.webhook_wrong_signature);
        let password = if wrong { "another password" } else { account.webhook_password.expose() };
        let authorization = sha256_hex(&[&account.webhook_username, ":", password]);
        self.message(("authorization", authorization), reply::event(name, payload))
    }
}

/// The reply to every request for an order.
pub(super) fn accepted(number: u64, entry: &crate::books::Entry) -> Value {
    json!({ "orderId": order_id(number), "state": "PENDING", "expireAt": reply::expires_ms(entry) })
}

pub(super) fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Exists(_) => problem(
            400,
            "ORDER_ALREADY_EXISTS",
            "A payment order with the same merchantOrderId already exists",
        ),
        _ => problem(
            500,
            "INTERNAL_SERVER_ERROR",
            "There is an error trying to process your transaction at the moment. Please try again in a while.",
        ),
    }
}

pub(super) fn between<'p>(path: &'p str, before: &str, after: &str) -> Option<&'p str> {
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    PhonePeSim::is_id(id).then_some(id)
}

/// A token is the time of its issue, signed: nothing has to be remembered.
fn token_of(account: &PhonePeOptions, issued_s: u64) -> String {
    let issued = issued_s.to_string();
    format!("{issued}.{}", sha256_hex(&[account.client_secret.expose(), ":", &issued]))
}

fn token(account: &PhonePeOptions, body: &[u8]) -> Response {
    let field = |name| form_field(body, name).unwrap_or_default();
    let right = same(&account.client_id, &field("client_id"))
        & same(account.client_secret.expose(), &field("client_secret"))
        & (field("client_version") == account.client_version.to_string())
        & (field("grant_type") == "client_credentials");
    if !right {
        return problem(401, "AUTHORIZATION_FAILED", "Invalid client credentials");
    }
    let issued_s = now_ms() / 1_000;
    let expires_s = issued_s + TOKEN_LIVES_S;
    let token = token_of(account, issued_s);
    let reply = json!({
        "access_token": token,
        "encrypted_access_token": token,
        "expires_in": null,
        "issued_at": issued_s,
        "expires_at": expires_s,
        "session_expires_at": expires_s,
        "token_type": "O-Bearer",
    });
    json(200, reply.to_string())
}

fn is_logged_in(account: &PhonePeOptions, authorization: &str) -> bool {
    let Some(token) = authorization.strip_prefix("O-Bearer ") else {
        return false;
    };
    let issued_s = token.split('.').next().and_then(|issued| issued.parse::<u64>().ok());
    issued_s.is_some_and(|issued_s| {
        same(&token_of(account, issued_s), token)
            && (now_ms() / 1_000).saturating_sub(issued_s) < TOKEN_LIVES_S
    })
}
