//! Known-answer vectors were computed with Python's hashlib, property tests try to make nonsense
//! read as success.

use super::*;
use crate::{Charge, Customer};
use proptest::prelude::*;
use tollgate_core::card::{CardNumber, CardSecret, Cvc};
use tollgate_core::method::{CaptureMode, Instrument, MethodKind};

const REFERENCE: &str = "0NbrhPvkMxYDJYWqCuIRUT";
const REFUND: &str = "0NbrhPvkMxYDJYWqCuIRUZ";

fn payu() -> PayU {
    PayU::new(PayUAccount {
        key: "gtKFFx".to_owned(),
        salt: Secret::new("4R38IvwiV57FwVpsgOvTXBdLE4tHUXFW"),
        payment_url: "http://payu.test/".to_owned(),
        info_url: "http://info.test".to_owned(),
        default_return_url: default_return_url(),
        default_email: default_email(),
        default_phone: default_phone(),
        default_name: default_name(),
    })
}

fn charge(instrument: Instrument<'_>, amount_minor: i64, capture: CaptureMode) -> Charge<'_> {
    Charge {
        reference: REFERENCE,
        amount: Money::new(amount_minor, Currency::INR),
        capture,
        method: MethodKind::Upi,
        instrument,
        customer: Customer { name: Some("Asha|Rao"), email: Some("asha@example.com"), ..Customer::default() },
        description: None,
        return_url: None,
        statement_descriptor: None,
    }
}

fn upi_charge() -> Charge<'static> {
    charge(Instrument::Upi { vpa: Some("success@upi") }, 10_050, CaptureMode::Automatic)
}

fn handle() -> ChargeHandle<'static> {
    ChargeHandle {
        reference: REFERENCE,
        processor_payment_id: None,
        amount: Money::new(10_050, Currency::INR),
    }
}

fn fields(call: &Call) -> crate::form::Fields<'_> {
    crate::form::Fields::parse(&call.request.body).unwrap()
}

/// A signed final transaction, as the simulator of a processor would write it.
fn signed(status: &str, unmapped: &str, mode: &str) -> String {
    let account = payu();
    let hash = sha512_of_joined(&[
        account.salt.expose(),
        status,
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        mode,
        "asha@example.com",
        "AshaRao",
        "Payment",
        "100.50",
        REFERENCE,
        "gtKFFx",
    ]);
    let hash = request::ascii(&hash);
    format!(
        r#"{{"metaData":{{"txnId":"{REFERENCE}","unmappedStatus":"{unmapped}"}},"result":{{"mihpayid":403993715521889530,"status":"{status}","unmappedstatus":"{unmapped}","key":"gtKFFx","txnid":"{REFERENCE}","amount":"100.50","productinfo":"Payment","firstname":"AshaRao","email":"asha@example.com","udf1":"{mode}","udf2":"","udf3":null,"error":"E000","error_Message":"No Error","hash":"{hash}"}}}}"#
    )
}

fn read(operation: &Operation<'_>, index: u8, carry: &str, status: u16, body: &[u8]) -> Progress {
    let step = Step { index, carry: Some(carry.to_owned()) };
    payu().read(operation, &step, &HttpResponse { status, body })
}

fn done(progress: Progress) -> Outcome {
    match progress {
        Progress::Done(outcome) => outcome,
        Progress::Next(call) => panic!("another exchange: {:?}", call.request),
    }
}

fn is_success_outcome(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Authorized { .. } | Outcome::Captured { .. } | Outcome::Refunded { .. } | Outcome::Voided
    )
}

#[test]
fn request_hash_known_answer() {
    let call = payu().start(&Operation::Charge(upi_charge())).unwrap();
    assert_eq!(call.request.url, "http://payu.test/_payment");
    assert!(call.moves_money);
    let fields = fields(&call);
    assert_eq!(fields.get("amount"), Some("100.50"));
    assert_eq!(fields.get("firstname"), Some("AshaRao"));
    assert_eq!(fields.get("vpa"), Some("success@upi"));
    assert_eq!(fields.get("hash"), Some(REQUEST_HASH));
    let call = payu().start(&Operation::EnquireCharge { charge: handle() }).unwrap();
    assert!(!call.moves_money);
    assert_eq!(super::tests::fields(&call).get("hash"), Some(VERIFY_HASH));
}

