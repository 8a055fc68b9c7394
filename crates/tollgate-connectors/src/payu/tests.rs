//! Known-answer vectors were computed with Python's hashlib, property tests try to make nonsense
//! read as success.

use super::*;
use crate::{Charge, Customer};
use proptest::prelude::*;
use tollgate_core::bnpl::{BnplKind, BnplPlan};
use tollgate_core::card::{CardNumber, CardSecret, Cvc, NetworkToken};
use tollgate_core::emi::EmiPlan;
use tollgate_core::mandate::{MandateFrequency, MandateTerms};
use tollgate_core::method::{CaptureMode, Instrument, MethodKind, UpiFlow};
use tollgate_core::outcome::NextAction;

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
        token_requestor_id: Some("40000000001".to_owned()),
        no_cost_emi: false,
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
        webhook_url: None,
        mandate: None,
        statement_descriptor: None,
        challenge: false,
    }
}

fn upi_charge() -> Charge<'static> {
    charge(
        Instrument::Upi { flow: UpiFlow::Collect, vpa: Some("success@upi") },
        10_050,
        CaptureMode::Automatic,
    )
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
        network_token: None,
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
        token_requestor_id: None,
        no_cost_emi: false,
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
    let intent = charge(Instrument::Upi { flow: UpiFlow::Intent, vpa: None }, 10_050, CaptureMode::Automatic);
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
    fn the_wire_carries_our_amount(
        minor in 1..=tollgate_core::money::AMOUNT_MINOR_MAX,
        pick in any::<prop::sample::Index>(),
    ) {
        let payu = payu();
        let family = pick.get(&payu.capabilities().methods).family;
        let (card, bnpl, emi) = (card(None), bnpl("lazypay"), emi(6));
        let operation = Operation::Charge(
            charge(instrument(family, &card, &bnpl, &emi), minor, CaptureMode::Automatic));
        let sent = |text: &str| amount_minor(text);
        if family == MethodFamily::UpiAutopay {
            let Progress::Next(call) = read(&operation, 0, "", 200, verified().as_bytes()) else { panic!() };
            let var1: serde_json::Value = serde_json::from_str(fields(&call).get("var1").unwrap()).unwrap();
            prop_assert_eq!(sent(var1["amount"].as_str().unwrap()), Some(minor));
        } else {
            let call = payu.start(&operation).unwrap();
            prop_assert_eq!(sent(fields(&call).get("amount").unwrap()), Some(minor));
        }
        let amount = Money::new(minor, Currency::INR);
        let refund = Operation::Refund { charge: handle(), reference: REFUND, amount };
        let Progress::Next(call) = read(&refund, 0, "", 200, verified().as_bytes()) else { panic!() };
        prop_assert_eq!(sent(fields(&call).get("var3").unwrap()), Some(minor));
        let capture = Operation::Capture { charge: handle(), reference: REFUND, amount };
        let held = verified().replace("\"captured\"", "\"auth\"");
        let Progress::Next(call) = read(&capture, 0, "", 200, held.as_bytes()) else { panic!() };
        prop_assert_eq!(sent(fields(&call).get("var3").unwrap()), Some(minor));
    }
}

fn verified() -> String {
    format!(
        r#"{{"status":1,"msg":"1 out of 1","transaction_details":{{"{REFERENCE}":{{"mihpayid":"403993715521889530","txnid":"{REFERENCE}","amt":"100.50","status":"success","unmappedstatus":"captured"}}}}}}"#
    )
}

fn card(token: Option<&str>) -> CardSecret {
    CardSecret {
        number: CardNumber::parse("4111111111111111").unwrap(),
        exp_month: 3,
        exp_year: 2030,
        cvc: Some(Cvc::parse("123").unwrap()),
        holder: None,
        network_token: token
            .map(|cryptogram| NetworkToken { cryptogram: Secret::new(cryptogram), eci: None }),
    }
}

fn bnpl(provider: &str) -> BnplPlan {
    BnplPlan { provider: provider.to_owned(), kind: BnplKind::PayLater, schedule: Vec::new() }
}

fn emi(tenure_months: u8) -> EmiPlan {
    EmiPlan {
        bank: "HDFC".to_owned(),
        tenure_months,
        annual_rate_bps: 1_500,
        no_cost: false,
        instalment_minor: 1,
        last_instalment_minor: 1,
        interest_minor: 0,
        subvention_minor: 0,
    }
}

