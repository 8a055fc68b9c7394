//! The payment form and the replies to it.

use super::{or_email, sha512_hex};
use crate::books::{Entry, Method, Status};
use crate::http::{push_field, quoted};
use crate::instrument::{self, Behaviour, Failure};
use base64::Engine;
use subtle::ConstantTimeEq;

/// Payment ids are eighteen digits, as the real ones.
const FIRST_PAYMENT: u64 = 403_993_715_000_000_000;
/// Request ids are nine digits and more.
const FIRST_REQUEST: u64 = 131_000_000;

pub(super) fn payment_id(number: u64) -> String {
    FIRST_PAYMENT.saturating_add(number).to_string()
}

pub(super) fn number_of(payment_id: &str) -> Option<u64> {
    payment_id.parse::<u64>().ok()?.checked_sub(FIRST_PAYMENT)
}

pub(super) fn request_id(action: u64) -> String {
    FIRST_REQUEST.saturating_add(action).to_string()
}

/// Rupees of an amount in paise.
pub(super) fn major(amount_minor: i64) -> String {
    format!("{}.{:02}", amount_minor / 100, amount_minor % 100)
}

/// The fields of a payment that are needed. The card number is looked at and not kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    pub(super) key: String,
    pub(super) txnid: String,
    pub(super) amount: String,
    productinfo: String,
    firstname: String,
    email: String,
    udfs: [String; 5],
    hash: String,
    pg: String,
    pub(super) bankcode: String,
    pub(super) pre_authorize: bool,
    /// Where the browser goes after a success, and after a failure.
    pub(super) surl: String,
    pub(super) furl: String,
    /// The terms of a mandate to be set up, as they were sent.
    pub(super) si_details: Option<String>,
    /// Linked wallets and banks need no page.
    frictionless: bool,
    token_right: bool,
    behaviour: Option<Behaviour>,
}

impl Form {
    /// Reads a form in one pass; `None` when it is not one.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut form = Self::default();
        let (mut card, mut vpa) = (String::new(), String::new());
        let (mut token, mut token_type, mut token_info) = (String::new(), String::new(), String::new());
        let (mut si, mut si_details) = (String::new(), String::new());
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match name {
                "key" => &mut form.key,
                "txnid" => &mut form.txnid,
                "amount" => &mut form.amount,
                "productinfo" => &mut form.productinfo,
                "firstname" => &mut form.firstname,
                "email" => &mut form.email,
                "udf1" => &mut form.udfs[0],
                "udf2" => &mut form.udfs[1],
                "udf3" => &mut form.udfs[2],
                "udf4" => &mut form.udfs[3],
                "udf5" => &mut form.udfs[4],
                "hash" => &mut form.hash,
                "pg" => &mut form.pg,
                "bankcode" => &mut form.bankcode,
                "ccnum" => &mut card,
                "vpa" => &mut vpa,
                "surl" => &mut form.surl,
                "furl" => &mut form.furl,
                "store_card_token" => &mut token,
                "storecard_token_type" => &mut token_type,
                "additional_info" => &mut token_info,
                "si" => &mut si,
                "si_details" => &mut si_details,
                "pre_authorize" => {
                    form.pre_authorize = value == "1";
                    continue;
                }
                _ => continue,
            };
            *place = crate::http::form_field(pair.as_bytes(), name)?;
        }
        form.token_right = token.is_empty() || token_type != "1" || has_cryptogram(&token_info);
        if card.is_empty() {
            card = token;
        }
        form.si_details = (si == "1").then_some(si_details);
        form.frictionless = instrument::is_frictionless(&form.email);
        let behaviour = match form.method() {
            Method::Card | Method::Emi => instrument::of_card(&card),
            Method::Upi => instrument::of_name(&vpa),
            Method::Wallet | Method::NetBanking | Method::Bnpl => instrument::of_name(&form.bankcode),
        };
        form.behaviour = Some(or_email(behaviour, &form.email));
        Some(form)
    }

    fn method(&self) -> Method {
        match self.pg.as_str() {
            "UPI" => Method::Upi,
            "CASH" => Method::Wallet,
            "NB" => Method::NetBanking,
            "BNPL" => Method::Bnpl,
            "EMI" => Method::Emi,
            _ => Method::Card,
        }
    }

    /// A transaction that was begun by a command, not by a form.
    pub(super) fn of_debit(key: &str, txnid: &str, amount: &str, email: &str, udf1: &str) -> Self {
        let mut form = Self {
            key: key.to_owned(),
            txnid: txnid.to_owned(),
            amount: amount.to_owned(),
            email: email.to_owned(),
            pg: "UPI".to_owned(),
            frictionless: instrument::is_frictionless(email),
            token_right: true,
            behaviour: Some(instrument::of_name(email)),
            ..Self::default()
        };
        form.udfs[0] = udf1.to_owned();
        form
    }

    /// Whether the customer has to do something: always with a UPI link and with a mandate, on the page
    /// of a wallet, bank or lender unless it is linked.
    pub(super) fn has_page(&self) -> bool {
        let on_page = matches!(self.method(), Method::Wallet | Method::NetBanking | Method::Bnpl);
        self.bankcode == "INTENT" || self.si_details.is_some() || (on_page && !self.frictionless)
    }

    pub(super) const fn is_frictionless(&self) -> bool {
        self.frictionless
    }

    /// Whether a network token came with its cryptogram.
    pub(super) const fn token_is_right(&self) -> bool {
        self.token_right
    }

    pub(super) fn instrument(&self) -> (Method, Behaviour) {
        (self.method(), self.behaviour.unwrap_or(Behaviour::Success))
    }

    /// `sha512(key|txnid|amount|productinfo|firstname|email|udf1|…|udf5||||||SALT)`.
    pub(super) fn is_signed(&self, salt: &str) -> bool {
        let [udf1, udf2, udf3, udf4, udf5] = &self.udfs;
        // With a mandate `si_details` stands before the salt.
        let (details, last) =
            self.si_details.as_deref().map_or((salt, None), |details| (details, Some(salt)));
        let mut parts = vec![
            self.key.as_str(),
            &self.txnid,
            &self.amount,
            &self.productinfo,
            &self.firstname,
            &self.email,
            udf1,
            udf2,
            udf3,
            udf4,
            udf5,
            "",
            "",
            "",
            "",
            "",
            details,
        ];
        parts.extend(last);
        let expected = sha512_hex(&parts);
        expected.as_bytes().ct_eq(self.hash.as_bytes()).into()
    }

    /// `SALT|status||||||udf5|…|udf1|email|firstname|productinfo|amount|txnid|key`.
    pub(super) fn reply_fields<'f>(&'f self, salt: &'f str, status: &'f str) -> [&'f str; 18] {
        let [udf1, udf2, udf3, udf4, udf5] = &self.udfs;
        [
            salt,
            status,
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
            &self.email,
            &self.firstname,
            &self.productinfo,
            &self.amount,
            &self.txnid,
            &self.key,
        ]
    }
}