#[test]
fn response_hash_known_answer() {
    let body = signed("success", "captured", "capture");
    assert!(body.contains(RESPONSE_HASH));
    let outcome = done(read(&Operation::Charge(upi_charge()), 0, "", 200, body.as_bytes()));
    let expected =
        Outcome::Captured { processor_payment_id: "403993715521889530".to_owned(), amount_minor: 10_050 };
    assert_eq!(outcome, expected);
}

#[test]
fn cards_are_sent_and_never_shown() {
    let card = CardSecret {
        number: CardNumber::parse("4111111111111111").unwrap(),
        exp_month: 3,
        exp_year: 2030,
        cvc: Some(Cvc::parse("123").unwrap()),
        holder: None,
    };
    let charge = charge(Instrument::Card(&card), 100, CaptureMode::Manual);
    let call = payu().start(&Operation::Charge(charge)).unwrap();
    let fields = fields(&call);
    for (name, value) in [
        ("ccnum", "4111111111111111"),
        ("ccexpmon", "03"),
        ("ccexpyr", "2030"),
        ("ccvv", "123"),
        ("pre_authorize", "1"),
        ("udf1", "authorize"),
        ("pg", "CC"),
    ] {
        assert_eq!(fields.get(name), Some(value), "{name}");
    }
    assert!(!format!("{call:?} {:?}", payu()).contains("4111"));
    let account = PayUAccount {
        key: "k".to_owned(),
        salt: Secret::new("hush"),
        payment_url: String::new(),
        info_url: String::new(),
        default_return_url: String::new(),
        default_email: String::new(),
        default_phone: String::new(),
        default_name: String::new(),
    };
    assert!(!format!("{account:?}").contains("hush"));
}

#[test]
fn unmapped_status_cannot_make_more_of_a_charge() {
    for (unmapped, mode, captured) in
        [("captured", "capture", true), ("captured", "authorize", false), ("auth", "capture", false)]
    {
        let body = signed("success", unmapped, mode);
        let outcome = done(read(&Operation::Charge(upi_charge()), 0, "", 200, body.as_bytes()));
        assert_eq!(matches!(outcome, Outcome::Captured { .. }), captured, "{unmapped} {mode}");
        assert_eq!(matches!(outcome, Outcome::Authorized { .. }), !captured, "{unmapped} {mode}");
    }
}