fn instrument<'a>(
    family: MethodFamily,
    card: &'a CardSecret,
    bnpl: &'a BnplPlan,
    emi: &'a EmiPlan,
) -> Instrument<'a> {
    match family {
        MethodFamily::Card => Instrument::Card(card),
        MethodFamily::UpiIntent => Instrument::Upi { flow: UpiFlow::Intent, vpa: None },
        MethodFamily::UpiQr => Instrument::Upi { flow: UpiFlow::Qr, vpa: None },
        MethodFamily::UpiCollect => Instrument::Upi { flow: UpiFlow::Collect, vpa: Some("success@upi") },
        MethodFamily::UpiAutopay => {
            Instrument::UpiAutopay { setup_reference: REFERENCE, setup_processor_payment_id: None }
        }
        MethodFamily::Wallet => Instrument::Wallet { provider: "amazon_pay" },
        MethodFamily::NetBanking => Instrument::NetBanking { bank: "PUNB" },
        MethodFamily::Bnpl => Instrument::Bnpl { plan: bnpl },
        MethodFamily::Emi => Instrument::Emi { card, plan: emi },
    }
}

#[test]
fn methods_and_their_codes() {
    let (plain, token) = (card(None), card(Some("cryptogram==")));
    let (lender, plan) = (bnpl("simpl"), emi(3));
    for (instrument, expected) in [
        (Instrument::Wallet { provider: "amazon_pay" }, ("CASH", "AMZPAY")),
        (Instrument::NetBanking { bank: "INDB" }, ("NB", "INIB")),
        (Instrument::Bnpl { plan: &lender }, ("BNPL", "SIMPL")),
        (Instrument::Emi { card: &plain, plan: &plan }, ("EMI", "EMI")),
        (Instrument::Upi { flow: UpiFlow::Qr, vpa: None }, ("UPI", "INTENT")),
    ] {
        let call = payu().start(&Operation::Charge(charge(instrument, 100, CaptureMode::Automatic))).unwrap();
        let fields = fields(&call);
        assert_eq!((fields.get("pg").unwrap(), fields.get("bankcode").unwrap()), expected);
    }
    let operation = Operation::Charge(charge(Instrument::Card(&token), 100, CaptureMode::Automatic));
    let call = payu().start(&operation).unwrap();
    let sent = fields(&call);
    assert_eq!((sent.get("ccnum"), sent.get("store_card_token")), (Some(""), Some("4111111111111111")));
    assert_eq!(sent.get("storecard_token_type"), Some("1"));
    let info: serde_json::Value = serde_json::from_str(sent.get("additional_info").unwrap()).unwrap();
    assert_eq!((info["tavv"].as_str(), info["trid"].as_str()), (Some("cryptogram=="), Some("40000000001")));

    let (klarna, five) = (bnpl("klarna"), emi(5));
    let no_cost = EmiPlan { no_cost: true, ..emi(6) };
    let refused = |instrument: Instrument<'_>| {
        payu().start(&Operation::Charge(charge(instrument, 100, CaptureMode::Automatic))).is_err()
    };
    assert!(refused(Instrument::Wallet { provider: "google_pay" }));
    assert!(refused(Instrument::NetBanking { bank: "XXXX" }));
    assert!(refused(Instrument::Bnpl { plan: &klarna }));
    assert!(refused(Instrument::Emi { card: &plain, plan: &five }));
    assert!(refused(Instrument::Emi { card: &plain, plan: &no_cost }));
}

