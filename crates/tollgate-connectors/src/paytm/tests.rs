//! Known-answer vectors were made with Paytm's own SDK (`paytmchecksum` 1.7.0 from PyPI, with the salt
//! given); property tests try to make nonsense read as success.

use super::*;
use crate::{Charge, ChargeHandle, Customer};
use proptest::prelude::*;
use tollgate_core::card::{CardNumber, CardSecret, Cvc, Secret};
use tollgate_core::method::{CaptureMode, MethodKind, UpiFlow};

const REFERENCE: &str = "0NbrhPvkMxYDJYWqCuIRUT";
const REFUND: &str = "0NbrhPvkMxYDJYWqCuIRUZ";
const MID: &str = "SIMULATED00000000001";
const TXN: &str = "20261121010000000000000000000000001";
const TOKEN: &str = "f0bed899539742309eebd8d7edcf61588842333227";

fn key() -> MerchantKey {
    MerchantKey::try_from(Secret::new("simulated-merkey")).unwrap()
}

fn paytm() -> Paytm {
    Paytm::new(PaytmAccount {
        mid: MID.to_owned(),
        merchant_key: key(),
        website: default_website(),
        base_url: "http://paytm.test/".to_owned(),
    })
}

fn charge(instrument: Instrument<'_>, amount_minor: i64) -> Charge<'_> {
    Charge {
        reference: REFERENCE,
        amount: Money::new(amount_minor, Currency::INR),
        capture: CaptureMode::Automatic,
        method: match instrument {
            Instrument::Card(_) => MethodKind::DebitCard,
            _ => MethodKind::Upi,
        },
        instrument,
        customer: Customer {
            name: Some("Asha|Rao"),
            email: Some("asha@example.com"),
            phone: Some("+91 98765-43210"),
            ..Customer::default()
        },
        description: None,
        return_url: Some("https://pay.example/return"),
        webhook_url: None,
        mandate: None,
        statement_descriptor: None,
        challenge: false,
    }
}

fn intent() -> Instrument<'static> {
    Instrument::Upi { flow: UpiFlow::Intent, vpa: None }
}

fn visa() -> CardSecret {
    CardSecret {
        number: CardNumber::parse("4111111111111111").unwrap(),
        exp_month: 3,
        exp_year: 2032,
        cvc: Some(Cvc::parse("123").unwrap()),
        holder: None,
        network_token: None,
    }
}

fn handle() -> ChargeHandle<'static> {
    ChargeHandle {
        reference: REFERENCE,
        processor_payment_id: None,
        amount: Money::new(10_050, Currency::INR),
    }
}

fn refund() -> Operation<'static> {
    Operation::Refund { charge: handle(), reference: REFUND, amount: Money::new(4_000, Currency::INR) }
}

fn enquire_refund() -> Operation<'static> {
    Operation::EnquireRefund { charge: handle(), reference: REFUND, amount: Money::new(4_000, Currency::INR) }
}

fn enquire() -> Operation<'static> {
    Operation::EnquireCharge { charge: handle() }
}

fn read(operation: &Operation<'_>, index: u8, status: u16, body: &[u8]) -> Progress {
    let step = Step { index, carry: Some(TOKEN.to_owned()) };
    paytm().read(operation, &step, &HttpResponse { status, body })
}

fn done(progress: Progress) -> Outcome {
    match progress {
        Progress::Done(outcome) => outcome,
        Progress::Next(call) => panic!("another exchange: {:?}", call.request),
    }
}