fn has_cryptogram(info: &str) -> bool {
    let info: serde_json::Value = serde_json::from_str(info).unwrap_or_default();
    ["tavv", "trid", "last4Digits"].iter().all(|name| info[name].as_str().is_some_and(|it| !it.is_empty()))
}

/// `status` and `unmappedstatus`. Source: docs.payu.in, Payment State Explanations. `cancelled` for
/// a released authorization is not in that list.
pub(super) fn status_of(entry: &Entry) -> (&'static str, &'static str) {
    match entry.status {
        Status::Created | Status::Pending => ("pending", "in progress"),
        Status::Authorized => ("success", "auth"),
        Status::Captured => ("success", "captured"),
        Status::Voided => ("failure", "cancelled"),
        Status::Failed => match Failure::from_index(entry.failure) {
            Failure::Cancelled => ("failure", "userCancelled"),
            Failure::Doubtful => ("failure", "dropped"),
            _ => ("failure", "failed"),
        },
    }
}

/// Code and words of a failure. Source: docs.payu.in, Error Codes.
pub(super) fn error_of(entry: &Entry) -> (&'static str, &'static str) {
    if entry.status != Status::Failed {
        return ("E000", "No Error");
    }
    match Failure::from_index(entry.failure) {
        Failure::Declined => ("E312", "Bank denied the transaction"),
        Failure::Insufficient => ("E706", "Insufficient funds"),
        Failure::Expired => ("E311", "Expired card"),
        Failure::Blocked => ("E325", "Restricted card"),
        Failure::Risk => ("E338", "Transaction denied because one or more risk rules failed"),
        Failure::Cancelled => ("E1605", "Transaction cancelled by user"),
        Failure::Doubtful => ("E209", "Bank response is not received"),
    }
}

const fn mode_of(method: Method) -> (&'static str, &'static str) {
    match method {
        Method::Card => ("CC", "CC-PG"),
        Method::Upi => ("UPI", "UPI-PG"),
        Method::Wallet => ("CASH", "CASH-PG"),
        Method::NetBanking => ("NB", "NB-PG"),
        Method::Bnpl => ("BNPL", "BNPL-PG"),
        Method::Emi => ("EMI", "EMI-PG"),
    }
}

pub(super) fn mode(method: Method) -> &'static str {
    mode_of(method).0
}

/// A request that did not become a transaction.
pub(super) fn refused(txnid: &str, code: &str, message: &str) -> String {
    format!(
        r#"{{"result":null,"status":"failure","unmappedstatus":"failed","txnid":{},"error":"{code}","error_Message":"{message}","message":"{message}"}}"#,
        quoted(txnid)
    )
}

