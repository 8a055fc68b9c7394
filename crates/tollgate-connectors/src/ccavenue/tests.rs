//! Known-answer vectors were computed with `openssl enc -aes-128-cbc` and Python's `hashlib.md5`;
//! replies are those of CCAvenue's API guide with our numbers in them. Property tests try to make
//! nonsense read as success.

use super::*;
use crate::form::Fields;
use crate::{Charge, Customer};
use proptest::prelude::*;
use tollgate_core::card::{CardNumber, CardSecret, Cvc};
use tollgate_core::emi::EmiPlan;
use tollgate_core::method::{CaptureMode, Instrument, MethodKind, UpiFlow};
use tollgate_core::money::Money;

const REFERENCE: &str = "0NbrhPvkMxYDJYWqCuIRUT";
const REFUND: &str = "0NbrhPvkMxYDJYWqCuIRUZ";
const NUMBER: &str = "204000163469";

fn account(manual_confirmation: bool) -> CcAvenue {
    CcAvenue::new(CcAvenueAccount {
        merchant_id: "45990".to_owned(),
        access_code: "AVYR05ML69BN93RYNB".to_owned(),
        working_key: Secret::new("4R38IvwiV57FwVpsgOvTXBdLE4tHUXFW"),
        payment_url: "http://page.test/".to_owned(),
        api_url: "http://api.test/".to_owned(),
        manual_confirmation,
        page_retries: false,
        default_return_url: default_return_url(),
    })
}

fn charge(instrument: Instrument<'_>, amount: Money, capture: CaptureMode) -> Charge<'_> {
    Charge {
        reference: REFERENCE,
        amount,
        capture,
        method: MethodKind::Card,
        instrument,
        customer: Customer { name: Some("Asha&Rao"), email: Some("asha@example.com"), ..Customer::default() },
        description: None,
        return_url: Some("https://gateway.test/return"),
        webhook_url: None,
        mandate: None,
        statement_descriptor: None,
        challenge: false,
    }
}

fn inr(minor: i64) -> Money {
    Money::new(minor, Currency::INR)
}

fn upi() -> Charge<'static> {
    charge(Instrument::Upi { flow: UpiFlow::Intent, vpa: None }, inr(10_050), CaptureMode::Automatic)
}

fn handle(amount: Money) -> ChargeHandle<'static> {
    ChargeHandle { reference: REFERENCE, processor_payment_id: None, amount }
}

fn read(account: &CcAvenue, operation: &Operation<'_>, index: u8, status: u16, body: &[u8]) -> Progress {
    let step = Step { index, carry: (index > 0).then(|| NUMBER.to_owned()) };
    account.read(operation, &step, &HttpResponse { status, body })
}

fn done(progress: Progress) -> Outcome {
    match progress {
        Progress::Done(outcome) => outcome,
        Progress::Next(call) => panic!("another exchange: {:?}", call.request),
    }
}

fn next(progress: Progress) -> Box<Call> {
    match progress {
        Progress::Next(call) => call,
        Progress::Done(outcome) => panic!("{outcome:?}"),
    }
}

/// An answer of the API.
fn sealed(plain: &str) -> Vec<u8> {
    let inner = account(false).cipher.encrypt(plain.as_bytes());
    format!("status=0&enc_response={inner}\r\n&enc_error_code=").into_bytes()
}

/// What a request of ours says.
fn opened(call: &Call) -> (String, serde_json::Value) {
    let fields = Fields::parse(&call.request.body).unwrap();
    let plain = account(false).cipher.decrypt(fields.get("enc_request").unwrap()).unwrap();
    (fields.get("command").unwrap().to_owned(), serde_json::from_str(&plain).unwrap())
}

fn order(status: &str, captured: &str) -> String {
    format!(
        r#"{{"reference_no":"{NUMBER}","order_no":"{REFERENCE}","order_currncy":"INR","order_amt":100.5,"order_date_time":"2015-09-16 15:05:55.573","order_status":"{status}","order_capt_amt":{captured},"order_gross_amt":100.5,"order_bank_response":"Insufficient Funds","order_option_type":"OPTUPI","error_desc":"","status":0,"error_code":""}}"#
    )
}