/// The outcome in one word, with the failure's code.
fn class(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Captured { .. } => "captured".to_owned(),
        Outcome::Refunded { .. } => "refunded".to_owned(),
        Outcome::Pending { .. } => "pending".to_owned(),
        Outcome::ActionRequired { .. } => "action".to_owned(),
        Outcome::Declined(failure) => format!("declined {}", failure.code.as_str()),
        Outcome::NotTaken(failure) => format!("not taken {}", failure.code.as_str()),
        Outcome::Unknown(_) => "unknown".to_owned(),
        Outcome::NotFound => "not found".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A reply signed as Paytm signs it.
fn signed(body: &str) -> String {
    format!(r#"{{"head":{{"version":"v1","signature":"{}"}},"body":{body}}}"#, key().sign(body.as_bytes()))
}

fn unsigned(body: &str) -> String {
    format!(r#"{{"head":{{"version":"v1"}},"body":{body}}}"#)
}

fn result(status: &str, code: &str) -> String {
    format!(r#""resultInfo":{{"resultStatus":"{status}","resultCode":"{code}","resultMsg":"words"}}"#)
}

fn status_body(status: &str, code: &str) -> String {
    format!(
        r#"{{{},"txnId":"{TXN}","orderId":"{REFERENCE}","txnAmount":"100.50","mid":"{MID}"}}"#,
        result(status, code)
    )
}

fn refund_body(status: &str, code: &str) -> String {
    format!(
        r#"{{{},"txnId":"{TXN}","orderId":"{REFERENCE}","refId":"{REFUND}","refundId":"20261121R1","refundAmount":"40.00","mid":"{MID}"}}"#,
        result(status, code)
    )
}

/// A payment notice with its hash, as a form.
fn notice(status: &str, code: &str, change: impl FnOnce(&mut Vec<(&'static str, String)>)) -> String {
    let mut fields = vec![
        ("CURRENCY", "INR".to_owned()),
        ("MID", MID.to_owned()),
        ("ORDERID", REFERENCE.to_owned()),
        ("RESPCODE", code.to_owned()),
        ("RESPMSG", "words".to_owned()),
        ("STATUS", status.to_owned()),
        ("TXNAMOUNT", "100.50".to_owned()),
        ("TXNID", TXN.to_owned()),
    ];
    change(&mut fields);
    let payload = fields.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("|");
    let mut form = crate::form::Form::new();
    for (name, value) in &fields {
        form.field(name, value);
    }
    form.field("CHECKSUMHASH", &key().sign(payload.as_bytes()));
    String::from_utf8(form.into_body().to_vec()).unwrap()
}

fn webhook(body: &str) -> Result<WebhookMessage, WebhookError> {
    paytm().webhook(&WebhookRequest { header: &|_| None, body: body.as_bytes() })
}

fn callback(reference: &str, body: &str) -> Result<Callback, WebhookError> {
    paytm().callback(&CallbackRequest { reference, query: "", body: body.as_bytes() })
}

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    body: &'a serde_json::value::RawValue,
    head: std::collections::BTreeMap<String, String>,
}

/// The body of a signed request, after its signature was found right.
fn sent(call: &Call) -> serde_json::Value {
    let sent: Sent<'_> = serde_json::from_slice(&call.request.body).unwrap();
    if let Some(signature) = sent.head.get("signature") {
        assert!(key().verifies(sent.body.get().as_bytes(), signature));
    }
    serde_json::from_str(sent.body.get()).unwrap()
}

fn next(progress: Progress) -> Call {
    match progress {
        Progress::Next(call) => *call,
        Progress::Done(outcome) => panic!("{outcome:?}"),
    }
}

fn initiated() -> String {
    signed(&format!(r#"{{{},"txnToken":"{TOKEN}","isPromoCodeValid":false}}"#, result("S", "0000")))
}

#[test]
fn signature_known_answers() {
    let body = format!(r#"{{"mid":"{MID}","orderId":"{REFERENCE}"}}"#);
    assert_eq!(key().sign_with_salt(body.as_bytes(), *b"Ab9z"), SDK_BODY);
    assert!(key().verifies(body.as_bytes(), SDK_BODY));
    assert!(!key().verifies(b"{}", SDK_BODY));
    assert!(!key().verifies(body.as_bytes(), ""));
    let own = key().sign(body.as_bytes());
    assert_eq!(own.len(), 108, "as long as Paytm says");
    assert!(key().verifies(body.as_bytes(), &own));
    assert_eq!(own, key().sign(body.as_bytes()), "no randomness");
    assert_ne!(own, SDK_BODY);
}

/// The SDK signs the word "null" as an empty value.
#[test]
fn form_signature_known_answer() {
    let form = format!(
        "MID={MID}&ORDERID={REFERENCE}&TXNID={TXN}&TXNAMOUNT=100.50&CURRENCY=INR&STATUS=TXN_SUCCESS&\
         RESPCODE=01&RESPMSG=Txn+Success&BANKTXNID=null&PAYMENTMODE=UPI&CHECKSUMHASH={}",
        crate::form::escaped(SDK_FORM)
    );
    let message = webhook(&form).unwrap();
    let subject = message.subject.unwrap();
    assert_eq!(subject.reference, REFERENCE);
    let captured = Outcome::Captured { processor_payment_id: TXN.to_owned(), amount_minor: 10_050 };
    assert_eq!(subject.outcome, captured);
    assert_eq!(callback(REFERENCE, &form), Ok(Callback::Says(captured)));
    assert_eq!(webhook(&form.replace("100.50", "200.50")), Err(WebhookError::Signature));
}

const SDK_BODY: &str = "pg17riJUd0uPbCobTwi+KUplnQB4qU/aVp5uxumqPSxystulI7LguwZu1ZnLB7KWQBVcTcS6BnZzhtoHzNHbg7yy3OXG991fJkqUciGZDTg=";
const SDK_FORM: &str = "KdMNu4Yxn88yvOx3eO8HGGGIb3eLU/Rg8DEotmg9VbONpyld/DW2Uz3RmrAHBfiBBcf+5cSQaoyY850IReAYL67XplARtiC11wZFswH5XGc=";

#[test]
fn keys_have_sixteen_characters_and_stay_hidden() {
    assert_eq!(MerchantKey::try_from(Secret::new("short")).unwrap_err(), MerchantKeyLength);
    let account: PaytmAccount =
        serde_json::from_str(r#"{"mid":"M1","merchant_key":"simulated-merkey"}"#).unwrap();
    assert_eq!(account.base_url, "https://secure.paytmpayments.com");
    let shown = format!("{account:?} {:?}", paytm());
    assert!(!shown.contains("merkey"), "{shown}");
    let refused = serde_json::from_str::<PaytmAccount>(r#"{"mid":"M1","merchant_key":"hushhush"}"#);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("16 characters") && !refused.contains("hush"), "{refused}");
}

#[test]
fn an_order_moves_no_money() {
    let operation = Operation::Charge(charge(intent(), 10_050));
    let call = paytm().start(&operation).unwrap();
    assert!(!call.moves_money);
    let query = format!("?mid={MID}&orderId={REFERENCE}");
    assert_eq!(call.request.url, format!("http://paytm.test/theia/api/v1/initiateTransaction{query}"));
    let body = sent(&call);
    assert_eq!(body["txnAmount"], serde_json::json!({"value": "100.50", "currency": "INR"}));
    assert_eq!(body["callbackUrl"], "https://pay.example/return");
    let user = &body["userInfo"];
    assert_eq!((&user["mobile"], &user["firstName"]), (&"9876543210".into(), &"AshaRao".into()));
    assert_eq!(user["custId"], REFERENCE, "a customer without an id");
    assert_eq!(body["enablePaymentMode"], serde_json::json!([{"mode": "UPI"}]));
    let call = next(read(&operation, 0, 200, initiated().as_bytes()));
    assert!(call.moves_money);
    assert_eq!(call.request.url, format!("http://paytm.test/theia/api/v1/processTransaction{query}"));
    let sent_to: serde_json::Value = serde_json::from_slice(&call.request.body).unwrap();
    assert_eq!(sent_to["head"]["txnToken"], TOKEN);
    assert_eq!(sent_to["body"]["paymentMode"], "UPI_INTENT");
}

#[test]
fn refused_orders_took_nothing() {
    let operation = Operation::Charge(charge(intent(), 10_050));
    let refused = |status: u16, body: &str| class(&done(read(&operation, 0, status, body.as_bytes())));
    assert_eq!(refused(429, ""), "not taken processor_rate_limited");
    assert_eq!(refused(500, ""), "not taken processor_unavailable");
    assert_eq!(refused(200, "<html>"), "not taken processor_unavailable");
    let unsigned_order = unsigned(&format!(r#"{{{},"txnToken":"{TOKEN}"}}"#, result("S", "0000")));
    assert_eq!(refused(200, &unsigned_order), "not taken processor_unavailable");
    assert_eq!(refused(200, &initiated().replace(TOKEN, "x")), "not taken processor_unavailable");
    for (code, expected) in [
        ("2005", "not taken processor_rejected"),
        ("1001", "not taken processor_rejected"),
        ("196", "not taken limit_exceeded"),
        ("00000900", "not taken processor_unavailable"),
        ("2023", "unknown"),
        ("325", "unknown"),
    ] {
        assert_eq!(refused(200, &unsigned(&format!("{{{}}}", result("F", code)))), expected, "{code}");
    }
    // The order was known: an earlier request may have charged it.
    let known = signed(&format!(r#"{{{},"txnToken":"{TOKEN}"}}"#, result("S", "0002")));
    assert_eq!(refused(200, &known), "unknown");
}

#[test]
fn every_method_says_what_it_is() {
    let card = visa();
    let process = |instrument| {
        let operation = Operation::Charge(charge(instrument, 10_050));
        let modes = sent(&paytm().start(&operation).unwrap())["enablePaymentMode"].clone();
        let call = next(read(&operation, 0, 200, initiated().as_bytes()));
        assert!(!format!("{call:?}").contains("4111"));
        let sent: serde_json::Value = serde_json::from_slice(&call.request.body).unwrap();
        (modes, sent["body"].clone())
    };
    let (modes, body) = process(Instrument::Card(&card));
    assert_eq!(modes, serde_json::json!([{"mode": "DEBIT_CARD"}]));
    assert_eq!(body["cardInfo"], "|4111111111111111|123|032032");
    assert_eq!((&body["paymentMode"], &body["authMode"]), (&"DEBIT_CARD".into(), &"otp".into()));
    let (_, body) = process(Instrument::Upi { flow: UpiFlow::Collect, vpa: Some("asha@upi") });
    assert_eq!((&body["paymentMode"], &body["payerAccount"]), (&"UPI".into(), &"asha@upi".into()));
    let (modes, body) = process(Instrument::NetBanking { bank: "KKBK" });
    assert_eq!(modes, serde_json::json!([{"mode": "NET_BANKING", "channels": ["NKMB"]}]));
    assert_eq!((&body["paymentMode"], &body["channelCode"]), (&"NET_BANKING".into(), &"NKMB".into()));
    assert!(request::BANKS.iter().all(|(ours, _)| {
        tollgate_core::directory::find(&tollgate_core::directory::BANKS, ours).is_some()
    }));
}

#[test]
fn the_wallet_has_a_page_of_its_own() {
    let operation = Operation::Charge(charge(Instrument::Wallet { provider: "paytm" }, 10_050));
    let outcome = done(read(&operation, 0, 200, initiated().as_bytes()));
    let Outcome::ActionRequired { action: NextAction::Form { url, fields }, .. } = outcome else {
        panic!("{outcome:?}");
    };
    let page = format!("http://paytm.test/theia/api/v1/showPaymentPage?mid={MID}&orderId={REFERENCE}");
    assert_eq!(url, page);
    assert!(fields.contains(&("txnToken".to_owned(), TOKEN.to_owned())) && fields.len() == 3);
}

#[test]
fn what_it_cannot_do_is_not_sent() {
    let card = CardSecret {
        network_token: Some(tollgate_core::card::NetworkToken { cryptogram: Secret::new("c"), eci: None }),
        ..visa()
    };
    for instrument in [
        Instrument::Wallet { provider: "mobikwik" },
        Instrument::NetBanking { bank: "NONE" },
        Instrument::Upi { flow: UpiFlow::Collect, vpa: None },
        Instrument::Card(&card),
    ] {
        assert!(paytm().start(&Operation::Charge(charge(instrument, 100))).is_err(), "{instrument:?}");
    }
    let manual = Charge { capture: CaptureMode::Manual, ..charge(intent(), 100) };
    assert!(paytm().start(&Operation::Charge(manual)).is_err());
    let dollars = Charge { amount: Money::new(100, Currency::USD), ..charge(intent(), 100) };
    assert!(paytm().start(&Operation::Charge(dollars)).is_err());
    assert!(paytm().start(&Operation::Void { charge: handle(), reference: "v" }).is_err());
}

fn bank_form(method: &str, content: &str) -> String {
    unsigned(&format!(
        r#"{{{},"bankForm":{{"pageType":"redirect","isForceResendOtp":false,"redirectForm":{{"actionUrl":"https://bank.example/acs","method":"{method}","type":"redirect","headers":{{"Content-Type":"application/x-www-form-urlencoded"}},"content":{content}}}}}}}"#,
        result("S", "0000")
    ))
}

fn deep_link(order_id: &str, uri: &str) -> String {
    let link =
        format!(r#"{{"deepLink":"{uri}","orderId":"{order_id}","cashierRequestId":"1","transId":"2"}}"#);
    unsigned(&format!(r#"{{{},"deepLinkInfo":{link}}}"#, result("S", "0000")))
}

#[test]
fn the_customers_next_step() {
    let card = visa();
    let paid = |instrument, body: &str| {
        done(read(&Operation::Charge(charge(instrument, 10_050)), 1, 200, body.as_bytes()))
    };
    let action = |outcome| match outcome {
        Outcome::ActionRequired { action, .. } => action,
        other => panic!("{other:?}"),
    };
    let uri = "upi://pay?pa=sim@paytm&am=100.50".to_owned();
    let link = deep_link(REFERENCE, &uri);
    assert_eq!(action(paid(intent(), &link)), NextAction::UpiIntent { uri: uri.clone() });
    let qr = Instrument::Upi { flow: UpiFlow::Qr, vpa: None };
    assert_eq!(action(paid(qr, &link)), NextAction::UpiQr { uri: uri.clone() });
    assert_eq!(class(&paid(intent(), &deep_link("another", &uri))), "unknown");
    assert_eq!(class(&paid(intent(), &deep_link(REFERENCE, "javascript:alert(1)"))), "unknown");

    let collect = Instrument::Upi { flow: UpiFlow::Collect, vpa: Some("asha@upi") };
    assert_eq!(
        action(paid(collect, &bank_form("POST", r#"{"payerVpa":"asha@upi"}"#))),
        NextAction::UpiCollect
    );
    let url = "https://bank.example/acs".to_owned();
    let fields = vec![("MD".to_owned(), "5".to_owned()), ("PaReq".to_owned(), "eJx".to_owned())];
    let form = action(paid(Instrument::Card(&card), &bank_form("POST", r#"{"MD":5,"PaReq":"eJx"}"#)));
    assert_eq!(form, NextAction::Form { url, fields });
    let redirect = action(paid(Instrument::NetBanking { bank: "HDFC" }, &bank_form("GET", r#"{"a":"b c"}"#)));
    assert_eq!(redirect, NextAction::Redirect { url: "https://bank.example/acs?a=b+c".to_owned() });
}

/// Next actions are stored: no card may be in them, whatever Paytm sends.
#[test]
fn a_bank_form_with_the_card_is_not_passed_on() {
    let card = visa();
    let operation = Operation::Charge(charge(Instrument::Card(&card), 10_050));
    for content in [
        r#"{"pan":"4111111111111111"}"#,
        r#"{"cvv":"123"}"#,
        r#"{"data":"n=4111111111111111&x=1"}"#,
        r#"{"cvv":123}"#,
    ] {
        let outcome = done(read(&operation, 1, 200, bank_form("POST", content).as_bytes()));
        assert_eq!(class(&outcome), "unknown", "{content}");
        assert!(!format!("{outcome:?}").contains("4111"));
    }
}

#[test]
fn replies_to_a_payment() {
    let operation = Operation::Charge(charge(intent(), 10_050));
    let paid = |status: u16, body: &str| class(&done(read(&operation, 1, status, body.as_bytes())));
    assert_eq!(paid(429, "slow down"), "not taken processor_rate_limited");
    for status in [199, 400, 403, 500, 502, 503, 504] {
        assert_eq!(paid(status, ""), "unknown");
    }
    for body in ["", "{}", "<html>ok</html>", r#"{"body":{}}"#, r#"{"head":{},"body":[]}"#] {
        assert_eq!(paid(200, body), "unknown");
    }
    for (status, code, expected) in [
        ("F", "2005", "not taken processor_rejected"),
        ("F", "295", "declined instrument_invalid"),
        ("F", "227", "declined card_declined"),
        ("F", "235", "declined insufficient_funds"),
        ("F", "1006", "unknown"),
        ("F", "501", "unknown"),
        ("F", "9999", "unknown"),
        ("U", "00000900", "unknown"),
        ("PENDING", "402", "pending"),
        ("TXN_SUCCESS", "01", "unknown"),
        ("S", "01", "unknown"),
        ("S", "0000", "pending"),
    ] {
        assert_eq!(
            paid(200, &unsigned(&format!("{{{}}}", result(status, code)))),
            expected,
            "{status} {code}"
        );
    }
    let wrong = signed(&format!("{{{}}}", result("F", "227"))).replace("words", "other");
    assert_eq!(paid(200, &wrong), "unknown");
}

#[test]
fn a_payment_that_is_finished_at_once_is_signed() {
    let operation = Operation::Charge(charge(intent(), 10_050));
    let paid = |info: &str| {
        let body = unsigned(&format!(r#"{{{},"txnInfo":{info}}}"#, result("S", "01")));
        class(&done(read(&operation, 1, 200, body.as_bytes())))
    };
    let info = |status: &str, code: &str, order_id: &str| {
        let values = ["INR", MID, order_id, code, "words", status, "100.50", TXN];
        let hash = key().sign(values.join("|").as_bytes());
        format!(
            r#"{{"CURRENCY":"INR","MID":"{MID}","ORDERID":"{order_id}","RESPCODE":"{code}","RESPMSG":"words","STATUS":"{status}","TXNAMOUNT":"100.50","TXNID":"{TXN}","CHECKSUMHASH":"{hash}"}}"#
        )
    };
    assert_eq!(paid(&info("TXN_SUCCESS", "01", REFERENCE)), "captured");
    assert_eq!(paid(&info("TXN_FAILURE", "202", REFERENCE)), "declined insufficient_funds");
    assert_eq!(paid(&info("TXN_SUCCESS", "01", "another")), "unknown");
    assert_eq!(paid(&info("TXN_SUCCESS", "01", REFERENCE).replace("100.50", "1.50")), "unknown");
    assert_eq!(paid("[]"), "unknown");
}

#[test]
fn enquiries() {
    let enquired = |body: &str| class(&done(read(&enquire(), 0, 200, body.as_bytes())));
    for (status, code, with_signature, without) in [
        ("TXN_SUCCESS", "01", "captured", "unknown"),
        ("PENDING", "402", "pending", "unknown"),
        ("PENDING", "400", "pending", "unknown"),
        ("TXN_FAILURE", "227", "declined card_declined", "declined card_declined"),
        ("TXN_FAILURE", "141", "declined customer_cancelled", "declined customer_cancelled"),
        ("TXN_FAILURE", "130", "declined processor_risk_declined", "declined processor_risk_declined"),
        ("TXN_FAILURE", "7777", "declined card_declined", "declined card_declined"),
        ("TXN_FAILURE", "501", "unknown", "unknown"),
        ("TXN_FAILURE", "220", "unknown", "unknown"),
        ("TXN_FAILURE", "335", "unknown", "unknown"),
        ("NO_RECORD_FOUND", "331", "not found", "not found"),
        ("TXN_FAILURE", "334", "not found", "not found"),
        ("TXN_SUCCESS", "00", "unknown", "unknown"),
        ("S", "0000", "unknown", "unknown"),
    ] {
        let body = status_body(status, code);
        assert_eq!(enquired(&signed(&body)), with_signature, "{status} {code}");
        assert_eq!(enquired(&unsigned(&body)), without, "{status} {code} unsigned");
    }
    let success = status_body("TXN_SUCCESS", "01");
    let outcome = done(read(&enquire(), 0, 200, signed(&success).as_bytes()));
    assert_eq!(outcome, Outcome::Captured { processor_payment_id: TXN.to_owned(), amount_minor: 10_050 });
    assert_eq!(enquired(&signed(&success).replace("100.50", "1.00")), "unknown", "signature");
    for (ours, other) in [(REFERENCE, "another"), (MID, "another"), ("100.50", "0"), (TXN, "")] {
        assert_eq!(enquired(&signed(&success.replace(ours, other))), "unknown", "{ours}");
    }
    let failed = status_body("TXN_FAILURE", "227").replace(REFERENCE, "another");
    assert_eq!(enquired(&signed(&failed)), "unknown", "another order's failure");
    assert_eq!(class(&done(read(&enquire(), 0, 503, b""))), "unknown");
}

#[test]
fn refunds_name_the_transaction() {
    let call = paytm().start(&refund()).unwrap();
    assert!(!call.moves_money && call.request.url.ends_with("/v3/order/status"));
    let found = signed(&status_body("TXN_SUCCESS", "01"));
    let call = next(read(&refund(), 0, 200, found.as_bytes()));
    assert!(call.moves_money && call.request.url.ends_with("/refund/apply"));
    let body = sent(&call);
    assert_eq!((&body["txnId"], &body["refId"]), (&TXN.into(), &REFUND.into()));
    assert_eq!((&body["refundAmount"], &body["txnType"]), (&"40.00".into(), &"REFUND".into()));
    let known = Operation::Refund {
        charge: ChargeHandle { processor_payment_id: Some(TXN), ..handle() },
        reference: REFUND,
        amount: Money::new(1, Currency::INR),
    };
    let call = paytm().start(&known).unwrap();
    assert!(call.moves_money && call.step.index == 1);
    for (body, expected) in [
        (signed(&status_body("TXN_FAILURE", "227")), "not taken processor_rejected"),
        (signed(&status_body("PENDING", "402")), "not taken processor_rejected"),
        (signed(&status_body("NO_RECORD_FOUND", "331")), "not taken processor_rejected"),
        ("<html>".to_owned(), "not taken processor_unavailable"),
    ] {
        assert_eq!(class(&done(read(&refund(), 0, 200, body.as_bytes()))), expected);
    }
}

#[test]
fn refunds_are_taken_on_and_done_later() {
    let applied = |body: &str| class(&done(read(&refund(), 1, 200, body.as_bytes())));
    assert_eq!(applied(&signed(&refund_body("PENDING", "601"))), "pending");
    assert_eq!(applied(&unsigned(&refund_body("PENDING", "601"))), "unknown");
    assert_eq!(applied(&signed(&refund_body("PENDING", "601").replace(REFUND, "x"))), "unknown");
    assert_eq!(applied(&signed(&refund_body("PENDING", "501"))), "unknown");
    for (code, expected) in [
        ("619", "declined processor_rejected"),
        ("620", "declined processor_rejected"),
        ("607", "declined processor_rejected"),
        ("626", "not taken processor_unavailable"),
        ("330", "not taken processor_rejected"),
        ("617", "unknown"),
        ("629", "unknown"),
        ("9", "unknown"),
    ] {
        assert_eq!(applied(&unsigned(&format!("{{{}}}", result("TXN_FAILURE", code)))), expected, "{code}");
    }
    assert_eq!(class(&done(read(&refund(), 1, 500, b""))), "unknown");
    assert_eq!(class(&done(read(&refund(), 1, 429, b""))), "not taken processor_rate_limited");

    let asked = |body: &str| class(&done(read(&enquire_refund(), 0, 200, body.as_bytes())));
    assert_eq!(asked(&signed(&refund_body("TXN_SUCCESS", "10"))), "refunded");
    assert_eq!(asked(&unsigned(&refund_body("TXN_SUCCESS", "10"))), "unknown");
    assert_eq!(asked(&signed(&refund_body("TXN_SUCCESS", "10")).replace("40.00", "1.00")), "unknown");
    assert_eq!(asked(&signed(&refund_body("TXN_SUCCESS", "10").replace(REFUND, "x"))), "unknown");
    assert_eq!(asked(&signed(&refund_body("PENDING", "601"))), "pending");
    assert_eq!(asked(&signed(&refund_body("TXN_FAILURE", "628"))), "pending");
    assert_eq!(asked(&signed(&refund_body("TXN_FAILURE", "600"))), "declined processor_rejected");
    assert_eq!(asked(&signed(&refund_body("TXN_FAILURE", "631"))), "not found");
    assert_eq!(asked(&signed(&refund_body("TXN_FAILURE", "335"))), "unknown");
    assert_eq!(asked(&signed(&refund_body("PENDING", "501"))), "unknown");
}

#[test]
fn payment_webhooks_and_callbacks() {
    let said = |body: &str| match webhook(body) {
        Ok(message) => class(&message.subject.unwrap().outcome),
        Err(error) => format!("{error:?}"),
    };
    assert_eq!(said(&notice("TXN_SUCCESS", "01", |_| {})), "captured");
    assert_eq!(said(&notice("TXN_FAILURE", "141", |_| {})), "declined customer_cancelled");
    assert_eq!(said(&notice("PENDING", "402", |_| {})), "pending");
    assert_eq!(said(&notice("TXN_FAILURE", "501", |_| {})), "unknown");
    assert_eq!(said(&notice("TXN_SUCCESS", "01", |fields| fields[0].1 = "USD".to_owned())), "unknown");
    assert_eq!(said(&notice("TXN_SUCCESS", "01", |fields| fields[1].1 = "OTHER".to_owned())), "Signature");
    assert_eq!(said(&notice("TXN_SUCCESS", "01", |fields| fields[2].1.clear())), "Malformed");
    // A value with the separator could be two values.
    assert_eq!(said(&notice("TXN_SUCCESS", "01", |fields| fields[4].1 = "a|b".to_owned())), "Signature");
    assert_eq!(said(""), "Signature");
    assert_eq!(said("ORDERID=x&STATUS=TXN_SUCCESS&RESPCODE=01"), "Signature");

    let body = notice("TXN_SUCCESS", "01", |_| {});
    assert!(matches!(callback(REFERENCE, &body), Ok(Callback::Says(Outcome::Captured { .. }))));
    assert_eq!(callback("another", &body), Err(WebhookError::Signature));
    assert_eq!(callback(REFERENCE, ""), Ok(Callback::Ask));
    assert_eq!(callback(REFERENCE, "STATUS=TXN_SUCCESS"), Ok(Callback::Ask));
    assert_eq!(callback(REFERENCE, &notice("TXN_FAILURE", "501", |_| {})), Ok(Callback::Ask));
    let twice = format!("{body}&STATUS=TXN_SUCCESS");
    assert_eq!(callback(REFERENCE, &twice), Err(WebhookError::Signature));
    let renamed = notice("TXN_FAILURE", "227", |_| {}).replace("STATUS", "status");
    assert_eq!(callback(REFERENCE, &renamed), Err(WebhookError::Signature));
}

#[test]
fn refund_webhooks() {
    let body = |more: &str| {
        format!(
            r#"{{"txnId":"{TXN}","orderId":"{REFERENCE}","mid":"{MID}","refundAmount":"40.00","refId":"{REFUND}","refundId":"20261121R1"{more}}}"#
        )
    };
    let said = |text: &str| webhook(text).map(|message| message.subject.unwrap());
    let done = body(r#","userCreditInitiateTimestamp":"2026-11-21 16:52:10.0""#);
    let subject = said(&signed(&done)).unwrap();
    assert_eq!(subject.reference, REFUND);
    let refunded = Outcome::Refunded { processor_refund_id: "20261121R1".to_owned(), amount_minor: 4_000 };
    assert_eq!(subject.outcome, refunded);
    assert_eq!(class(&said(&signed(&body(r#","status":"SUCCESS""#))).unwrap().outcome), "pending");
    let failed = body(r#","status":"FAILED","rejectRefundReasonCode":"1""#);
    assert_eq!(class(&said(&signed(&failed)).unwrap().outcome), "declined processor_rejected");
    assert_eq!(said(&unsigned(&done)), Err(WebhookError::Signature));
    assert_eq!(said(&signed(&done).replace("40.00", "90.00")), Err(WebhookError::Signature));
    assert_eq!(said(&signed(&done.replace(MID, "OTHER"))), Err(WebhookError::Signature));
    assert_eq!(said(&signed(&body(""))), Err(WebhookError::Malformed));
    assert_eq!(said(&signed("{}")), Err(WebhookError::Malformed));
}

/// Rupees read back by other means than the connector's.
fn paise(value: &serde_json::Value) -> i64 {
    let (whole, fraction) = value.as_str().unwrap().split_once('.').unwrap();
    assert_eq!(fraction.len(), 2);
    whole.parse::<i64>().unwrap() * 100 + fraction.parse::<i64>().unwrap()
}

fn is_success_outcome(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Authorized { .. } | Outcome::Captured { .. } | Outcome::Refunded { .. } | Outcome::Voided
    )
}

proptest! {
    #[test]
    fn the_amount_on_the_wire_is_ours(minor in 1_i64..=1_000_000_000_000) {
        let card = visa();
        for rule in &paytm().capabilities.methods {
            prop_assert_eq!(&rule.currencies, &vec![Currency::INR]);
            let instrument = match rule.family {
                MethodFamily::Card => Instrument::Card(&card),
                MethodFamily::UpiQr => Instrument::Upi { flow: UpiFlow::Qr, vpa: None },
                MethodFamily::UpiCollect => Instrument::Upi { flow: UpiFlow::Collect, vpa: Some("a@upi") },
                MethodFamily::Wallet => Instrument::Wallet { provider: "paytm" },
                MethodFamily::NetBanking => Instrument::NetBanking { bank: "SBIN" },
                _ => intent(),
            };
            let call = paytm().start(&Operation::Charge(charge(instrument, minor))).unwrap();
            prop_assert_eq!(paise(&sent(&call)["txnAmount"]["value"]), minor);
        }
        let charge = ChargeHandle { processor_payment_id: Some(TXN), ..handle() };
        let amount = Money::new(minor, Currency::INR);
        let call = paytm().start(&Operation::Refund { charge, reference: REFUND, amount }).unwrap();
        prop_assert_eq!(paise(&sent(&call)["refundAmount"]), minor);
    }

    #[test]
    fn any_bytes_are_answered_and_never_success(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        status in prop::sample::select(vec![200_u16, 201, 302, 400, 401, 429, 500, 503]),
        index in 0_u8..3,
    ) {
        let card = visa();
        let operations = [
            Operation::Charge(charge(Instrument::Card(&card), 10_050)),
            Operation::Charge(charge(intent(), 10_050)),
            refund(),
            enquire(),
            enquire_refund(),
            Operation::Void { charge: handle(), reference: "v" },
        ];
        for operation in &operations {
            if let Progress::Done(outcome) = read(operation, index, status, &bytes) {
                prop_assert!(!is_success_outcome(&outcome), "{:?}", outcome);
            }
        }
        let request = WebhookRequest { header: &|_| None, body: &bytes };
        let refused = paytm().webhook(&request).is_err();
        prop_assert!(refused);
        let request = CallbackRequest { reference: REFERENCE, query: "", body: &bytes };
        let said = matches!(paytm().callback(&request), Ok(Callback::Says(_)));
        prop_assert!(!said);
    }

    #[test]
    fn a_changed_byte_of_a_signed_message_is_refused(place in any::<prop::sample::Index>(), to in any::<u8>()) {
        let original = signed(&status_body("TXN_SUCCESS", "01"));
        let mut changed = original.clone().into_bytes();
        let place = place.index(changed.len());
        changed[place] = to;
        let outcome = done(read(&enquire(), 0, 200, &changed));
        if changed != original.as_bytes() {
            // Outside of body and signature a change may leave the message as it is.
            let same = Outcome::Captured { processor_payment_id: TXN.to_owned(), amount_minor: 10_050 };
            prop_assert!(!is_success_outcome(&outcome) || outcome == same, "{:?}", outcome);
        }
        let original = notice("TXN_FAILURE", "227", |_| {});
        let mut changed = original.into_bytes();
        let place = place % changed.len();
        changed[place] = to;
        if let Ok(message) = paytm().webhook(&WebhookRequest { header: &|_| None, body: &changed }) {
            let subject = message.subject.unwrap();
            prop_assert_eq!(subject.reference, REFERENCE);
            prop_assert!(!is_success_outcome(&subject.outcome));
        }
    }

    #[test]
    fn signatures_verify_and_no_others(payload in proptest::collection::vec(any::<u8>(), 0..200), salt in "[!-~]{4}") {
        let salt: [u8; 4] = salt.as_bytes().try_into().unwrap();
        prop_assert!(key().verifies(&payload, &key().sign(&payload)));
        let given = key().sign_with_salt(&payload, salt);
        prop_assert!(key().verifies(&payload, &given));
        let other = MerchantKey::try_from(Secret::new("another--merkey!")).unwrap();
        prop_assert!(!other.verifies(&payload, &given));
        let mut longer = payload.clone();
        longer.push(b'x');
        prop_assert!(!key().verifies(&longer, &given));
    }
}