#[test]
fn a_mandate_from_set_up_to_its_end() {
    let terms = MandateTerms {
        amount_minor_max: 50_000,
        frequency: MandateFrequency::Quarterly,
        ends_at_ms: 1_900_000_000_000,
    };
    let intent = Instrument::Upi { flow: UpiFlow::Intent, vpa: None };
    let setup = Operation::Charge(crate::Charge {
        mandate: Some(&terms),
        ..charge(intent, 10_050, CaptureMode::Automatic)
    });
    let call = payu().start(&setup).unwrap();
    let sent = fields(&call);
    assert_eq!((sent.get("si"), sent.get("api_version")), (Some("1"), Some("7")));
    let details = sent.get("si_details").unwrap();
    let expected =
        r#""billingAmount":"500.00","billingCurrency":"INR","billingCycle":"MONTHLY","billingInterval":3"#;
    assert!(details.contains(expected) && details.contains(r#""paymentEndDate":"2030-03-17""#), "{details}");
    let chain = sha512_of_joined(&[
        "gtKFFx",
        REFERENCE,
        "100.50",
        "Payment",
        "AshaRao",
        "asha@example.com",
        "capture",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        details,
        "4R38IvwiV57FwVpsgOvTXBdLE4tHUXFW",
    ]);
    assert_eq!(sent.get("hash"), Some(request::ascii(&chain)));
    let body = format!(
        r#"{{"metaData":{{"txnId":"{REFERENCE}","unmappedStatus":"pending"}},"result":{{"paymentId":1,"intentURIData":"pa=m@bank&am=1"}}}}"#
    );
    let Outcome::ActionRequired { action: NextAction::UpiIntent { uri }, .. } =
        done(read(&setup, 0, "", 200, body.as_bytes()))
    else {
        panic!()
    };
    assert_eq!(uri, "upi://mandate?pa=m@bank&am=1");

    let autopay = Instrument::UpiAutopay { setup_reference: REFERENCE, setup_processor_payment_id: None };
    let mut own = charge(autopay, 10_050, CaptureMode::Automatic);
    own.reference = REFUND;
    let debit = Operation::Charge(own);
    let call = payu().start(&debit).unwrap();
    assert_eq!((fields(&call).get("var1"), call.moves_money), (Some(REFERENCE), false));
    let Progress::Next(call) = read(&debit, 0, "", 200, verified().as_bytes()) else { panic!() };
    assert!(call.moves_money);
    let var1 = fields(&call).get("var1").unwrap().to_owned();
    assert!(var1.contains(r#""authpayuid":"403993715521889530""#) && var1.contains(REFUND), "{var1}");
    let reply = |status: &str, id: &str| {
        format!(
            r#"{{"status":1,"message":"Transaction Processed successfully","details":{{"{REFUND}":{{"transactionid":"{REFUND}","amount":"100.50","payuid":"{id}","status":"{status}","field9":"x"}}}}}}"#
        )
    };
    let class = |status: &str, id: &str| done(read(&debit, 1, "", 200, reply(status, id).as_bytes()));
    assert!(matches!(class("captured", "403"), Outcome::Captured { amount_minor: 10_050, .. }));
    assert!(matches!(class("pending", ""), Outcome::Pending { .. }));
    assert!(matches!(class("failed", "403"), Outcome::Declined(_)));
    assert!(matches!(class("else", "403"), Outcome::Unknown(_)));
    let Progress::Next(call) = read(&debit, 1, "", 200, reply("captured", "").as_bytes()) else { panic!() };
    assert!(call.moves_money && fields(&call).get("var1") == Some(REFUND));
    let refused = |body: &[u8]| done(read(&debit, 1, "", 200, body));
    assert!(matches!(refused(br#"{"status":0,"msg":"Invalid Hash."}"#), Outcome::NotTaken(_)));
    assert!(matches!(refused(br#"{"status":0,"msg":"Duplicate"}"#), Outcome::Unknown(_)));

    let revoke = Operation::RevokeMandate { setup: handle() };
    let Progress::Next(call) = read(&revoke, 0, "", 200, verified().as_bytes()) else { panic!() };
    assert_eq!(fields(&call).get("command"), Some("upi_mandate_revoke"));
    let revoked = |body: &[u8]| done(read(&revoke, 1, "", 200, body));
    assert_eq!(revoked(br#"{"status":1,"action":"MANDATE_REVOKE","message":"done"}"#), Outcome::Voided);
    assert_eq!(
        revoked(br#"{"status":0,"action":"MANDATE_REVOKE","message":"Mandate is not active"}"#),
        Outcome::Voided
    );
    assert!(matches!(revoked(br#"{"status":0,"msg":"Invalid Hash."}"#), Outcome::Declined(_)));
    assert!(matches!(revoked(br#"{"status":1}"#), Outcome::Unknown(_)));
}

#[test]
fn callbacks_are_believed_when_they_are_signed_and_ours() {
    let read = |reference: &'static str, body: &str| {
        payu().callback(&CallbackRequest { reference, query: "", body: body.as_bytes() })
    };
    let success = webhook_body("success", "captured", "capture");
    let Ok(Callback::Says(Outcome::Captured { amount_minor: 10_050, .. })) = read(REFERENCE, &success) else {
        panic!("{:?}", read(REFERENCE, &success));
    };
    assert_eq!(read(REFUND, &success), Err(WebhookError::Signature), "another payment's");
    let raised = success.replace("amount=100.50", "amount=900.50");
    assert_eq!(read(REFERENCE, &raised), Err(WebhookError::Signature));
    // How a payment failed is not signed.
    assert_eq!(read(REFERENCE, &webhook_body("failure", "failed", "capture")), Ok(Callback::Ask));
    assert_eq!(read(REFERENCE, ""), Ok(Callback::Ask));
    assert_eq!(read(REFERENCE, "a=b"), Err(WebhookError::Signature));
}

const REQUEST_HASH: &str = "80d064019d90ee2df3972e11b90206b3231d9bae76401c41ea9cfba034d0a3f882d61d0772284a332ca5ecd722ebbc6a8d4f604b6679930006f5efde0f6e3a34";
const VERIFY_HASH: &str = "8e8480ce07dbde2beba2759d9852c3f0de1302699b77918242855c2630afb742f8e5244fd37f1e19b534609621ca1a57b92bea0333dede2a13a5fb8e8b691cdb";
const RESPONSE_HASH: &str = "aa0f3782b839acbd13a8a525fcc43d90ec6d2009c42cb117086fe51eebce8734944db0fc3b709015b8f2408089f93ecae274ddcfc531d6e71fd1d363caff584f";