#[test]
fn replies_to_a_charge() {
    let charge = Operation::Charge(upi_charge());
    let class = |status, body: &str| match done(read(&charge, 0, "", status, body.as_bytes())) {
        Outcome::Declined(failure) => format!("declined {}", failure.code.as_str()),
        Outcome::NotTaken(failure) => format!("not taken {}", failure.code.as_str()),
        Outcome::Unknown(_) => "unknown".to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(class(429, "slow down"), "not taken processor_rate_limited");
    for status in [500, 502, 503, 504] {
        assert_eq!(class(status, ""), "unknown");
    }
    assert_eq!(class(200, "<html>ok</html>"), "unknown");
    assert_eq!(class(200, "{}"), "unknown");
    assert_eq!(
        class(200, r#"{"result":null,"status":"failure","error":"E700","error_Message":"hash"}"#),
        "not taken processor_rejected"
    );
    assert_eq!(class(200, r#"{"result":null,"status":"failed","error":"E504"}"#), "unknown");
    let declined = signed("failure", "failed", "capture");
    assert_eq!(class(200, &declined.replace("E000", "E706")), "declined insufficient_funds");
    assert_eq!(class(200, &declined.replace("E000", "E209")), "unknown");
    let dropped = signed("failure", "dropped", "capture");
    assert_eq!(class(200, &dropped), "unknown");
    let other = signed("success", "captured", "capture").replace(REFERENCE, REFUND);
    assert_eq!(class(200, &other), "unknown");
}

#[test]
fn intent_and_bank_page() {
    let intent = charge(Instrument::Upi { vpa: None }, 10_050, CaptureMode::Automatic);
    let body = format!(
        r#"{{"metaData":{{"txnId":"{REFERENCE}","txnStatus":"pending","unmappedStatus":"pending"}},"result":{{"paymentId":403993715529028543,"amount":"100.50","intentURIData":"pa=m@bank&pn=My Shop&am=100.50&cu=INR"}}}}"#
    );
    let outcome = done(read(&Operation::Charge(intent), 0, "", 200, body.as_bytes()));
    let Outcome::ActionRequired { processor_payment_id, action } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(processor_payment_id.as_deref(), Some("403993715529028543"));
    let uri = "upi://pay?pa=m@bank&pn=My%20Shop&am=100.50&cu=INR".to_owned();
    assert_eq!(action, tollgate_core::outcome::NextAction::UpiIntent { uri });
    let body = format!(
        r#"{{"metaData":{{"txnId":"{REFERENCE}","txnStatus":"Enrolled","unmappedStatus":"pending"}},"result":{{"otpPostUrl":"","acsTemplate":"PGh0bWw+"}}}}"#
    );
    let outcome = done(read(&Operation::Charge(upi_charge()), 0, "", 200, body.as_bytes()));
    assert!(matches!(outcome, Outcome::ActionRequired { .. }), "{outcome:?}");
}

#[test]
fn refund_from_reference_to_refunded() {
    let amount = Money::new(5_000, Currency::INR);
    let refund = Operation::Refund { charge: handle(), reference: REFUND, amount };
    let verified = format!(
        r#"{{"status":1,"msg":"1 out of 1","transaction_details":{{"{REFERENCE}":{{"mihpayid":"403993715521889530","txnid":"{REFERENCE}","amt":"100.50","status":"success","unmappedstatus":"captured"}}}}}}"#
    );
    let Progress::Next(call) = read(&refund, 0, "", 200, verified.as_bytes()) else { panic!() };
    let sent = fields(&call);
    assert_eq!(sent.get("var1"), Some("403993715521889530"));
    assert_eq!((sent.get("var2"), sent.get("var3")), (Some(REFUND), Some("50.00")));
    assert!(call.moves_money);
    let queued = br#"{"status":1,"msg":"Refund Request Queued","request_id":"135018119","bank_ref_num":null,"mihpayid":403993715521889530,"error_code":102}"#;
    let Progress::Next(call) = read(&refund, 1, "403993715521889530", 200, queued) else { panic!() };
    assert_eq!(fields(&call).get("command"), Some("getAllRefundsFromTxnIds"));
    let listed = format!(
        r#"{{"status":1,"msg":"Refunds fetched successfully.","Refund Details":{{"403993715521889530":[{{"RequestID":"135018119","RefundToken":"{REFUND}","Amount":"50.00","Status":"success"}}]}}}}"#
    );
    let expected = Outcome::Refunded { processor_refund_id: "135018119".to_owned(), amount_minor: 5_000 };
    assert_eq!(done(read(&refund, 2, "", 200, listed.as_bytes())), expected);
    let enquiry = Operation::EnquireRefund { charge: handle(), reference: REFUND, amount };
    assert_eq!(done(read(&enquiry, 0, "", 200, listed.as_bytes())), expected);
    let none = br#"{"status":1,"msg":"No Refunds Found for the transaction."}"#;
    assert_eq!(done(read(&enquiry, 0, "", 200, none)), Outcome::NotFound);
    // The command would cancel a payment that is only authorized.
    let authorized = verified.replace("\"captured\"", "\"auth\"");
    assert!(matches!(done(read(&refund, 0, "", 200, authorized.as_bytes())), Outcome::NotTaken(_)));
    let again = br#"{"status":0,"msg":"Token already exists","error_code":106}"#;
    assert!(matches!(done(read(&refund, 1, "1", 200, again)), Outcome::Unknown(_)));
}

#[test]
fn enquiry_finds_nothing() {
    let body = format!(
        r#"{{"status":0,"msg":"0 out of 1 Transactions Fetched Successfully","transaction_details":{{"{REFERENCE}":{{"mihpayid":"Not Found","status":"Not Found"}}}}}}"#
    );
    let enquiry = Operation::EnquireCharge { charge: handle() };
    assert_eq!(done(read(&enquiry, 0, "", 200, body.as_bytes())), Outcome::NotFound);
    assert!(matches!(done(read(&enquiry, 0, "", 429, b"")), Outcome::Unknown(_)));
}

fn webhook_body(status: &str, unmapped: &str, mode: &str) -> String {
    let account = payu();
    let hash = sha512_of_joined(&[
        account.salt.expose(),
        status,
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        mode,
        "asha@example.com",
        "Asha Rao",
        "Payment",
        "100.50",
        REFERENCE,
        "gtKFFx",
    ]);
    format!(
        "mihpayid=403993715521889530&mode=UPI&status={status}&unmappedstatus={unmapped}&key=gtKFFx&txnid={REFERENCE}&amount=100.50&productinfo=Payment&firstname=Asha+Rao&email=asha%40example.com&udf1={mode}&udf2=&error=E000&hash={}",
        request::ascii(&hash)
    )
}

fn webhook(body: &[u8]) -> Result<WebhookMessage, WebhookError> {
    payu().webhook(&WebhookRequest { header: &|_| None, body })
}

#[test]
fn webhooks() {
    let message = webhook(webhook_body("success", "captured", "capture").as_bytes()).unwrap();
    let subject = message.subject.unwrap();
    assert_eq!(subject.reference, REFERENCE);
    assert!(matches!(subject.outcome, Outcome::Captured { amount_minor: 10_050, .. }));
    assert_eq!(webhook(b"action=refund&status=success"), Err(WebhookError::Signature));
    assert_eq!(webhook(b""), Err(WebhookError::Signature));
}

/// PayU's hash leaves `mihpayid`, `unmappedstatus` and the error fields unsigned, so a changed byte
/// there still verifies; it must not change whose payment it is, how much, or make it more.
#[test]
fn a_changed_webhook_never_says_more() {
    let original = webhook_body("success", "captured", "authorize").into_bytes();
    let mut survived = 0;
    for place in 0..original.len() {
        for flip in [0x01_u8, 0x20, 0x80] {
            let mut body = original.clone();
            body[place] ^= flip;
            let Ok(message) = webhook(&body) else { continue };
            survived += 1;
            let subject = message.subject.unwrap();
            assert_eq!(subject.reference, REFERENCE);
            match subject.outcome {
                Outcome::Authorized { amount_minor, .. } => assert_eq!(amount_minor, 10_050),
                Outcome::Unknown(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(survived < original.len(), "most of the message is signed");
}

#[test]
fn a_changed_reply_never_says_more() {
    let original = signed("success", "captured", "authorize").into_bytes();
    for place in 0..original.len() {
        let mut body = original.clone();
        body[place] ^= 0x01;
        match done(read(&Operation::Charge(upi_charge()), 0, "", 200, &body)) {
            Outcome::Authorized { amount_minor, .. } => assert_eq!(amount_minor, 10_050),
            outcome => assert!(!is_success_outcome(&outcome), "{outcome:?}"),
        }
    }
}

fn operations() -> Vec<Operation<'static>> {
    let amount = Money::new(10_050, Currency::INR);
    vec![
        Operation::Charge(upi_charge()),
        Operation::Capture { charge: handle(), reference: REFUND, amount },
        Operation::Void { charge: handle(), reference: REFUND },
        Operation::Refund { charge: handle(), reference: REFUND, amount },
        Operation::EnquireCharge { charge: handle() },
        Operation::EnquireRefund { charge: handle(), reference: REFUND, amount },
    ]
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
            for body in [&bytes[..], text.as_bytes()] {
                if let Progress::Done(outcome) = read(&operation, index, "403993715521889530", status, body) {
                    prop_assert!(!is_success_outcome(&outcome), "{:?}", outcome);
                }
            }
        }
        prop_assert!(webhook(&bytes).is_err());
        prop_assert!(webhook(text.as_bytes()).is_err());
    }

    #[test]
    fn the_wire_carries_our_amount(minor in 1..=tollgate_core::money::AMOUNT_MINOR_MAX) {
        let charge = charge(Instrument::Wallet { provider: "paytm" }, minor, CaptureMode::Automatic);
        let call = payu().start(&Operation::Charge(charge)).unwrap();
        prop_assert_eq!(amount_minor(fields(&call).get("amount").unwrap()), Some(minor));
    }
}

const REQUEST_HASH: &str = "80d064019d90ee2df3972e11b90206b3231d9bae76401c41ea9cfba034d0a3f882d61d0772284a332ca5ecd722ebbc6a8d4f604b6679930006f5efde0f6e3a34";
const VERIFY_HASH: &str = "8e8480ce07dbde2beba2759d9852c3f0de1302699b77918242855c2630afb742f8e5244fd37f1e19b534609621ca1a57b92bea0333dede2a13a5fb8e8b691cdb";
const RESPONSE_HASH: &str = "aa0f3782b839acbd13a8a525fcc43d90ec6d2009c42cb117086fe51eebce8734944db0fc3b709015b8f2408089f93ecae274ddcfc531d6e71fd1d363caff584f";
