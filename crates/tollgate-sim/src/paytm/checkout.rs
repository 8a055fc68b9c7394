//! Orders, payments, and the pages in the customer's browser.

use super::{Order, PaytmSim, write};
use crate::books::{Method, NewEntry, Notes, Refusal, Status};
use crate::desk::now_ms;
use crate::fault::{Fault, FaultProfile};
use crate::http::{HangUp, Response, form_field, json, query, quoted, reply, see_other};
use crate::instrument::{self, Behaviour, Failure};
use serde::Deserialize;
use std::sync::Arc;
use tollgate_core::card::CardNumber;
use tollgate_core::currency::Currency;
use tollgate_core::money::Money;

/// How long an order's token is good for. Source: paytmpayments.com/docs, Process Transaction API.
const TOKEN_LIVES_MS: u64 = 15 * 60 * 1_000;
/// Orders whose customer is remembered.
const ORDERS_MAX: usize = 100_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Initiate {
    request_type: String,
    mid: String,
    website_name: String,
    order_id: String,
    callback_url: String,
    txn_amount: TxnAmount,
    user_info: UserInfo,
    enable_payment_mode: Option<Vec<Mode>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TxnAmount {
    value: String,
    currency: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UserInfo {
    cust_id: String,
    email: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mode {
    mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Process {
    request_type: String,
    mid: String,
    order_id: String,
    payment_mode: String,
    card_info: String,
    auth_mode: String,
    channel_code: String,
    payer_account: String,
}

/// A refusal: code and words.
type Refused = (&'static str, &'static str);

fn refused((code, words): Refused) -> String {
    write::refused("F", code, words)
}

impl PaytmSim {
    pub(super) async fn initiate(
        &self,
        uri: &http::Uri,
        body: &[u8],
        profile: &FaultProfile,
    ) -> Result<Response, HangUp> {
        let read = self.read_order(uri, body);
        let fault = match &read {
            // The only exchange of an order that is paid on Paytm's own page.
            Ok((_, order)) if order.modes == ["BALANCE"] => match order.behaviour {
                Behaviour::Fault(fault) => Some(fault),
                _ => self.desk.fault(profile, false),
            },
            _ => self.desk.fault(profile, false),
        };
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        let text = match read.and_then(|(wanted, order)| self.register(&wanted, order)) {
            Ok((order_id, code, words)) => {
                let info = write::result_info("S", code, words);
                let token = self.key.token(&order_id);
                let body = format!(
                    r#"{{{info},"txnToken":"{token}","isPromoCodeValid":false,"authenticated":false}}"#
                );
                self.reply(&body, fault == Some(Fault::WrongSignature))
            }
            Err(refusal) => refused(refusal),
        };
        self.desk.strike_after(fault, profile, json(200, text)).await
    }

    fn read_order(&self, uri: &http::Uri, body: &[u8]) -> Result<(Initiate, Order), Refused> {
        let invalid = ("1001", "Request parameters are not valid");
        let (text, signature, _) = super::open(body).ok_or(invalid)?;
        let wanted: Initiate = serde_json::from_str(text).map_err(|_| invalid)?;
        self.check_names(uri, &wanted.mid, &wanted.order_id)?;
        if !self.key.verifies(text, &signature) {
            return Err(("2005", "Checksum provided is invalid"));
        }
        if wanted.user_info.cust_id.is_empty() || wanted.website_name.is_empty() {
            return Err(("1007", "Missing mandatory element"));
        }
        if text.contains('|') {
            return Err(("1008", "Pipe character is not allowed"));
        }
        let right = |byte: u8| byte.is_ascii_alphanumeric() || b"_-@.".contains(&byte);
        let length_right = (1..=50).contains(&wanted.order_id.len());
        if wanted.request_type != "Payment" || !length_right || !wanted.order_id.bytes().all(right) {
            return Err(invalid);
        }
        let order = Order {
            behaviour: instrument::of_name(&wanted.user_info.email),
            modes: wanted.enable_payment_mode.iter().flatten().map(|mode| mode.mode.clone()).collect(),
            failure: None,
        };
        Ok((wanted, order))
    }

    /// Merchant and order, in query and body.
    fn check_names(&self, uri: &http::Uri, mid: &str, order_id: &str) -> Result<(), Refused> {
        if query(uri, "mid").as_deref() != Some(mid) {
            return Err(("2013", "Mid in the query param doesn't match with the Mid send in the request"));
        }
        if query(uri, "orderId").as_deref() != Some(order_id) {
            return Err(("2014", "OrderId in the query param doesn't match with the OrderId send"));
        }
        if mid == self.mid { Ok(()) } else { Err(("2006", "Mid is invalid")) }
    }

    /// The same order again is answered with the same token; another one of its number is refused.
    fn register(
        &self,
        wanted: &Initiate,
        order: Order,
    ) -> Result<(String, &'static str, &'static str), Refused> {
        let amount = Money::parse_major(&wanted.txn_amount.value, Currency::INR);
        let amount = amount.ok().filter(|_| wanted.txn_amount.currency == "INR");
        let amount = amount.ok_or(("2007", "Txn amount is invalid"))?;
        let new = NewEntry {
            reference: &wanted.order_id,
            amount_minor: amount.minor,
            currency: *b"INR",
            manual: false,
            method: method_of(order.modes.first().map_or("", String::as_str)),
            notes: Notes::None,
            now_ms: now_ms(),
        };
        match self.desk.books.create(&new) {
            Ok(number) => {
                self.desk.remember_return(number, &wanted.callback_url);
                let mut orders = self.orders.lock();
                if orders.len() < ORDERS_MAX {
                    orders.insert(number, order);
                }
                Ok((wanted.order_id.clone(), "0000", "Success"))
            }
            Err(Refusal::Exists(number)) => match self.desk.books.get(number) {
                Some(entry) if entry.amount_minor == amount.minor => {
                    Ok((wanted.order_id.clone(), "0002", "Success Idempotent"))
                }
                _ => Err(("2023", "Repeat Request Inconsistent")),
            },
            Err(_) => Err(("00000900", "System error")),
        }
    }

    /// The order that a token was given for.
    fn order_of(&self, order_id: &str, token: &str) -> Result<(u64, Status), Refused> {
        let expired = ("1006", "Your Session has expired");
        let (number, entry) = self.desk.books.find(order_id).ok_or(expired)?;
        let in_time = now_ms().saturating_sub(entry.created_ms) < TOKEN_LIVES_MS;
        if token == self.key.token(order_id) && in_time { Ok((number, entry.status)) } else { Err(expired) }
    }

    pub(super) async fn process(
        self: &Arc<Self>,
        uri: &http::Uri,
        body: &[u8],
        profile: &Arc<FaultProfile>,
    ) -> Result<Response, HangUp> {
        let (number, wanted, behaviour) = match self.read_payment(uri, body) {
            Ok(read) => read,
            Err(refusal) => return Ok(json(200, refused(refusal))),
        };
        let behaviour = self.desk.behaviour(behaviour, profile);
        let fault = match behaviour {
            Behaviour::Fault(fault) => Some(fault),
            _ => None,
        };
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        let text = match self.pay(number, &wanted, behaviour, profile) {
            Ok(text) => text,
            Err(Refusal::State) => refused(("325", "Duplicate order id")),
            Err(_) => write::refused("U", "00000900", "System error"),
        };
        self.desk.strike_after(fault, profile, json(200, text)).await
    }

    fn read_payment(&self, uri: &http::Uri, body: &[u8]) -> Result<(u64, Process, Behaviour), Refused> {
        let invalid = ("1001", "Request parameters are not valid");
        let (text, _, token) = super::open(body).ok_or(invalid)?;
        let wanted: Process = serde_json::from_str(text).map_err(|_| invalid)?;
        self.check_names(uri, &wanted.mid, &wanted.order_id)?;
        let (number, status) = self.order_of(&wanted.order_id, &token)?;
        if status != Status::Created {
            return Err(("325", "Duplicate order id"));
        }
        let (by_email, allowed) = {
            let orders = self.orders.lock();
            let order = orders.get(&number);
            let mode = wanted.payment_mode.strip_suffix("_INTENT").unwrap_or(&wanted.payment_mode);
            let any = |order: &Order| order.modes.is_empty() || order.modes.iter().any(|it| it == mode);
            (order.map_or(Behaviour::Success, |order| order.behaviour), order.is_none_or(any))
        };
        if wanted.request_type != "NATIVE" || !allowed {
            return Err(invalid);
        }
        let behaviour = match wanted.payment_mode.as_str() {
            "CREDIT_CARD" | "DEBIT_CARD" => card_behaviour(&wanted)?,
            "UPI_INTENT" => Behaviour::Success,
            "UPI" if tollgate_core::method::is_vpa(&wanted.payer_account) => {
                instrument::of_name(&wanted.payer_account)
            }
            "UPI" => return Err(("295", "The UPI ID entered is incorrect.")),
            "NET_BANKING" if wanted.channel_code.is_empty() => {
                return Err(("1007", "Missing mandatory element"));
            }
            "NET_BANKING" => instrument::of_name(&wanted.channel_code),
            // The wallet needs a login, which this merchant's server does not have.
            "BALANCE" => return Err(("2004", "SSO Token is invalid")),
            _ => return Err(invalid),
        };
        let behaviour = if behaviour == Behaviour::Success { by_email } else { behaviour };
        Ok((number, wanted, behaviour))
    }

    fn pay(
        self: &Arc<Self>,
        number: u64,
        wanted: &Process,
        behaviour: Behaviour,
        profile: &FaultProfile,
    ) -> Result<String, Refusal> {
        let books = &self.desk.books;
        let method = method_of(&wanted.payment_mode);
        if matches!(behaviour, Behaviour::Fail(_) | Behaviour::Fault(_)) {
            self.orders.lock().remove(&number);
        }
        match behaviour {
            Behaviour::Success => self.leave_pending(number, method, true, profile)?,
            Behaviour::Pending { approve } => self.leave_pending(number, method, approve, profile)?,
            Behaviour::Fail(failure) => {
                let entry = books.charge(number, Status::Failed, method, failure.index())?;
                self.tell(number, &entry, false, profile);
                return Ok(self.finished(number, false));
            }
            Behaviour::Fault(fault) => {
                let entry = books.charge(number, Status::Captured, method, 0)?;
                self.tell(number, &entry, fault.loses_the_answer(), profile);
                return Ok(self.finished(number, fault == Fault::WrongSignature));
            }
        }
        Ok(self.waiting(wanted))
    }

    /// A transaction that is over already, with the signed fields of a callback.
    fn finished(&self, number: u64, is_wrong: bool) -> String {
        let Some(entry) = self.desk.books.get(number) else {
            return refused(("00000900", "System error"));
        };
        let (status, code, words) = write::state_of(&entry);
        let fields = self.signed_fields(number, &entry, is_wrong);
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!(r#""{name}":{}"#, quoted(value))).collect();
        let info = write::result_info(if status == "TXN_SUCCESS" { "S" } else { "F" }, code, words);
        write::unsigned(&format!(r#"{{{info},"txnInfo":{{{}}}}}"#, fields.join(",")))
    }

    /// What the customer has to do.
    fn waiting(&self, wanted: &Process) -> String {
        let info = write::result_info("S", "0000", "Success");
        let order = quoted(&wanted.order_id);
        let names = format!("mid={}&orderId={}", self.mid, wanted.order_id);
        let base = &self.desk.base_url;
        let number = self.desk.books.find(&wanted.order_id);
        let (id, amount) = number.map_or_else(Default::default, |(number, entry)| {
            (write::payment_id(number), write::major(entry.amount_minor))
        });
        if wanted.payment_mode == "UPI_INTENT" {
            let link = format!(
                "upi://pay?pa=simulator@paytm&pn=Simulator&mc=5641&tr={id}&am={amount}&cu=INR&tn={}",
                wanted.order_id
            );
            return write::unsigned(&format!(
                r#"{{{info},"deepLinkInfo":{{"deepLink":{},"orderId":{order},"cashierRequestId":"{id}","transId":"{id}"}}}}"#,
                quoted(&link)
            ));
        }
        let (page, content) = if wanted.payment_mode == "UPI" {
            let token = self.key.token(&wanted.order_id);
            let vpa = quoted(&wanted.payer_account);
            (
                format!("{base}/theia/api/v1/upiPollPage?{names}"),
                format!(
                    r#"{{"MERCHANT_VPA":"simulator@paytm","CHANNEL":"PGPTM","externalSrNo":"{id}","MCC":"5641","payerVpa":{vpa},"txnAmount":"{amount}","txnToken":"{token}"}}"#
                ),
            )
        } else {
            (
                format!("{base}/simulated-bank/{}", wanted.order_id),
                format!(
                    r#"{{"MD":"{id}","PaReq":"eJxVUtFu","TermUrl":"{base}/instaproxy/bankresponse/SIM/3DS/{}"}}"#,
                    wanted.order_id
                ),
            )
        };
        write::unsigned(&format!(
            r#"{{{info},"bankForm":{{"pageType":"redirect","isForceResendOtp":false,"redirectForm":{{"actionUrl":{},"method":"POST","type":"redirect","headers":{{"Content-Type":"application/x-www-form-urlencoded"}},"content":{content}}}}}}}"#,
            quoted(&page)
        ))
    }

    /// Paytm's own page: the customer pays with the wallet there. A browser that comes late is sent back.
    pub(super) fn payment_page(
        self: &Arc<Self>,
        uri: &http::Uri,
        body: &[u8],
        profile: &FaultProfile,
    ) -> Response {
        let field = |name| form_field(body, name).unwrap_or_default();
        let (mid, order_id) = (field("mid"), field("orderId"));
        let found = self.check_names(uri, &mid, &order_id);
        let (number, status) = match found.and_then(|()| self.order_of(&order_id, &field("txnToken"))) {
            Ok(found) => found,
            Err((_, words)) => return reply(400, "text/plain", words),
        };
        if status == Status::Created {
            let by_email = self.orders.lock().get(&number).map_or(Behaviour::Success, |it| it.behaviour);
            let behaviour = self.desk.behaviour(by_email, profile);
            let approve = match behaviour {
                Behaviour::Pending { approve } => approve,
                Behaviour::Fail(failure) => {
                    self.plan_failure(number, failure);
                    false
                }
                Behaviour::Success | Behaviour::Fault(_) => true,
            };
            if self.leave_pending(number, Method::Wallet, approve, profile).is_err() {
                return reply(500, "text/plain", "System error");
            }
        }
        if matches!(status, Status::Created | Status::Pending) {
            return see_other(&self.desk.challenge_url(&order_id));
        }
        self.send_back(number)
    }

    /// Whatever the customer does, the payment fails like this.
    fn plan_failure(&self, number: u64, failure: Failure) {
        if let Some(order) = self.orders.lock().get_mut(&number) {
            order.failure = Some(failure);
        }
    }
}

fn card_behaviour(wanted: &Process) -> Result<Behaviour, Refused> {
    let wrong = ("209", "Card details entered by the user is/are invalid");
    let parts: Vec<&str> = wanted.card_info.split('|').collect();
    let ["", number, cvc, expiry] = parts.as_slice() else {
        return Err(wrong);
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let right = CardNumber::parse(number).is_ok()
        && matches!(cvc.len(), 0 | 3 | 4)
        && expiry.len() == 6
        && digits(cvc)
        && digits(expiry)
        && matches!(wanted.auth_mode.as_str(), "otp" | "pin" | "3D");
    if right { Ok(instrument::of_card(number)) } else { Err(wrong) }
}

fn method_of(mode: &str) -> Method {
    match mode {
        "UPI" | "UPI_INTENT" => Method::Upi,
        "NET_BANKING" => Method::NetBanking,
        "BALANCE" => Method::Wallet,
        _ => Method::Card,
    }
}
