//! Known-answer vectors were computed with Python's hmac, property tests try to make nonsense read
//! as success.

use super::*;
use crate::Customer;
use proptest::prelude::*;
use tollgate_core::bnpl::{BnplKind, BnplPlan};
use tollgate_core::card::{CardNumber, CardSecret, Cvc, NetworkToken, Secret};
use tollgate_core::emi::EmiPlan;
use tollgate_core::mandate::{MandateFrequency, MandateTerms};
use tollgate_core::method::{CaptureMode, Instrument, MethodKind, UpiFlow};
use tollgate_core::money::Money;

const REFERENCE: &str = "0NbrhPvkMxYDJYWqCuIRUT";
const REFUND: &str = "0NbrhPvkMxYDJYWqCuIRUZ";

fn account() -> RazorpayAccount {
    RazorpayAccount {
        key_id: "rzp_test_key".to_owned(),
        key_secret: Secret::new("secret-of-the-key"),
        webhook_secret: Secret::new("secret-of-the-webhook"),
        base_url: "http://razorpay.test/".to_owned(),
        default_email: "void@razorpay.com".to_owned(),
        default_contact: "+919999999999".to_owned(),
        trust_signed_success: false,
        no_cost_emi: false,
    }
}

fn razorpay() -> Razorpay {
    Razorpay::new(account())
}

fn charge(instrument: Instrument<'_>, amount: Money) -> Charge<'_> {
    Charge {
        reference: REFERENCE,
        amount,
        capture: CaptureMode::Automatic,
        method: MethodKind::Upi,
        instrument,
        customer: Customer::default(),
        description: None,
        return_url: None,
        webhook_url: None,
        mandate: None,
        statement_descriptor: None,
        challenge: false,
    }
}

fn inr() -> Money {
    Money::new(10_050, Currency::INR)
}

fn upi_charge() -> Charge<'static> {
    charge(Instrument::Upi { flow: UpiFlow::Collect, vpa: Some("success@upi") }, inr())
}