/// A finished transaction.
pub(super) fn finished(number: u64, entry: &Entry, form: &Form, hash: &str) -> String {
    let (status, unmapped) = status_of(entry);
    let (code, message) = error_of(entry);
    let (mode, gateway) = mode_of(entry.method);
    let [udf1, udf2, udf3, udf4, udf5] = &form.udfs;
    let debited = if status == "success" { form.amount.as_str() } else { "0.00" };
    format!(
        r#"{{"metaData":{{"message":"{message}","referenceId":"{reference}","statusCode":"{code}","txnId":{txnid},"txnStatus":"{status}","unmappedStatus":"{unmapped}"}},"result":{{"mihpayid":"{id}","mode":"{mode}","status":"{status}","unmappedstatus":"{unmapped}","key":{key},"txnid":{txnid},"amount":{amount},"discount":"0.00","net_amount_debit":"{debited}","productinfo":{product},"firstname":{firstname},"email":{email},"udf1":{udf1},"udf2":{udf2},"udf3":{udf3},"udf4":{udf4},"udf5":{udf5},"field9":"{message}","payment_source":"payuPureS2S","PG_TYPE":"{gateway}","error":"{code}","error_Message":"{message}","bank_ref_num":"{reference}","hash":"{hash}"}}}}"#,
        id = payment_id(number),
        reference = number,
        key = quoted(&form.key),
        txnid = quoted(&form.txnid),
        amount = quoted(&form.amount),
        product = quoted(&form.productinfo),
        firstname = quoted(&form.firstname),
        email = quoted(&form.email),
        udf1 = quoted(udf1),
        udf2 = quoted(udf2),
        udf3 = quoted(udf3),
        udf4 = quoted(udf4),
        udf5 = quoted(udf5),
    )
}

/// A transaction that waits for its customer.
pub(super) fn waiting(number: u64, entry: &Entry, form: &Form, base_url: &str) -> String {
    let id = payment_id(number);
    let result = match (entry.method, form.bankcode.as_str()) {
        (Method::Upi, "INTENT") => format!(
            r#"{{"paymentId":"{id}","merchantName":"Simulator","merchantVpa":"simulator@payu","amount":"{amount}","intentURIData":"pa=simulator@payu&pn=Simulator&tr={id}&tid=PPPL{id}&am={amount}&cu=INR&tn=UPI Transaction for PPPL{id}{mandate}"}}"#,
            amount = major(entry.amount_minor),
            mandate = if form.si_details.is_some() { "&amrule=MAX&rev=Y" } else { "" },
        ),
        (Method::Upi, _) => format!(r#"{{"mihpayid":"{id}","status":"pending"}}"#),
        _ => {
            let page = format!(
                "<html><body><form name=\"payment_post\" id=\"payment_post\" action=\"{base_url}/sim/challenge/{}\" method=\"get\"></form><script>document.getElementById('payment_post').submit()</script></body></html>",
                form.txnid
            );
            let page = base64::engine::general_purpose::STANDARD.encode(page);
            format!(r#"{{"otpPostUrl":"","acsTemplate":"{page}"}}"#)
        }
    };
    let status = if entry.method == Method::Card { "Enrolled" } else { "pending" };
    format!(
        r#"{{"metaData":{{"message":null,"referenceId":"{id}","statusCode":null,"txnId":{},"txnStatus":"{status}","unmappedStatus":"pending"}},"result":{result}}}"#,
        quoted(&form.txnid)
    )
}

/// The fields of a webhook, and of what the customer's browser brings back.
pub(super) fn fields(number: u64, entry: &Entry, form: &Form, hash: &str) -> [(&'static str, String); 19] {
    let (status, unmapped) = status_of(entry);
    let (code, message) = error_of(entry);
    let [udf1, udf2, udf3, udf4, udf5] = form.udfs.clone();
    [
        ("mihpayid", payment_id(number)),
        ("mode", mode(entry.method).to_owned()),
        ("status", status.to_owned()),
        ("unmappedstatus", unmapped.to_owned()),
        ("key", form.key.clone()),
        ("txnid", form.txnid.clone()),
        ("amount", form.amount.clone()),
        ("productinfo", form.productinfo.clone()),
        ("firstname", form.firstname.clone()),
        ("email", form.email.clone()),
        ("udf1", udf1),
        ("udf2", udf2),
        ("udf3", udf3),
        ("udf4", udf4),
        ("udf5", udf5),
        ("field9", message.to_owned()),
        ("error", code.to_owned()),
        ("error_Message", message.to_owned()),
        ("hash", hash.to_owned()),
    ]
}

/// The form of a webhook.
pub(super) fn webhook(number: u64, entry: &Entry, form: &Form, hash: &str) -> String {
    let mut body = String::with_capacity(1_024);
    for (name, value) in fields(number, entry, form, hash) {
        push_field(&mut body, name, &value);
    }
    body
}