const NO_RECORD: &str = r#"{"error_desc":"Order List: Invalid Parameter","error_code":"51313","status":1}"#;

fn is_success_outcome(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Authorized { .. } | Outcome::Captured { .. } | Outcome::Refunded { .. } | Outcome::Voided
    )
}

fn captured(amount_minor: i64) -> Outcome {
    Outcome::Captured { processor_payment_id: NUMBER.to_owned(), amount_minor }
}

#[test]
fn status_request_known_answer() {
    let call = account(false).start(&Operation::Charge(upi())).unwrap();
    assert_eq!(call.request.url, "http://api.test/apis/servlet/DoWebTrans");
    assert!(!call.moves_money && !call.needs_login);
    let fields = Fields::parse(&call.request.body).unwrap();
    assert_eq!(fields.get("enc_request"), Some(STATUS_REQUEST));
    assert_eq!(fields.get("access_code"), Some("AVYR05ML69BN93RYNB"));
    assert_eq!((fields.get("command"), fields.get("version")), (Some("orderStatusTracker"), Some("1.2")));
    assert_eq!((fields.get("request_type"), fields.get("response_type")), (Some("JSON"), Some("JSON")));
    assert!(!format!("{:?} {call:?}", account(false)).contains("4R38"));
}

#[test]
fn form_known_answer() {
    let outcome = done(read(&account(false), &Operation::Charge(upi()), 0, 200, &sealed(NO_RECORD)));
    let Outcome::ActionRequired { processor_payment_id: None, action } = outcome else {
        panic!("{outcome:?}");
    };
    let NextAction::Form { url, fields } = action else { panic!("{action:?}") };
    assert_eq!(url, "http://page.test/transaction/transaction.do?command=initiateTransaction");
    let expected = [("encRequest", FORM), ("access_code", "AVYR05ML69BN93RYNB")];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn an_order_is_begun_only_when_it_is_provably_new() {
    let operation = Operation::Charge(upi());
    let read = |status, body: &[u8]| done(read(&account(false), &operation, 0, status, body));
    for refused in ["51308", "51419"] {
        let body = format!("status=1&enc_response=Enc_request: No record found&enc_error_code={refused}");
        assert!(matches!(read(200, body.as_bytes()), Outcome::ActionRequired { .. }));
    }
    let wrong_account = b"status=1&enc_response=Access_code: Invalid Parameter&enc_error_code=51407.";
    let Outcome::NotTaken(failure) = read(200, wrong_account) else { panic!() };
    assert_eq!(failure.code, FailureCode::ProcessorRejected);
    assert_eq!(failure.processor_code.as_deref(), Some("51407"));
    let Outcome::NotTaken(failure) = read(429, b"slow down") else { panic!() };
    assert_eq!(failure.code, FailureCode::ProcessorRateLimited);
    for (status, body) in [(500, &b""[..]), (200, b"<html>"), (200, b"status=0&enc_response=zz")] {
        let Outcome::NotTaken(failure) = read(status, body) else { panic!() };
        assert_eq!(failure.code, FailureCode::ProcessorUnavailable);
    }
    // Somebody was there already: it is what it is, and nothing new begins.
    assert_eq!(read(200, &sealed(&order("Shipped", "100.5"))), captured(10_050));
    assert!(matches!(read(200, &sealed(&order("Initiated", "0.0"))), Outcome::Pending { .. }));
}

#[test]
fn the_card_is_not_in_the_form() {
    let card = CardSecret {
        number: CardNumber::parse("4111111111111111").unwrap(),
        exp_month: 3,
        exp_year: 2030,
        cvc: Some(Cvc::parse("987").unwrap()),
        holder: Some("Asha Rao".to_owned()),
        network_token: None,
    };
    let plan = EmiPlan {
        bank: "HDFC".to_owned(),
        tenure_months: 6,
        annual_rate_bps: 1_500,
        no_cost: false,
        instalment_minor: 1_700,
        last_instalment_minor: 1_700,
        interest_minor: 150,
        subvention_minor: 0,
    };
    let option = |instrument, method| {
        let charge = Charge { method, ..charge(instrument, inr(10_000), CaptureMode::Automatic) };
        let fields = form::fields(&account(false), &charge).unwrap();
        let plain = account(false).cipher.decrypt(&fields[0].1).unwrap();
        assert!(!plain.contains("4111") && !plain.contains("987") && !plain.contains("2030"), "{plain}");
        Fields::parse(plain.as_bytes()).unwrap().get("payment_option").unwrap().to_owned()
    };
    assert_eq!(option(Instrument::Card(&card), MethodKind::CreditCard), "OPTCRDC");
    assert_eq!(option(Instrument::Card(&card), MethodKind::DebitCard), "OPTDBCRD");
    assert_eq!(option(Instrument::Emi { card: &card, plan: &plan }, MethodKind::Emi), "OPTEMI");
    assert_eq!(option(Instrument::Wallet { provider: "paytm" }, MethodKind::Wallet), "OPTWLT");
    assert_eq!(option(Instrument::NetBanking { bank: "HDFC" }, MethodKind::NetBanking), "OPTNBK");
    let no_cost = EmiPlan { no_cost: true, ..plan };
    let emi = Instrument::Emi { card: &card, plan: &no_cost };
    let refused = account(false).start(&Operation::Charge(charge(emi, inr(10_000), CaptureMode::Automatic)));
    assert!(matches!(refused, Err(BuildError::Unsupported { .. })));
}

#[test]
fn capture_goes_with_the_account() {
    let build =
        |manual, capture| account(manual).start(&Operation::Charge(Charge { capture, ..upi() })).map(drop);
    assert!(build(false, CaptureMode::Automatic).is_ok() && build(true, CaptureMode::Manual).is_ok());
    assert!(build(false, CaptureMode::Manual).is_err() && build(true, CaptureMode::Automatic).is_err());
    let manual = |manual| account(manual).capabilities().methods.iter().all(|rule| rule.manual_capture);
    assert!(manual(true) && !manual(false));
    let dollars = Charge { amount: Money::new(100, Currency::USD), ..upi() };
    assert!(account(false).start(&Operation::Charge(dollars)).is_err());
}

#[test]
fn states_of_an_order() {
    let enquiry = Operation::EnquireCharge { charge: handle(inr(10_050)) };
    let read_as = |manual, body: &str| done(read(&account(manual), &enquiry, 0, 200, &sealed(body)));
    let authorized = Outcome::Authorized { processor_payment_id: NUMBER.to_owned(), amount_minor: 10_050 };
    assert_eq!(read_as(true, &order("Successful", "0.0")), authorized);
    assert_eq!(read_as(false, &order("Successful", "0.0")), captured(10_050));
    for confirmed in ["Shipped", "Refunded", "Chargeback"] {
        assert_eq!(read_as(true, &order(confirmed, "40.0")), captured(4_000));
        assert_eq!(read_as(false, &order(confirmed, "0.0")), captured(10_050));
        // How much was confirmed is not said.
        assert!(matches!(read_as(true, &order(confirmed, "0.0")), Outcome::Unknown(_)));
    }
    for waiting in ["Initiated", "Awaited"] {
        assert!(matches!(read_as(false, &order(waiting, "0.0")), Outcome::Pending { .. }));
    }
    for (refused, code) in [
        ("Unsuccessful", FailureCode::InsufficientFunds),
        ("Aborted", FailureCode::CustomerCancelled),
        ("Timeout", FailureCode::CustomerCancelled),
        ("Invalid", FailureCode::ProcessorRejected),
    ] {
        let Outcome::Declined(failure) = read_as(false, &order(refused, "0.0")) else { panic!("{refused}") };
        assert_eq!(failure.code, code);
    }
    for returned in ["Cancelled", "Auto-Cancelled"] {
        assert_eq!(read_as(true, &order(returned, "0.0")), Outcome::Voided);
    }
    for doubtful in ["Auto-Reversed", "System refund", "Fraud", "Success ful!", ""] {
        let outcome = read_as(false, &order(doubtful, "100.5"));
        assert_eq!(matches!(outcome, Outcome::Unknown(_)), doubtful != "Success ful!", "{outcome:?}");
    }
    assert_eq!(read_as(false, NO_RECORD), Outcome::NotFound);
    let wrapped = format!(r#"{{"Order_Status_Result":{}}}"#, order("Shipped", "100.5"));
    assert_eq!(read_as(false, &wrapped), captured(10_050));
    // Java writes large numbers with an exponent.
    let large = order("Shipped", "100.5").replace("100.5", "1.2345678E7");
    assert_eq!(read_as(false, &large), captured(1_234_567_800));
}

#[test]
fn a_refusal_is_not_the_end_where_the_page_offers_another_try() {
    let account = CcAvenue { page_retries: true, ..account(false) };
    let enquiry = Operation::EnquireCharge { charge: handle(inr(10_050)) };
    let state = |status| done(read(&account, &enquiry, 0, 200, &sealed(&order(status, "0.0"))));
    assert!(matches!(state("Unsuccessful"), Outcome::Pending { .. }));
    assert!(matches!(state("Aborted"), Outcome::Declined(_)));
    assert_eq!(state("Shipped"), captured(10_050));
}

#[test]
fn an_answer_about_something_else_proves_nothing() {
    let enquiry = Operation::EnquireCharge { charge: handle(inr(10_050)) };
    let shipped = order("Shipped", "100.5");
    for wrong in [
        shipped.replace(REFERENCE, REFUND),
        shipped.replace("INR", "USD"),
        shipped.replace(NUMBER, "20400016346x"),
        shipped.replace(r#""status":0"#, r#""status":1"#),
        shipped.replace(r#""error_code":"""#, r#""error_code":"51420""#),
        shipped.replace("100.5", "100.505"),
    ] {
        let outcome = done(read(&account(false), &enquiry, 0, 200, &sealed(&wrong)));
        assert!(matches!(outcome, Outcome::Unknown(_)), "{wrong} {outcome:?}");
    }
    // Asked for by CCAvenue's own number too, the answer must carry that one.
    let charge = ChargeHandle { processor_payment_id: Some("204000163470"), ..handle(inr(10_050)) };
    let call = account(false).start(&Operation::EnquireCharge { charge }).unwrap();
    let expected = serde_json::json!({"order_no": REFERENCE, "reference_no": "204000163470"});
    assert_eq!(opened(&call).1, expected);
    let outcome =
        done(read(&account(false), &Operation::EnquireCharge { charge }, 0, 200, &sealed(&shipped)));
    assert!(matches!(outcome, Outcome::Unknown(_)));
    for status in [429, 500, 503] {
        assert!(matches!(done(read(&account(false), &enquiry, 0, status, b"")), Outcome::Unknown(_)));
    }
}

#[test]
fn capture_and_void() {
    let account = account(true);
    let capture = Operation::Capture { charge: handle(inr(10_050)), reference: REFUND, amount: inr(10_050) };
    let void = Operation::Void { charge: handle(inr(10_050)), reference: REFUND };
    let held = sealed(&order("Successful", "0.0"));
    for (operation, command, after, expected) in [
        (&capture, "confirmOrder", order("Shipped", "100.5"), captured(10_050)),
        (&void, "cancelOrder", order("Cancelled", "0.0"), Outcome::Voided),
    ] {
        let call = next(read(&account, operation, 0, 200, &held));
        assert!(call.moves_money);
        let list = serde_json::json!({"order_List": [{"reference_no": NUMBER, "amount": "100.50"}]});
        assert_eq!(opened(&call), (command.to_owned(), list));
        let accepted = r#"{"failed_List":[],"error_desc":"","success_count":1,"error_code":""}"#;
        let call = next(read(&account, operation, 1, 200, &sealed(accepted)));
        assert!(call.moves_money, "it follows one that did");
        assert_eq!(done(read(&account, operation, 2, 200, &sealed(&after))), expected);
        // Accepted, and not seen yet.
        assert!(matches!(done(read(&account, operation, 2, 200, &held)), Outcome::Pending { .. }));
        assert!(matches!(done(read(&account, operation, 2, 500, b"")), Outcome::Pending { .. }));
        let failed = |code: &str, reference_no: &str| {
            let body = format!(
                r#"{{"failed_List":[{{"reference_no":"{reference_no}","reason":" Invalid\norder ","error_code":"{code}"}}],"error_desc":"","success_count":0,"error_code":""}}"#
            );
            read(&account, operation, 1, 200, &sealed(&body))
        };
        next(failed("51301", NUMBER));
        assert!(matches!(done(failed("51304 ", NUMBER)), Outcome::Declined(_)));
        assert!(matches!(done(failed("51305", NUMBER)), Outcome::NotTaken(_)));
        assert!(matches!(done(failed("51420", NUMBER)), Outcome::Unknown(_)));
        assert!(matches!(done(failed("51304", "204000163470")), Outcome::Unknown(_)));
        assert!(matches!(done(read(&account, operation, 1, 502, b"")), Outcome::Unknown(_)));
        assert!(matches!(done(read(&account, operation, 1, 429, b"")), Outcome::NotTaken(_)));
        let waiting = sealed(&order("Initiated", "0.0"));
        assert!(matches!(done(read(&account, operation, 0, 200, &waiting)), Outcome::NotTaken(_)));
        assert!(matches!(done(read(&account, operation, 0, 200, &sealed(NO_RECORD))), Outcome::NotTaken(_)));
    }
    let shipped = sealed(&order("Shipped", "100.5"));
    assert_eq!(done(read(&account, &capture, 0, 200, &shipped)), captured(10_050));
    assert!(matches!(done(read(&account, &void, 0, 200, &shipped)), Outcome::Declined(_)));
    let part = Operation::Capture { charge: handle(inr(10_050)), reference: REFUND, amount: inr(50) };
    assert!(account.start(&part).is_err());
}

fn refunds(status: &str) -> String {
    format!(
        r#"{{"refund_list":[{{"refund_amt":"1.00","refund_bank_ref_no":"2491","refund_mer_ref_no":"A1","refund_status":"TS-REFC"}},{{"refund_amt":"50.00","refund_issue_date":"2014-09-12 15:11:13.99","refund_bank_ref_no":"2493","refund_mer_ref_no":"{REFUND}","refund_status":"{status}"}}],"reference_no":"{NUMBER}","order_no":"{REFERENCE}","order_amt":"100.50","order_curr":"INR","order_status":"Refunded","error_desc":"","error_code":""}}"#
    )
}

#[test]
fn refund_from_reference_to_refunded() {
    let account = account(false);
    let (charge, amount) = (handle(inr(10_050)), inr(5_000));
    let refund = Operation::Refund { charge, reference: REFUND, amount };
    let call = next(read(&account, &refund, 0, 200, &sealed(&order("Shipped", "100.5"))));
    assert!(call.moves_money);
    let (command, request) = opened(&call);
    assert_eq!(command, "refundOrder");
    let expected =
        serde_json::json!({"reference_no": NUMBER, "refund_amount": "50.00", "refund_ref_no": REFUND});
    assert_eq!(request, expected);
    let accepted = sealed(r#"{"reason":"","error_code":"","refund_status":0}"#);
    let call = next(read(&account, &refund, 1, 200, &accepted));
    assert_eq!(opened(&call), ("getRefundDetails".to_owned(), serde_json::json!({"reference_no": NUMBER})));
    assert!(call.moves_money);
    let refunded = Outcome::Refunded { processor_refund_id: "2493".to_owned(), amount_minor: 5_000 };
    assert_eq!(done(read(&account, &refund, 2, 200, &sealed(&refunds("TS-REFC")))), refunded);
    assert!(matches!(done(read(&account, &refund, 2, 500, b"")), Outcome::Pending { .. }));

    let answered = |code: &str| {
        let body = format!(r#"{{"reason":"Refund not allowed.","error_code":"{code}","refund_status":1}}"#);
        read(&account, &refund, 1, 200, &sealed(&body))
    };
    assert!(matches!(done(answered("51314")), Outcome::Declined(_)));
    assert!(matches!(done(answered("51420")), Outcome::Unknown(_)));
    assert!(matches!(done(answered("")), Outcome::Unknown(_)));
    next(answered("51309"));
    let authorized = sealed(&order("Initiated", "0.0"));
    assert!(matches!(done(read(&account, &refund, 0, 200, &authorized)), Outcome::NotTaken(_)));

    let enquiry = Operation::EnquireRefund { charge, reference: REFUND, amount };
    next(read(&account, &enquiry, 0, 200, &sealed(&order("Refunded", "100.5"))));
    let list = |body: &str| done(read(&account, &enquiry, 1, 200, &sealed(body)));
    assert_eq!(list(&refunds("TS-REFC")), refunded);
    assert!(matches!(list(&refunds("TS-REFA")), Outcome::Pending { .. }));
    assert!(matches!(list(&refunds("TS-REFF")), Outcome::Declined(_)));
    assert!(matches!(list(&refunds("TS-REFD")), Outcome::Declined(_)));
    assert!(matches!(list(&refunds("TS-NEW")), Outcome::Unknown(_)));
    assert_eq!(list(&refunds("TS-REFC").replace(REFUND, "A2")), Outcome::NotFound);
    assert!(matches!(list(&refunds("TS-REFC").replace("A1", REFUND)), Outcome::Unknown(_)));
    assert!(matches!(list(&refunds("TS-REFC").replace(NUMBER, "1")), Outcome::Unknown(_)));
    assert!(matches!(list(&refunds("TS-REFC").replace(REFERENCE, "other")), Outcome::Unknown(_)));
    let none = format!(
        r#"{{"reference_no":"{NUMBER}","order_no":"","order_amt":"","order_curr":"","order_status":"","error_desc":"Enc_request: No record found for given criteria.","error_code":"51419"}}"#
    );
    assert_eq!(list(&none), Outcome::NotFound);
    assert_eq!(done(read(&account, &enquiry, 0, 200, &sealed(NO_RECORD))), Outcome::NotFound);
}

/// What CCAvenue sends through the browser.
fn message(plain: &str) -> Vec<u8> {
    let inner = account(false).cipher.encrypt(plain.as_bytes());
    format!("encResp={inner}&orderNo={REFERENCE}&crossSellUrl=").into_bytes()
}

fn outcome_text() -> String {
    format!(
        "order_id={REFERENCE}&tracking_id={NUMBER}&bank_ref_no=035944&order_status=Success&failure_message=&payment_mode=Unified Payments&card_name=UPI&status_code=0&status_message=Transaction Successful&currency=INR&amount=100.50&billing_name=Asha Rao&trans_date=16/09/2015 15:05:55"
    )
}

fn webhook(body: &[u8]) -> Result<WebhookMessage, WebhookError> {
    account(false).webhook(&WebhookRequest { header: &|_| None, body })
}

fn callback(reference: &str, body: &[u8]) -> Result<Callback, WebhookError> {
    account(false).callback(&CallbackRequest { reference, query: "", body })
}

#[test]
fn messages_only_make_us_ask() {
    let genuine = message(&outcome_text());
    assert_eq!(callback(REFERENCE, &genuine), Ok(Callback::Ask));
    assert_eq!(callback(REFERENCE, b""), Ok(Callback::Ask));
    assert_eq!(callback(REFUND, &genuine), Err(WebhookError::Signature));
    let subject = webhook(&genuine).unwrap().subject.unwrap();
    assert_eq!(subject.reference, REFERENCE);
    assert_eq!(subject.outcome, Outcome::Pending { processor_payment_id: None });
    let twice = message(&format!("{}&order_id=other", outcome_text()));
    let about_nothing = message("order_id=x");
    let of_another_key = {
        let inner = Cipher::new("another").encrypt(outcome_text().as_bytes());
        format!("encResp={inner}").into_bytes()
    };
    let other_number = String::from_utf8(genuine).unwrap().replace("orderNo=0", "orderNo=1").into_bytes();
    let plain = format!("order_id={REFERENCE}&order_status=Success").into_bytes();
    for forged in [twice, about_nothing, of_another_key, other_number, plain, b"encResp=00".to_vec()] {
        assert_eq!(callback(REFERENCE, &forged), Err(WebhookError::Signature));
        assert_eq!(webhook(&forged), Err(WebhookError::Signature));
    }
    let risk = message(&format!("order_id={REFERENCE}&risk_status=High&risk_reason=x"));
    assert!(webhook(&risk).is_ok());
}

/// Without the key a message can be changed: that is why none is believed. Whatever comes of it, it
/// settles nothing.
#[test]
fn a_changed_message_settles_nothing() {
    let original = message(&outcome_text());
    for place in "encResp=".len()..original.len() {
        let mut body = original.clone();
        body[place] = if body[place] == b'0' { b'1' } else { b'0' };
        if let Ok(message) = webhook(&body) {
            let outcome = message.subject.unwrap().outcome;
            assert_eq!(outcome, Outcome::Pending { processor_payment_id: None });
        }
        assert!(matches!(callback(REFERENCE, &body), Ok(Callback::Ask) | Err(WebhookError::Signature)));
    }
}

fn operations() -> Vec<Operation<'static>> {
    let (charge, amount) = (handle(inr(10_050)), inr(10_050));
    vec![
        Operation::Charge(upi()),
        Operation::Capture { charge, reference: REFUND, amount },
        Operation::Void { charge, reference: REFUND },
        Operation::Refund { charge, reference: REFUND, amount },
        Operation::EnquireCharge { charge },
        Operation::EnquireRefund { charge, reference: REFUND, amount },
    ]
}

/// An amount on the wire, read without any of our own code.
fn hundredths(text: &str) -> i64 {
    let (major, fraction) = text.split_once('.').unwrap();
    assert_eq!(fraction.len(), 2, "{text}");
    major.parse::<i64>().unwrap() * 100 + fraction.parse::<i64>().unwrap()
}

proptest! {
    #[test]
    fn nonsense_never_reads_as_success(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        text in "[\\[\\]{}\":,a-z0-9_ ]{0,120}",
        status in prop_oneof![Just(200_u16), 100..600_u16],
        index in 0..4_u8,
    ) {
        for operation in operations() {
            for body in [bytes.clone(), text.clone().into_bytes(), sealed(&text)] {
                if let Progress::Done(outcome) = read(&account(true), &operation, index, status, &body) {
                    prop_assert!(!is_success_outcome(&outcome), "{:?}", outcome);
                    prop_assert!(!matches!(outcome, Outcome::Declined(_)), "{:?}", outcome);
                }
            }
        }
        prop_assert!(webhook(&bytes).is_err());
        prop_assert!(webhook(&message(&text)).is_err());
    }

    #[test]
    fn the_wire_carries_our_amount(minor in 1..=AMOUNT_MINOR_MAX, pick in 0..CARD_CURRENCIES.len()) {
        let account = account(false);
        for rule in &account.capabilities().methods {
            for currency in &rule.currencies {
                let amount = Money::new(minor, *currency);
                let form = charge(Instrument::Wallet { provider: "paytm" }, amount, CaptureMode::Automatic);
                let fields = form::fields(&account, &form).unwrap();
                let plain = account.cipher.decrypt(&fields[0].1).unwrap();
                let sent = Fields::parse(plain.as_bytes()).unwrap();
                prop_assert_eq!(sent.get("currency"), Some(currency.code()));
                prop_assert_eq!(hundredths(sent.get("amount").unwrap()), minor);
            }
        }
        let amount = Money::new(minor, CARD_CURRENCIES[pick]);
        let list = commands::order_list(NUMBER, amount);
        prop_assert_eq!(hundredths(list["order_List"][0]["amount"].as_str().unwrap()), minor);
        let refund = commands::refund(NUMBER, REFUND, amount);
        prop_assert_eq!(hundredths(refund["refund_amount"].as_str().unwrap()), minor);
    }
}

const STATUS_REQUEST: &str =
    "407fd7f43a16525b880ffedc600549654c60c819ba13f0cf572a1beb175b772c9ff9c07e16c97ad9fcefdc52fc68b7e6";

const FORM: &str = "b6a470ef2dac72f6ea4806cc726be6596fc5789b4c1e9ce132e88fbe1475e27aa10152c0f52e95889fc8d1642c84ad44727c71a91607d0b4341cb024597d50eba033575e6897962c25f7bf9e03a9c63ab9fde30d62981e19b1b5f3413194500b9985a6a46780dbb6fa4892172ca432935bc4c6980bdc474d2847c47a25e2958093ae4062ee92c20e0f627b26df47e79cf1a2172ce7a4ae2ef0206dacb65f8154658571351ebd18fb584d17b500a9e183d31d69507e496e02982153e16e8b78fb14122cf26ea94115f6631563c4584ac4a644a5022d4b86fdd51b24341311bc149455348044d1c7d95bb34b6a478f67ba3b43633ca0a54dbc377fb3857d5262ac01e06ec97fa3b7360bd6105960985784";