fn handle(id: Option<&'static str>) -> ChargeHandle<'static> {
    ChargeHandle { reference: REFERENCE, processor_payment_id: id, amount: inr() }
}

fn read(operation: &Operation<'_>, index: u8, carry: &str, status: u16, body: &[u8]) -> Progress {
    let step = Step { index, carry: Some(carry.to_owned()) };
    razorpay().read(operation, &step, &HttpResponse { status, body })
}

fn next(progress: Progress) -> Call {
    match progress {
        Progress::Next(call) => *call,
        Progress::Done(outcome) => panic!("{outcome:?}"),
    }
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

fn json(call: &Call) -> serde_json::Value {
    serde_json::from_slice(&call.request.body).unwrap()
}

fn order(amount: i64, currency: &str) -> String {
    format!(
        r#"{{"id":"order_IluGWxBm9U8zJ8","entity":"order","amount":{amount},"amount_paid":0,"amount_due":{amount},"currency":"{currency}","receipt":"{REFERENCE}","status":"created","attempts":0,"notes":[],"created_at":1642662092}}"#
    )
}

fn payment(status: &str, captured: bool, reason: &str) -> String {
    format!(
        r#"{{"id":"pay_G8VQzjPLoAvm6D","entity":"payment","amount":10050,"currency":"INR","status":"{status}","order_id":"order_IluGWxBm9U8zJ8","method":"upi","amount_refunded":0,"refund_status":null,"captured":{captured},"notes":{{"tollgate_reference":"{REFERENCE}"}},"error_code":null,"error_description":"d","error_reason":"{reason}"}}"#
    )
}

fn orders(payments: &str) -> String {
    format!(
        r#"{{"entity":"collection","count":1,"items":[{{"id":"order_IluGWxBm9U8zJ8","amount":10050,"currency":"INR","receipt":"{REFERENCE}","payments":{{"entity":"collection","count":1,"items":[{payments}]}}}}]}}"#
    )
}

const SIGNED: &str = r#"{"razorpay_payment_id":"pay_G8VQzjPLoAvm6D","razorpay_order_id":"order_IluGWxBm9U8zJ8","razorpay_signature":"c02a957e3449ff42a301f71a7ab344745869d8f4d86216ebaeb34b199a03345f"}"#;
const BODY_SIGNATURE: &str = "4255676d9890090004ed45473b34b91d20a1ea10a8697d4bf5432df52e856e97";
const WEBHOOK: &str = r#"{"entity":"event","event":"payment.captured","contains":["payment"],"payload":{"payment":{"entity":{"id":"pay_G8VQzjPLoAvm6D","amount":10050,"currency":"INR","status":"captured","captured":true,"order_id":"order_IluGWxBm9U8zJ8","notes":{"tollgate_reference":"0NbrhPvkMxYDJYWqCuIRUT"}}}}}"#;

#[test]
fn a_charge_from_order_to_captured() {
    let operation = Operation::Charge(upi_charge());
    let first = razorpay().start(&operation).unwrap();
    assert_eq!(first.request.url, "http://razorpay.test/v1/orders");
    assert!(!first.moves_money);
    let credentials = "Basic cnpwX3Rlc3Rfa2V5OnNlY3JldC1vZi10aGUta2V5";
    assert!(first.request.headers.contains(&("authorization".into(), credentials.to_owned())));
    let sent = json(&first);
    assert_eq!(sent["receipt"], REFERENCE);
    assert_eq!(sent["notes"]["tollgate_reference"], REFERENCE);
    assert_eq!(sent["payment"]["capture"], "automatic");

    let second = next(read(&operation, 0, "", 200, order(10_050, "INR").as_bytes()));
    assert_eq!(second.request.url, "http://razorpay.test/v1/payments/create/json");
    assert!(second.moves_money);
    assert_eq!(json(&second)["upi"]["flow"], "collect");
    assert_eq!(json(&second)["order_id"], "order_IluGWxBm9U8zJ8");

    let third = next(read(&operation, 1, "order_IluGWxBm9U8zJ8", 200, SIGNED.as_bytes()));
    assert_eq!(third.request.url, "http://razorpay.test/v1/payments/pay_G8VQzjPLoAvm6D");
    assert!(third.moves_money, "the money may have moved: its loss is not a proof");
    let carry = third.step.carry.unwrap();
    let outcome = done(read(&operation, 2, &carry, 200, payment("captured", true, "").as_bytes()));
    let expected =
        Outcome::Captured { processor_payment_id: "pay_G8VQzjPLoAvm6D".to_owned(), amount_minor: 10_050 };
    assert_eq!(outcome, expected);

    let trusting = Razorpay::new(RazorpayAccount { trust_signed_success: true, ..account() });
    let step = Step { index: 1, carry: Some("order_IluGWxBm9U8zJ8".to_owned()) };
    let response = HttpResponse { status: 200, body: SIGNED.as_bytes() };
    assert_eq!(done(trusting.read(&operation, &step, &response)), expected);
    for place in 0..SIGNED.len() {
        for flip in [0x01_u8, 0x20, 0x80] {
            let mut body = SIGNED.as_bytes().to_vec();
            body[place] ^= flip;
            let response = HttpResponse { status: 200, body: &body };
            let outcome = done(trusting.read(&operation, &step, &response));
            assert!(!is_success_outcome(&outcome), "{place} {outcome:?}");
        }
    }
}

#[test]
fn an_order_that_is_not_ours_takes_nothing() {
    let operation = Operation::Charge(upi_charge());
    for body in [order(10_051, "INR"), order(10_050, "USD"), "{}".to_owned(), "<html>".to_owned()] {
        let outcome = done(read(&operation, 0, "", 200, body.as_bytes()));
        assert!(matches!(outcome, Outcome::NotTaken(_)), "{outcome:?}");
    }
    for status in [400, 401, 429, 500, 503] {
        let outcome = done(read(&operation, 0, "", status, b""));
        assert!(matches!(outcome, Outcome::NotTaken(_)), "{outcome:?}");
    }
}

#[test]
fn replies_to_a_payment() {
    let operation = Operation::Charge(upi_charge());
    let class =
        |status, body: &str| match done(read(&operation, 1, "order_IluGWxBm9U8zJ8", status, body.as_bytes()))
        {
            Outcome::Declined(failure) => format!("declined {}", failure.code.as_str()),
            Outcome::NotTaken(failure) => format!("not taken {}", failure.code.as_str()),
            Outcome::Unknown(_) => "unknown".to_owned(),
            other => format!("{other:?}"),
        };
    let error = |code: &str, reason: &str, payment: &str| {
        format!(
            r#"{{"error":{{"code":"{code}","description":"d","source":"bank","step":"s","reason":"{reason}","metadata":{{"payment_id":"{payment}"}}}}}}"#
        )
    };
    assert_eq!(class(429, ""), "not taken processor_rate_limited");
    for status in [500, 502, 503, 504, 409, 418] {
        assert_eq!(class(status, ""), "unknown");
    }
    assert_eq!(class(400, "<html>"), "unknown");
    assert_eq!(class(200, "{}"), "unknown");
    assert_eq!(class(500, &error("SERVER_ERROR", "server_error", "")), "unknown");
    for (reason, payment, expected) in [
        ("insufficient_funds", "pay_1", "declined insufficient_funds"),
        ("card_declined", "pay_1", "declined card_declined"),
        ("payment_timed_out", "pay_1", "unknown"),
        ("order_already_paid", "", "unknown"),
        ("something_new", "pay_1", "unknown"),
        ("something_new", "", "not taken processor_rejected"),
        ("input_validation_failed", "", "not taken processor_rejected"),
    ] {
        assert_eq!(class(400, &error("BAD_REQUEST_ERROR", reason, payment)), expected, "{reason}");
    }
    let wrong = SIGNED.replace("order_IluGWxBm9U8zJ8", "order_IluGWxBm9U8zJ9");
    assert_eq!(class(200, &wrong), "unknown");
}

#[test]
fn next_actions() {
    let operation = Operation::Charge(upi_charge());
    let action = |next: &str| {
        let body = format!(r#"{{"razorpay_payment_id":"pay_1","next":{next}}}"#);
        done(read(&operation, 1, "order_1", 200, body.as_bytes()))
    };
    let intent =
        action(r#"[{"action":"intent","url":"upi://pay?pa=a@b"},{"action":"poll","url":"http://x"}]"#);
    let required =
        |action| Outcome::ActionRequired { processor_payment_id: Some("pay_1".to_owned()), action };
    assert_eq!(intent, required(NextAction::UpiIntent { uri: "upi://pay?pa=a@b".to_owned() }));
    assert_eq!(action(r#"[{"action":"poll","url":"http://x"}]"#), required(NextAction::UpiCollect));
    let url = "https://bank.example/3ds".to_owned();
    let redirect = action(
        r#"[{"action":"redirect","url":"https://bank.example/3ds"},{"action":"otp_generate","url":"http://x"}]"#,
    );
    assert_eq!(redirect, required(NextAction::Redirect { url }));
    assert!(matches!(action("[]"), Outcome::Pending { .. }));
}

#[test]
fn enquiry_of_a_charge() {
    let enquiry = Operation::EnquireCharge { charge: handle(None) };
    let call = razorpay().start(&enquiry).unwrap();
    assert!(
        call.request.url.ends_with("/v1/orders?expand[]=payments&count=10&receipt=0NbrhPvkMxYDJYWqCuIRUT")
    );
    let class = |payment: &str| done(read(&enquiry, 0, "", 200, orders(payment).as_bytes()));
    assert!(matches!(class(&payment("captured", true, "")), Outcome::Captured { amount_minor: 10_050, .. }));
    assert!(matches!(class(&payment("refunded", true, "")), Outcome::Captured { .. }));
    assert!(matches!(class(&payment("authorized", false, "")), Outcome::Authorized { .. }));
    assert_eq!(class(&payment("refunded", false, "")), Outcome::Voided);
    assert!(matches!(class(&payment("created", false, "")), Outcome::Pending { .. }));
    assert!(matches!(class(&payment("failed", false, "insufficient_funds")), Outcome::Declined(_)));
    assert!(matches!(class(&payment("failed", false, "payment_timed_out")), Outcome::Unknown(_)));
    assert_eq!(class(""), Outcome::NotFound);
    let both = format!("{},{}", payment("failed", false, "card_declined"), payment("captured", true, ""));
    assert!(matches!(class(&both), Outcome::Captured { .. }));
    let empty = br#"{"entity":"collection","count":0,"items":[]}"#;
    assert_eq!(done(read(&enquiry, 0, "", 200, empty)), Outcome::NotFound);
    for status in [400, 404, 429, 500] {
        assert!(matches!(done(read(&enquiry, 0, "", status, empty)), Outcome::Unknown(_)));
    }
}

#[test]
fn captures_and_voids() {
    let capture = Operation::Capture { charge: handle(None), reference: REFUND, amount: inr() };
    let looked_up = orders(&payment("authorized", false, ""));
    let call = next(read(&capture, 0, "", 200, looked_up.as_bytes()));
    assert!(call.request.url.ends_with("/v1/payments/pay_G8VQzjPLoAvm6D/capture"));
    assert_eq!(json(&call)["amount"], 10_050);
    let captured = payment("captured", true, "");
    let id = "pay_G8VQzjPLoAvm6D";
    assert!(matches!(done(read(&capture, 1, id, 200, captured.as_bytes())), Outcome::Captured { .. }));
    let still = payment("authorized", false, "");
    assert!(matches!(done(read(&capture, 1, id, 200, still.as_bytes())), Outcome::Unknown(_)));
    let void = Operation::Void { charge: handle(Some(id)), reference: REFUND };
    assert_eq!(done(read(&void, 0, "", 200, looked_up.as_bytes())), Outcome::Voided);
    let outcome = done(read(&void, 0, "", 200, orders(&captured).as_bytes()));
    assert!(matches!(outcome, Outcome::Declined(_)), "{outcome:?}");
}

#[test]
fn refunds() {
    let amount = Money::new(5_000, Currency::INR);
    let id = "pay_G8VQzjPLoAvm6D";
    let refund = Operation::Refund { charge: handle(Some(id)), reference: REFUND, amount };
    let call = razorpay().start(&refund).unwrap();
    assert!(call.request.headers.contains(&("x-refund-idempotency".into(), REFUND.to_owned())));
    assert_eq!(json(&call)["receipt"], REFUND);
    let entity = |status: &str| {
        format!(
            r#"{{"id":"rfnd_FP8QHiV938haTz","entity":"refund","amount":5000,"currency":"INR","payment_id":"{id}","notes":[],"receipt":"{REFUND}","status":"{status}"}}"#
        )
    };
    let class = |status: &str| done(read(&refund, 1, id, 200, entity(status).as_bytes()));
    let refunded =
        Outcome::Refunded { processor_refund_id: "rfnd_FP8QHiV938haTz".to_owned(), amount_minor: 5_000 };
    assert_eq!(class("processed"), refunded);
    assert!(matches!(class("pending"), Outcome::Pending { .. }));
    assert!(matches!(class("failed"), Outcome::Declined(_)));
    assert!(matches!(done(read(&refund, 1, id, 409, b"")), Outcome::Unknown(_)));
    let refused = br#"{"error":{"code":"BAD_REQUEST_ERROR","description":"The total refund amount is greater than the refund payment amount"}}"#;
    assert!(matches!(done(read(&refund, 1, id, 400, refused)), Outcome::Declined(_)));

    let enquiry = Operation::EnquireRefund { charge: handle(Some(id)), reference: REFUND, amount };
    let page = |items: &str| format!(r#"{{"entity":"collection","items":[{items}]}}"#);
    assert_eq!(done(read(&enquiry, 1, id, 200, page(&entity("processed")).as_bytes())), refunded);
    assert_eq!(done(read(&enquiry, 1, id, 200, page("").as_bytes())), Outcome::NotFound);
    let other = entity("processed").replace(REFUND, REFERENCE);
    let full = vec![other.as_str(); 100].join(",");
    let call = next(read(&enquiry, 1, id, 200, page(&full).as_bytes()));
    assert!(call.request.url.ends_with("skip=100"), "{}", call.request.url);
    assert!(matches!(done(read(&enquiry, 20, id, 200, page(&full).as_bytes())), Outcome::Unknown(_)));
}

#[test]
fn cards_are_sent_and_never_shown() {
    let card = CardSecret {
        number: CardNumber::parse("4111111111111111").unwrap(),
        exp_month: 3,
        exp_year: 2030,
        cvc: Some(Cvc::parse("123").unwrap()),
        holder: Some("Asha Rao".to_owned()),
        network_token: None,
    };
    let operation = Operation::Charge(charge(Instrument::Card(&card), inr()));
    let call = next(read(&operation, 0, "", 200, order(10_050, "INR").as_bytes()));
    let sent = &json(&call)["card"];
    assert_eq!(sent["number"], "4111111111111111");
    assert_eq!((sent["expiry_month"].as_str(), sent["expiry_year"].as_str()), (Some("03"), Some("30")));
    let shown = format!("{call:?} {:?} {:?}", razorpay(), account());
    assert!(!shown.contains("4111") && !shown.contains("secret-of"), "{shown}");
}

fn webhook(body: &[u8], signature: &str) -> Result<WebhookMessage, WebhookError> {
    let header = |name: &str| match name {
        "x-razorpay-signature" => Some(signature),
        "x-razorpay-event-id" => Some("evt_1"),
        _ => None,
    };
    razorpay().webhook(&WebhookRequest { header: &header, body })
}

#[test]
fn webhooks() {
    let message = webhook(WEBHOOK.as_bytes(), BODY_SIGNATURE).unwrap();
    assert_eq!(message.dedupe_key, "evt_1");
    let subject = message.subject.unwrap();
    assert_eq!(subject.reference, REFERENCE);
    assert!(matches!(subject.outcome, Outcome::Captured { amount_minor: 10_050, .. }));
    for place in 0..WEBHOOK.len() {
        let mut body = WEBHOOK.as_bytes().to_vec();
        body[place] ^= 0x01;
        assert_eq!(webhook(&body, BODY_SIGNATURE), Err(WebhookError::Signature));
    }
    for place in 0..BODY_SIGNATURE.len() {
        let mut signature = BODY_SIGNATURE.as_bytes().to_vec();
        signature[place] ^= 0x01;
        let signature = String::from_utf8(signature).unwrap();
        assert_eq!(webhook(WEBHOOK.as_bytes(), &signature), Err(WebhookError::Signature));
    }
}

#[test]
fn accounts_are_read_strictly() {
    let read = |text: &str| serde_json::from_str::<crate::registry::Account>(text);
    let minimal = r#"{"type":"razorpay","key_id":"k","key_secret":"s","webhook_secret":"w"}"#;
    assert!(read(minimal).is_ok());
    assert!(read(&minimal.replace("\"k\"", "\"k\",\"kye\":1")).is_err());
    let payu = r#"{"type":"payu","key":"k","salt":"s"}"#;
    assert_eq!(read(payu).unwrap().connector().kind(), "payu");
    assert!(read(&payu.replace("\"k\"", "\"k\",\"slat\":1")).is_err());
}

fn operations() -> Vec<Operation<'static>> {
    let id = Some("pay_G8VQzjPLoAvm6D");
    vec![
        Operation::Charge(upi_charge()),
        Operation::Capture { charge: handle(None), reference: REFUND, amount: inr() },
        Operation::Void { charge: handle(id), reference: REFUND },
        Operation::Refund { charge: handle(id), reference: REFUND, amount: inr() },
        Operation::EnquireCharge { charge: handle(id) },
        Operation::EnquireRefund { charge: handle(id), reference: REFUND, amount: inr() },
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
                if let Progress::Done(outcome) = read(&operation, index, "order_1|pay_1", status, body) {
                    prop_assert!(!is_success_outcome(&outcome), "{:?}", outcome);
                }
            }
        }
        prop_assert!(webhook(&bytes, BODY_SIGNATURE).is_err());
        prop_assert!(webhook(text.as_bytes(), BODY_SIGNATURE).is_err());
    }

    #[test]
    fn the_wire_carries_our_amount(
        minor in 1..=tollgate_core::money::AMOUNT_MINOR_MAX,
        pick in any::<prop::sample::Index>(),
    ) {
        let rules = razorpay();
        let wanted: Vec<_> = rules.capabilities().methods.iter()
            .flat_map(|rule| rule.currencies.iter().map(|currency| (rule.family, *currency)))
            .collect();
        let (family, currency) = *pick.get(&wanted);
        let amount = Money::new(minor, currency);
        let (card, bnpl, emi) = (card(None), bnpl("simpl"), emi(6, false));
        let charge = charge(instrument(family, &card, &bnpl, &emi), amount);
        let operation = Operation::Charge(charge);
        let sent = |call: &Call| (json(call)["amount"].to_string(), json(call)["currency"].clone());
        let ours = (minor.to_string(), serde_json::Value::from(currency.code()));
        let Ok(mut call) = razorpay().start(&operation) else {
            prop_assert!(currency.exponent() == 3 && minor % 10 != 0);
            return Ok(());
        };
        if family == MethodFamily::UpiAutopay {
            call = next(read(&operation, mandate::SETUP_PAYMENT, "", 200, orders(&set_up()).as_bytes()));
        }
        prop_assert_eq!(sent(&call), ours.clone());
        let (index, carry) = (call.step.index, call.step.carry.unwrap_or_default());
        let paid = next(read(&operation, index, &carry, 200, order(minor, currency.code()).as_bytes()));
        prop_assert_eq!(sent(&paid), ours.clone());
        let id = Some("pay_G8VQzjPLoAvm6D");
        let capture = Operation::Capture { charge: handle(id), reference: REFUND, amount };
        prop_assert_eq!(sent(&razorpay().start(&capture).unwrap()), ours);
        let refund = Operation::Refund { charge: handle(id), reference: REFUND, amount };
        prop_assert_eq!(json(&razorpay().start(&refund).unwrap())["amount"].to_string(), minor.to_string());
    }
}

fn card(token: Option<&str>) -> CardSecret {
    CardSecret {
        number: CardNumber::parse("4111111111111111").unwrap(),
        exp_month: 3,
        exp_year: 2030,
        cvc: Some(Cvc::parse("123").unwrap()),
        holder: None,
        network_token: token.map(|cryptogram| NetworkToken {
            cryptogram: Secret::new(cryptogram),
            eci: Some("05".to_owned()),
        }),
    }
}

fn bnpl(provider: &str) -> BnplPlan {
    BnplPlan { provider: provider.to_owned(), kind: BnplKind::PayLater, schedule: Vec::new() }
}

fn emi(tenure_months: u8, no_cost: bool) -> EmiPlan {
    EmiPlan {
        bank: "HDFC".to_owned(),
        tenure_months,
        annual_rate_bps: 1_500,
        no_cost,
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

/// The payment that has set a mandate up.
fn set_up() -> String {
    payment("captured", true, "").replacen(
        "\"id\":",
        "\"customer_id\":\"cust_1Aa00000000001\",\"token_id\":\"token_1Aa00000000001\",\"id\":",
        1,
    )
}

#[test]
fn methods_and_their_codes() {
    let (plain, token) = (card(None), card(Some("cryptogram==")));
    let (lender, plan) = (bnpl("simpl"), emi(9, false));
    let body = |instrument| {
        let operation = Operation::Charge(charge(instrument, inr()));
        json(&next(read(&operation, 0, "", 200, order(10_050, "INR").as_bytes())))
    };
    let wallet = body(Instrument::Wallet { provider: "amazon_pay" });
    assert_eq!((wallet["method"].as_str(), wallet["wallet"].as_str()), (Some("wallet"), Some("amazonpay")));
    let bank = body(Instrument::NetBanking { bank: "BARB" });
    assert_eq!((bank["method"].as_str(), bank["bank"].as_str()), (Some("netbanking"), Some("BARB_R")));
    let later = body(Instrument::Bnpl { plan: &lender });
    assert_eq!((later["method"].as_str(), later["provider"].as_str()), (Some("paylater"), Some("getsimpl")));
    let emi = body(Instrument::Emi { card: &plain, plan: &plan });
    assert_eq!((emi["method"].as_str(), emi["emi_duration"].as_u64()), (Some("emi"), Some(9)));
    assert_eq!(emi["card"]["number"], "4111111111111111");
    assert!(emi["card"].get("tokenised").is_none());
    let tokenised = body(Instrument::Card(&token));
    assert_eq!(tokenised["card"]["tokenised"], true);
    assert_eq!(tokenised["card"]["cryptogram_value"], "cryptogram==");

    let (unknown, five, six) = (bnpl("klarna"), super::tests::emi(5, false), super::tests::emi(6, true));
    let refused =
        |instrument: Instrument<'_>| razorpay().start(&Operation::Charge(charge(instrument, inr()))).is_err();
    assert!(refused(Instrument::Wallet { provider: "google_pay" }));
    assert!(refused(Instrument::NetBanking { bank: "XXXX" }));
    assert!(refused(Instrument::Bnpl { plan: &unknown }));
    assert!(refused(Instrument::Emi { card: &plain, plan: &five }));
    assert!(refused(Instrument::Emi { card: &plain, plan: &six }));
    let own = Razorpay::new(RazorpayAccount { no_cost_emi: true, ..account() });
    assert!(
        own.start(&Operation::Charge(charge(Instrument::Emi { card: &plain, plan: &six }, inr()))).is_ok()
    );
    assert!(
        !format!("{:?}", razorpay().start(&Operation::Charge(charge(Instrument::Card(&token), inr()))))
            .contains("cryptogram==")
    );
}

#[test]
fn a_mandate_from_set_up_to_its_end() {
    let terms = MandateTerms {
        amount_minor_max: 50_000,
        frequency: MandateFrequency::Monthly,
        ends_at_ms: 1_900_000_000_000,
    };
    let qr = Instrument::Upi { flow: UpiFlow::Qr, vpa: None };
    let setup = Operation::Charge(Charge { mandate: Some(&terms), ..charge(qr, inr()) });
    let call = razorpay().start(&setup).unwrap();
    assert!(call.request.url.ends_with("/v1/customers") && !call.moves_money);
    let made = next(read(
        &setup,
        mandate::CUSTOMER,
        "",
        200,
        br#"{"id":"cust_1Aa00000000001","entity":"customer"}"#,
    ));
    let sent = json(&made);
    assert_eq!(sent["customer_id"], "cust_1Aa00000000001");
    assert_eq!(sent["token"]["max_amount"], 50_000);
    assert_eq!(
        (sent["token"]["frequency"].as_str(), sent["token"]["expire_at"].as_u64()),
        (Some("monthly"), Some(1_900_000_000))
    );
    let carry = made.step.carry.unwrap();
    let paid = next(read(&setup, mandate::SETUP_ORDER, &carry, 200, order(10_050, "INR").as_bytes()));
    assert!(paid.request.url.ends_with("/v1/payments/create/upi") && paid.moves_money);
    assert_eq!(
        (json(&paid)["recurring"].as_str(), json(&paid)["customer_id"].as_str()),
        (Some("1"), Some("cust_1Aa00000000001"))
    );
    let linked = br#"{"razorpay_payment_id":"pay_1","link":"upi://mandate?pa=a@b"}"#;
    let uri = "upi://mandate?pa=a@b".to_owned();
    let action = NextAction::UpiQr { uri };
    let expected = Outcome::ActionRequired { processor_payment_id: Some("pay_1".to_owned()), action };
    assert_eq!(done(read(&setup, 1, "order_1", 200, linked)), expected);

    let debit = Instrument::UpiAutopay { setup_reference: REFERENCE, setup_processor_payment_id: None };
    let debit = Operation::Charge(charge(debit, inr()));
    assert!(razorpay().start(&debit).unwrap().request.url.contains("receipt="));
    let ordered = next(read(&debit, mandate::SETUP_PAYMENT, "", 200, orders(&set_up()).as_bytes()));
    let carry = ordered.step.carry.unwrap();
    let debited = next(read(&debit, mandate::DEBIT_ORDER, &carry, 200, order(10_050, "INR").as_bytes()));
    assert!(debited.request.url.ends_with("/v1/payments/create/recurring") && debited.moves_money);
    assert_eq!(
        (json(&debited)["token"].as_str(), json(&debited)["recurring"].as_bool()),
        (Some("token_1Aa00000000001"), Some(true))
    );
    let none = done(read(
        &debit,
        mandate::SETUP_PAYMENT,
        "",
        200,
        orders(&payment("captured", true, "")).as_bytes(),
    ));
    assert!(matches!(none, Outcome::NotTaken(_)), "{none:?}");

    let revoke = Operation::RevokeMandate { setup: handle(None) };
    let cancel = next(read(&revoke, 0, "", 200, orders(&set_up()).as_bytes()));
    assert!(
        cancel.request.url.ends_with("/v1/customers/cust_1Aa00000000001/tokens/token_1Aa00000000001/cancel")
    );
    assert!(cancel.moves_money && cancel.request.method == crate::wire::HttpMethod::Put);
    let carry = cancel.step.carry.unwrap();
    let initiated = br#"{"status":"cancellation_initiated"}"#;
    assert_eq!(done(read(&revoke, 1, &carry, 200, initiated)), Outcome::Voided);
    assert!(matches!(done(read(&revoke, 1, &carry, 500, b"")), Outcome::Unknown(_)));
    let looked = next(read(&revoke, 1, &carry, 400, b"{}"));
    assert!(looked.request.url.ends_with("/tokens/token_1Aa00000000001"));
    let token =
        |status| format!(r#"{{"id":"token_1Aa00000000001","recurring_details":{{"status":"{status}"}}}}"#);
    assert_eq!(done(read(&revoke, 2, &carry, 200, token("cancelled").as_bytes())), Outcome::Voided);
    assert!(matches!(
        done(read(&revoke, 2, &carry, 200, token("confirmed").as_bytes())),
        Outcome::Declined(_)
    ));
}

/// The signature's vector: HMAC-SHA256 of `order_IluGWxBm9U8zJ8|pay_29QQoUBi66xm2f` with the key secret.
#[test]
fn callbacks_only_say_that_asking_is_worth_while() {
    let read = |body: &str| {
        razorpay().callback(&CallbackRequest { reference: REFERENCE, query: "", body: body.as_bytes() })
    };
    let key = HmacKey::new(b"secret-of-the-key");
    let mut signature = String::new();
    for candidate in SIGNED.split('"') {
        if candidate.len() == 64 {
            signature = candidate.to_owned();
        }
    }
    let (order, payment) = signed_ids();
    assert!(key.verifies(&[order.as_bytes(), b"|", payment.as_bytes()], &signature));
    let body =
        format!("razorpay_payment_id={payment}&razorpay_order_id={order}&razorpay_signature={signature}");
    assert_eq!(read(&body), Ok(Callback::Ask));
    assert_eq!(
        read(&body.replace("razorpay_payment_id=pay_", "razorpay_payment_id=pay_x")),
        Err(WebhookError::Signature)
    );
    assert_eq!(read("error%5Bcode%5D=BAD_REQUEST_ERROR"), Ok(Callback::Ask));
    assert_eq!(read(""), Ok(Callback::Ask));
}

/// Order and payment of [`SIGNED`].
fn signed_ids() -> (&'static str, &'static str) {
    let find = |prefix: &str| SIGNED.split('"').find(|part| part.starts_with(prefix)).unwrap();
    (find("order_"), find("pay_"))
}
