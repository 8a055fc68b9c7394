//! The webhook's vector was computed with Stripe's Python library (`WebhookSignature`, stripe 16.1.0)
//! and with Python's hmac; property tests try to make nonsense read as success.

use super::*;
use crate::Customer;
use crate::form::Fields;
use proptest::prelude::*;
use tollgate_core::bnpl::{BnplKind, BnplPlan};
use tollgate_core::card::{CardNumber, CardSecret, Cvc, NetworkToken, Secret};
use tollgate_core::currency::Currency;
use tollgate_core::method::{CaptureMode, Instrument, MethodKind, UpiFlow};
use tollgate_core::outcome::NextAction;

const REFERENCE: &str = "0NbrhPvkMxYDJYWqCuIRUT";
const OTHER: &str = "0NbrhPvkMxYDJYWqCuIRUZ";
const ID: &str = "pi_3MtwBwLkdIwHu7ix28a3tqPa";
const OLDER: &str = "pi_3MtwBwLkdIwHu7ix00000000";

fn account() -> StripeAccount {
    StripeAccount {
        secret_key: Secret::new("sk_test_secret"),
        webhook_secret: Secret::new("whsec_of_the_endpoint"),
        base_url: "http://stripe.test/".to_owned(),
        search: true,
        afterpay: true,
    }
}

fn stripe() -> Stripe {
    Stripe::new(account())
}

fn usd() -> Money {
    Money::new(10_050, Currency::USD)
}

fn visa() -> CardSecret {
    CardSecret {
        number: CardNumber::parse("4111111111111111").unwrap(),
        exp_month: 3,
        exp_year: 2030,
        cvc: Some(Cvc::parse("123").unwrap()),
        holder: Some("Asha Rao".to_owned()),
        network_token: None,
    }
}

fn plan(provider: &str) -> BnplPlan {
    BnplPlan { provider: provider.to_owned(), kind: BnplKind::PayLater, schedule: Vec::new() }
}

fn charge(instrument: Instrument<'_>, amount: Money) -> Charge<'_> {
    Charge {
        reference: REFERENCE,
        amount,
        capture: CaptureMode::Automatic,
        method: MethodKind::Card,
        instrument,
        customer: Customer { email: Some("asha@example.com"), ..Customer::default() },
        description: Some("Tea"),
        return_url: Some("https://pay.example/return"),
        webhook_url: None,
        mandate: None,
        statement_descriptor: None,
        challenge: false,
    }
}

fn handle_of(id: Option<&'static str>, amount: Money) -> ChargeHandle<'static> {
    ChargeHandle { reference: REFERENCE, processor_payment_id: id, amount }
}

fn handle(id: Option<&'static str>) -> ChargeHandle<'static> {
    handle_of(id, usd())
}

fn read(operation: &Operation<'_>, index: u8, carry: &str, status: u16, body: &[u8]) -> Progress {
    let step = Step { index, carry: Some(carry.to_owned()) };
    stripe().read(operation, &step, &HttpResponse { status, body })
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

fn class(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Declined(failure) => format!("declined {}", failure.code.as_str()),
        Outcome::NotTaken(failure) => format!("not taken {}", failure.code.as_str()),
        Outcome::Unknown(_) => "unknown".to_owned(),
        Outcome::Captured { amount_minor, .. } => format!("captured {amount_minor}"),
        Outcome::Authorized { amount_minor, .. } => format!("authorized {amount_minor}"),
        Outcome::Refunded { amount_minor, .. } => format!("refunded {amount_minor}"),
        Outcome::Pending { .. } => "pending".to_owned(),
        Outcome::ActionRequired { .. } => "action".to_owned(),
        other => format!("{other:?}"),
    }
}

fn field(call: &Call, name: &str) -> String {
    Fields::parse(&call.request.body).unwrap().get(name).unwrap().to_owned()
}

fn header<'c>(call: &'c Call, name: &str) -> &'c str {
    call.request.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// An intent: `more` goes in front of the usual fields.
fn intent(id: &str, status: &str, more: &str) -> String {
    let received = if status == "succeeded" { 10_050 } else { 0 };
    let capturable = if status == "requires_capture" { 10_050 } else { 0 };
    format!(
        r#"{{{more}"id":"{id}","object":"payment_intent","amount":10050,"amount_capturable":{capturable},"amount_received":{received},"created":1763700000,"currency":"usd","metadata":{{"tollgate_reference":"{REFERENCE}"}},"status":"{status}"}}"#
    )
}

fn untouched(id: &str) -> String {
    intent(id, "requires_payment_method", r#""last_payment_error":null,"latest_charge":null,"#)
}

fn failed(code: &str, decline_code: &str) -> String {
    let error = format!(
        r#""last_payment_error":{{"type":"card_error","code":"{code}","decline_code":"{decline_code}","message":"m"}},"latest_charge":"ch_1","#
    );
    intent(ID, "requires_payment_method", &error)
}

#[test]
fn a_charge_from_intent_to_captured() {
    let card = visa();
    let operation = Operation::Charge(charge(Instrument::Card(&card), usd()));
    let first = stripe().start(&operation).unwrap();
    assert_eq!(first.request.url, "http://stripe.test/v1/payment_intents");
    assert!(!first.moves_money, "an intent that nobody confirms takes nothing");
    assert_eq!(header(&first, "authorization"), "Bearer sk_test_secret");
    assert_eq!(header(&first, "stripe-version"), "2025-09-30.clover");
    assert_eq!(header(&first, "idempotency-key"), "0NbrhPvkMxYDJYWqCuIRUT-create");
    assert_eq!(field(&first, "amount"), "10050");
    assert_eq!(field(&first, "currency"), "usd");
    assert_eq!(field(&first, "metadata[tollgate_reference]"), REFERENCE);
    let body = String::from_utf8(first.request.body.to_vec()).unwrap();
    assert!(!body.contains("4111") && !body.contains("confirm"), "{body}");

    let second = next(read(&operation, step::CREATE, "", 200, untouched(ID).as_bytes()));
    assert_eq!(second.request.url, format!("http://stripe.test/v1/payment_intents/{ID}/confirm"));
    assert!(second.moves_money);
    assert_eq!(header(&second, "idempotency-key"), "0NbrhPvkMxYDJYWqCuIRUT-confirm");
    for (name, value) in [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][number]", "4111111111111111"),
        ("payment_method_data[card][exp_month]", "3"),
        ("payment_method_data[card][exp_year]", "2030"),
        ("payment_method_data[card][cvc]", "123"),
        ("payment_method_data[billing_details][name]", "Asha Rao"),
        ("payment_method_data[billing_details][email]", "asha@example.com"),
        ("capture_method", "automatic"),
        ("return_url", "https://pay.example/return"),
    ] {
        assert_eq!(field(&second, name), value, "{name}");
    }
    let outcome = done(read(&operation, step::CONFIRM, ID, 200, intent(ID, "succeeded", "").as_bytes()));
    assert_eq!(outcome, Outcome::Captured { processor_payment_id: ID.to_owned(), amount_minor: 10_050 });
    let shown = format!("{second:?} {:?} {:?}", stripe(), account());
    assert!(!shown.contains("4111") && !shown.contains("sk_test") && !shown.contains("whsec"), "{shown}");
}

#[test]
fn a_confirmation_is_ours_or_nothing() {
    let card = visa();
    let operation = Operation::Charge(charge(Instrument::Card(&card), usd()));
    let class = |body: &str| class(&done(read(&operation, step::CONFIRM, ID, 200, body.as_bytes())));
    let captured = intent(ID, "succeeded", "");
    assert_eq!(class(&captured), "captured 10050");
    assert_eq!(class(&captured.replace(ID, OLDER)), "unknown", "another intent");
    assert_eq!(class(&captured.replace(REFERENCE, OTHER)), "unknown", "another reference");
    assert_eq!(class(&captured.replace("usd", "eur")), "unknown", "another currency");
    assert_eq!(class(&captured.replace("received\":10050", "received\":900")), "captured 900");
    assert_eq!(class(&captured.replace("received\":10050", "received\":0")), "unknown");
    assert_eq!(class(&intent(ID, "requires_capture", "")), "authorized 10050");
    assert_eq!(class(&intent(ID, "processing", "")), "pending");
    assert_eq!(class(&untouched(ID)), "unknown");
    assert_eq!(class(&intent(ID, "something_new", "")), "unknown");
    let action = r#""next_action":{"type":"redirect_to_url","redirect_to_url":{"return_url":"https://r","url":"https://hooks.stripe.test/3ds"}},"#;
    let outcome =
        done(read(&operation, step::CONFIRM, ID, 200, intent(ID, "requires_action", action).as_bytes()));
    let url = "https://hooks.stripe.test/3ds".to_owned();
    let expected = Outcome::ActionRequired {
        processor_payment_id: Some(ID.to_owned()),
        action: NextAction::Redirect { url },
    };
    assert_eq!(outcome, expected);
    let script = r#""next_action":{"type":"use_stripe_sdk","use_stripe_sdk":{"a":[1]}},"#;
    assert_eq!(class(&intent(ID, "requires_action", script)), "pending");
}

#[test]
fn the_intent_must_be_the_one_asked_for() {
    let card = visa();
    let operation = Operation::Charge(charge(Instrument::Card(&card), usd()));
    let class =
        |status, body: &str| class(&done(read(&operation, step::CREATE, "", status, body.as_bytes())));
    let made = untouched(ID);
    for wrong in [
        made.replace("10050", "10051"),
        made.replace("usd", "eur"),
        made.replace(REFERENCE, OTHER),
        made.replace(ID, "pi_../refunds"),
        "{}".to_owned(),
    ] {
        assert_eq!(class(200, &wrong), "not taken processor_unavailable", "{wrong}");
    }
    assert_eq!(class(429, ""), "not taken processor_rate_limited");
    assert_eq!(class(500, ""), "not taken processor_unavailable");
    let refused = r#"{"error":{"type":"invalid_request_error","code":"amount_too_small","message":"m"}}"#;
    assert_eq!(class(400, refused), "not taken processor_rejected");
    assert_eq!(class(401, refused), "not taken processor_rejected");
}

#[test]
fn refused_confirmations() {
    let card = visa();
    let operation = Operation::Charge(charge(Instrument::Card(&card), usd()));
    let class =
        |status, body: &str| class(&done(read(&operation, step::CONFIRM, ID, status, body.as_bytes())));
    let error = |kind: &str, code: &str, decline: &str, more: &str| {
        format!(
            r#"{{"error":{{"type":"{kind}","code":"{code}","decline_code":"{decline}","message":"m"{more}}}}}"#
        )
    };
    let with = |intent: &str| format!(r#","payment_intent":{intent}"#);
    let after = with(&failed("card_declined", "generic_decline"));
    for (decline, expected) in [
        ("insufficient_funds", "declined insufficient_funds"),
        ("generic_decline", "declined card_declined"),
        ("something_new", "declined card_declined"),
        ("stolen_card", "declined instrument_invalid"),
        ("fraudulent", "declined processor_risk_declined"),
        ("issuer_not_available", "declined issuer_unavailable"),
        ("card_velocity_exceeded", "declined limit_exceeded"),
        ("authentication_required", "declined authentication_failed"),
    ] {
        assert_eq!(class(402, &error("card_error", "card_declined", decline, &after)), expected);
    }
    assert_eq!(class(402, &error("card_error", "something_new", "", &after)), "declined card_declined");
    assert_eq!(class(402, &error("card_error", "something_new", "", "")), "unknown");
    assert_eq!(class(402, &error("card_error", "incorrect_number", "", "")), "declined instrument_invalid");
    // An error beside an intent that may have been charged, or that is somebody else's, proves nothing.
    for other in [intent(ID, "succeeded", ""), intent(ID, "processing", ""), untouched(OLDER)] {
        assert_eq!(class(402, &error("card_error", "card_declined", "", &with(&other))), "unknown");
        assert_eq!(
            class(400, &error("invalid_request_error", "parameter_missing", "", &with(&other))),
            "unknown"
        );
    }
    for (status, kind, code, expected) in [
        (400, "invalid_request_error", "parameter_missing", "not taken processor_rejected"),
        (400, "invalid_request_error", "", "not taken processor_rejected"),
        (400, "invalid_request_error", "payment_intent_unexpected_state", "unknown"),
        (400, "idempotency_error", "", "unknown"),
        (401, "invalid_request_error", "", "not taken processor_rejected"),
        (404, "invalid_request_error", "resource_missing", "not taken processor_rejected"),
        (402, "invalid_request_error", "", "unknown"),
        (409, "idempotency_error", "idempotency_key_in_use", "unknown"),
        (424, "invalid_request_error", "", "unknown"),
        (429, "invalid_request_error", "rate_limit", "not taken processor_rate_limited"),
        (429, "invalid_request_error", "lock_timeout", "unknown"),
        (500, "api_error", "", "unknown"),
        (503, "card_error", "card_declined", "unknown"),
        (400, "api_error", "", "unknown"),
    ] {
        assert_eq!(class(status, &error(kind, code, "", "")), expected, "{status} {kind} {code}");
    }
    assert_eq!(class(402, "<html>"), "unknown");
    let failure = match done(read(
        &operation,
        step::CONFIRM,
        ID,
        402,
        error("card_error", "card_declined", "lost_card", &after).as_bytes(),
    )) {
        Outcome::Declined(failure) => failure,
        other => panic!("{other:?}"),
    };
    assert_eq!(failure.processor_code.as_deref(), Some("lost_card"));
}

#[test]
fn an_enquiry_by_our_reference_charges_nothing() {
    let enquiry = Operation::EnquireCharge { charge: handle(None) };
    let card = visa();
    let made = stripe().start(&Operation::Charge(charge(Instrument::Card(&card), usd()))).unwrap();
    let first = stripe().start(&enquiry).unwrap();
    // Byte for byte what the charge sent, or Stripe would refuse the repetition.
    assert_eq!(first.request.body, made.request.body);
    assert_eq!(first.request.url, made.request.url);
    assert_eq!(header(&first, "idempotency-key"), header(&made, "idempotency-key"));
    assert!(!first.moves_money);

    // The saved reply is from before the confirmation: only the intent itself tells.
    let second = next(read(&enquiry, step::CREATE, "", 200, untouched(ID).as_bytes()));
    assert_eq!(second.request.url, format!("http://stripe.test/v1/payment_intents/{ID}"));
    let look = |body: &str| class(&done(read(&enquiry, step::LOOK, ID, 200, body.as_bytes())));
    assert_eq!(look(&intent(ID, "succeeded", r#""latest_charge":"ch_1","#)), "captured 10050");
    assert_eq!(look(&intent(ID, "requires_capture", "")), "authorized 10050");
    assert_eq!(look(&failed("card_declined", "insufficient_funds")), "declined insufficient_funds");
    assert_eq!(look(&failed("something_new", "")), "declined card_declined");
    assert_eq!(look(&intent(ID, "canceled", r#""latest_charge":"ch_1","#)), "Voided");
    assert_eq!(look(&intent(ID, "canceled", "")), "declined customer_cancelled");
    let charged = intent(ID, "requires_payment_method", r#""latest_charge":"ch_1","#);
    assert_eq!(look(&charged), "unknown");
    assert_eq!(look(&intent(ID, "succeeded", "").replace(REFERENCE, OTHER)), "unknown");

    // Untouched: the key may have been forgotten, and this one been made by the enquiry.
    let third = next(read(&enquiry, step::LOOK, ID, 200, untouched(ID).as_bytes()));
    let search = "http://stripe.test/v1/payment_intents/search?limit=100&query=metadata%5B%27tollgate_reference%27%5D%3A%270NbrhPvkMxYDJYWqCuIRUT%27";
    assert_eq!(third.request.url, search);
    let page = |items: &str| format!(r#"{{"object":"search_result","has_more":false,"data":[{items}]}}"#);
    let found = |items: &str| read(&enquiry, step::SEARCH, ID, 200, page(items).as_bytes());
    assert_eq!(done(found("")), Outcome::NotFound);
    assert_eq!(done(found(&untouched(ID))), Outcome::NotFound);
    let older = intent(OLDER, "succeeded", "").replace("1763700000", "1763600000");
    let lower = older.replace(REFERENCE, &REFERENCE.to_lowercase());
    assert_eq!(done(found(&lower)), Outcome::NotFound, "the search ignores case, references do not");
    let fourth = next(found(&format!("{},{older}", untouched(ID))));
    assert_eq!(fourth.request.url, format!("http://stripe.test/v1/payment_intents/{OLDER}"));
    let outcome = done(read(&enquiry, step::LOOK_AGAIN, OLDER, 200, older.as_bytes()));
    assert_eq!(class(&outcome), "captured 10050");

    for status in [400, 401, 429, 500] {
        let lost = done(read(&enquiry, step::LOOK, ID, status, b"{}"));
        assert_eq!(class(&lost), "unknown");
    }
    let missing = br#"{"error":{"type":"invalid_request_error","code":"resource_missing","message":"m"}}"#;
    assert_eq!(done(read(&enquiry, step::LOOK, ID, 404, missing)), Outcome::NotFound);
    // A key of an earlier release: the search is asked at once.
    let mismatch = br#"{"error":{"type":"idempotency_error","message":"m"}}"#;
    let search = next(read(&enquiry, step::CREATE, "", 400, mismatch));
    assert!(search.request.url.contains("/search?"), "{}", search.request.url);
    let blind = Stripe::new(StripeAccount { search: false, ..account() });
    let step = Step { index: step::LOOK, carry: Some(ID.to_owned()) };
    let body = untouched(ID);
    let response = HttpResponse { status: 200, body: body.as_bytes() };
    assert_eq!(done(blind.read(&enquiry, &step, &response)), Outcome::NotFound);

    let known = Operation::EnquireCharge { charge: handle(Some(ID)) };
    let call = stripe().start(&known).unwrap();
    assert_eq!(call.request.url, format!("http://stripe.test/v1/payment_intents/{ID}"));
    let outcome = done(read(&known, step::LOOK_AGAIN, ID, 200, untouched(ID).as_bytes()));
    assert_eq!(outcome, Outcome::NotFound);
}

#[test]
fn captures_and_voids() {
    let part = Money::new(4_000, Currency::USD);
    let capture = Operation::Capture { charge: handle(Some(ID)), reference: OTHER, amount: part };
    let call = stripe().start(&capture).unwrap();
    assert_eq!(call.request.url, format!("http://stripe.test/v1/payment_intents/{ID}/capture"));
    assert_eq!(header(&call, "idempotency-key"), OTHER);
    assert_eq!(field(&call, "amount_to_capture"), "4000");
    let act = |operation: &Operation<'_>, status, body: &str| {
        class(&done(read(operation, step::ACT, ID, status, body.as_bytes())))
    };
    let captured = intent(ID, "succeeded", "").replace("received\":10050", "received\":4000");
    assert_eq!(act(&capture, 200, &captured), "captured 4000");
    assert_eq!(act(&capture, 200, &intent(ID, "requires_capture", "")), "unknown");
    assert_eq!(act(&capture, 500, &captured), "unknown");
    let refused = |intent: &str| {
        format!(
            r#"{{"error":{{"type":"invalid_request_error","code":"payment_intent_unexpected_state","message":"m","payment_intent":{intent}}}}}"#
        )
    };
    let gone = refused(&intent(ID, "canceled", ""));
    assert_eq!(act(&capture, 400, &gone), "declined processor_rejected");
    let done_before = refused(&intent(ID, "succeeded", ""));
    assert_eq!(act(&capture, 400, &done_before), "unknown", "captured by an earlier request");
    assert_eq!(act(&capture, 429, ""), "not taken processor_rate_limited");

    let void = Operation::Void { charge: handle(Some(ID)), reference: OTHER };
    let call = stripe().start(&void).unwrap();
    assert!(call.request.url.ends_with("/cancel") && call.moves_money);
    assert_eq!(act(&void, 200, &intent(ID, "canceled", "")), "Voided");
    assert_eq!(act(&void, 400, &gone), "Voided", "cancelled before");
    assert_eq!(act(&void, 400, &done_before), "declined processor_rejected");
    assert_eq!(act(&void, 502, ""), "unknown");

    // Without Stripe's id the charge is looked up first, and its loss is harmless.
    let unknown = Operation::Capture { charge: handle(None), reference: OTHER, amount: part };
    assert!(!stripe().start(&unknown).unwrap().moves_money);
    let held = intent(ID, "requires_capture", "");
    let call = next(read(&unknown, step::LOOK, ID, 200, held.as_bytes()));
    assert!(call.request.url.ends_with("/capture") && call.moves_money);
    let lost = done(read(&unknown, step::LOOK, ID, 500, b""));
    assert_eq!(class(&lost), "not taken processor_unavailable");
    let nothing = br#"{"object":"search_result","data":[]}"#;
    let outcome = done(read(&unknown, step::SEARCH, ID, 200, nothing));
    assert_eq!(class(&outcome), "not taken processor_rejected");
}

#[test]
fn refunds() {
    let amount = Money::new(5_000, Currency::USD);
    let refund = Operation::Refund { charge: handle(Some(ID)), reference: OTHER, amount };
    let call = stripe().start(&refund).unwrap();
    assert_eq!(call.request.url, "http://stripe.test/v1/refunds");
    assert_eq!(header(&call, "idempotency-key"), OTHER);
    assert_eq!(field(&call, "payment_intent"), ID);
    assert_eq!(field(&call, "metadata[tollgate_reference]"), OTHER);
    let entity = |status: &str| {
        format!(
            r#"{{"id":"re_3MtwBwLkdIwHu7ix1","object":"refund","amount":5000,"currency":"usd","metadata":{{"tollgate_reference":"{OTHER}"}},"payment_intent":"{ID}","status":"{status}"}}"#
        )
    };
    let act = |status, body: &str| class(&done(read(&refund, step::ACT, ID, status, body.as_bytes())));
    assert_eq!(act(200, &entity("succeeded")), "refunded 5000");
    assert_eq!(act(200, &entity("succeeded").replace("re_3", "pyr_3")), "refunded 5000");
    assert_eq!(act(200, &entity("pending")), "pending");
    assert_eq!(act(200, &entity("failed")), "declined processor_rejected");
    assert_eq!(act(200, &entity("succeeded").replace(OTHER, REFERENCE)), "unknown");
    assert_eq!(act(200, &entity("succeeded").replace(ID, OLDER)), "unknown");
    let error = |code: &str| {
        format!(r#"{{"error":{{"type":"invalid_request_error","code":"{code}","message":"m"}}}}"#)
    };
    assert_eq!(act(400, &error("")), "declined processor_rejected");
    assert_eq!(act(400, &error("balance_insufficient")), "declined processor_rejected");
    assert_eq!(act(400, &error("charge_already_refunded")), "unknown");
    assert_eq!(act(401, &error("")), "not taken processor_rejected");
    assert_eq!(act(500, &error("")), "unknown");

    let enquiry = Operation::EnquireRefund { charge: handle(Some(ID)), reference: OTHER, amount };
    let call = stripe().start(&enquiry).unwrap();
    let url = format!("http://stripe.test/v1/refunds?payment_intent={ID}&limit=100");
    assert_eq!(call.request.url, url);
    let page = |items: &str, more: bool| {
        format!(r#"{{"object":"list","data":[{items}],"has_more":{more},"url":"/v1/refunds"}}"#)
    };
    let pages = |body: String| read(&enquiry, step::PAGES, ID, 200, body.as_bytes());
    assert_eq!(class(&done(pages(page(&entity("succeeded"), false)))), "refunded 5000");
    assert_eq!(done(pages(page("", false))), Outcome::NotFound);
    let other = entity("succeeded").replace(OTHER, REFERENCE);
    let call = next(pages(page(&other, true)));
    assert_eq!(call.request.url, format!("{url}&starting_after=re_3MtwBwLkdIwHu7ix1"));
    let last = step::PAGES + PAGES_MAX;
    let outcome = done(read(&enquiry, last, ID, 200, page(&other, true).as_bytes()));
    assert_eq!(class(&outcome), "unknown");
    let odd = page(&other.replace("re_3MtwBwLkdIwHu7ix1", "re_1&x=y"), true);
    assert_eq!(class(&done(pages(odd))), "unknown");
}

#[test]
fn lenders() {
    let sent = |provider: &str, currency: &str| {
        let plan = plan(provider);
        let amount = Money::new(10_050, currency.parse().unwrap());
        let operation = Operation::Charge(charge(Instrument::Bnpl { plan: &plan }, amount));
        stripe().start(&operation).map(|_| {
            let made = untouched(ID).replace("usd", &currency.to_lowercase());
            next(read(&operation, step::CREATE, "", 200, made.as_bytes()))
        })
    };
    let klarna = sent("klarna", "SEK").unwrap();
    assert_eq!(field(&klarna, "payment_method_data[type]"), "klarna");
    assert_eq!(field(&klarna, "payment_method_data[billing_details][address][country]"), "SE");
    let euro = sent("klarna", "EUR").unwrap();
    assert_eq!(field(&euro, "payment_method_data[billing_details][address][country]"), "");
    assert_eq!(field(&sent("afterpay", "AUD").unwrap(), "payment_method_data[type]"), "afterpay_clearpay");
    for (provider, currency) in
        [("klarna", "INR"), ("afterpay", "EUR"), ("afterpay", "SEK"), ("lazypay", "USD")]
    {
        assert!(matches!(sent(provider, currency), Err(BuildError::Unsupported { .. })), "{provider}");
    }
    let without = Stripe::new(StripeAccount { afterpay: false, ..account() });
    let rule = without.capabilities().rule(MethodFamily::Bnpl).unwrap();
    assert_eq!(rule.providers, ["klarna"]);
}

#[test]
fn what_cannot_be_charged_is_never_sent() {
    let unsupported = |charge: Charge<'_>| {
        matches!(stripe().start(&Operation::Charge(charge)), Err(BuildError::Unsupported { .. }))
    };
    let upi = Instrument::Upi { flow: UpiFlow::Collect, vpa: Some("a@upi") };
    assert!(unsupported(charge(upi, usd())));
    assert!(unsupported(charge(Instrument::Wallet { provider: "paytm" }, usd())));
    assert!(unsupported(charge(Instrument::NetBanking { bank: "HDFC" }, usd())));
    let token = NetworkToken { cryptogram: Secret::new("x"), eci: None };
    let token = CardSecret { network_token: Some(token), ..visa() };
    assert!(unsupported(charge(Instrument::Card(&token), usd())));
    let card = visa();
    assert!(unsupported(Charge { return_url: None, ..charge(Instrument::Card(&card), usd()) }));
    assert!(unsupported(charge(Instrument::Card(&card), Money::new(10_051, Currency::KWD))));
    assert!(!unsupported(charge(Instrument::Card(&card), usd())));
}

#[test]
fn a_challenge_is_asked_for_with_the_confirmation() {
    let card = visa();
    for challenge in [true, false] {
        let operation = Operation::Charge(Charge { challenge, ..charge(Instrument::Card(&card), usd()) });
        let call = next(read(&operation, step::CREATE, "", 200, untouched(ID).as_bytes()));
        let fields = Fields::parse(&call.request.body).unwrap();
        let asked = fields.get("payment_method_options[card][request_three_d_secure]");
        assert_eq!(asked.unwrap_or_default(), if challenge { "challenge" } else { "" });
    }
}

#[test]
fn the_customers_statement() {
    let card = visa();
    let wanted = Charge {
        statement_descriptor: Some("Rao's *Tea* <House> of the Nilgiris"),
        ..charge(Instrument::Card(&card), usd())
    };
    let operation = Operation::Charge(wanted);
    let call = next(read(&operation, step::CREATE, "", 200, untouched(ID).as_bytes()));
    assert_eq!(call.request.url, format!("http://stripe.test/v1/payment_intents/{ID}"));
    assert!(!call.moves_money);
    assert_eq!(field(&call, "statement_descriptor_suffix"), "Raos Tea House of the");
    assert_eq!(field(&call, "description"), "Tea");
    for (status, body) in [(200, untouched(ID)), (400, "{}".to_owned())] {
        let call = next(read(&operation, step::DESCRIBE, ID, status, body.as_bytes()));
        assert!(call.request.url.ends_with("/confirm") && call.moves_money);
    }
}

const TIME: &str = "1763700000";
const SIGNATURE: &str = "96f69c79a3b10d34711d10d18898096db6672daff319c3f6d373208efc9fabf4";
const WEBHOOK: &str = r#"{"id":"evt_3MtwBwLkdIwHu7ix","object":"event","api_version":"2025-09-30.clover","created":1763700000,"data":{"object":{"id":"pi_3MtwBwLkdIwHu7ix28a3tqPa","object":"payment_intent","amount":10050,"amount_capturable":0,"amount_received":10050,"currency":"usd","last_payment_error":null,"latest_charge":"ch_3MtwBwLkdIwHu7ix2","metadata":{"tollgate_reference":"0NbrhPvkMxYDJYWqCuIRUT"},"next_action":null,"status":"succeeded"}},"livemode":false,"type":"payment_intent.succeeded"}"#;

fn webhook(body: &[u8], signature: &str) -> Result<WebhookMessage, WebhookError> {
    let header = |name: &str| (name == "stripe-signature").then_some(signature);
    stripe().webhook(&WebhookRequest { header: &header, body })
}

#[test]
fn webhooks() {
    let header = format!("t={TIME},v1={SIGNATURE}");
    let message = webhook(WEBHOOK.as_bytes(), &header).unwrap();
    assert_eq!(message.dedupe_key, "evt_3MtwBwLkdIwHu7ix");
    let subject = message.subject.unwrap();
    assert_eq!(subject.reference, REFERENCE);
    assert_eq!(class(&subject.outcome), "captured 10050");
    // While a secret is being rolled there are two signatures; `v0` belongs to test events.
    let other = "0".repeat(64);
    for good in [
        format!("t={TIME},v1={other},v1={SIGNATURE}"),
        format!("t={TIME},v1={SIGNATURE},v1={other},v0={other}"),
        format!("t={TIME}, v1={SIGNATURE}"),
    ] {
        assert!(webhook(WEBHOOK.as_bytes(), &good).is_ok(), "{good}");
    }
    for bad in [
        String::new(),
        format!("v1={SIGNATURE}"),
        format!("t={TIME}"),
        format!("t={TIME},v0={SIGNATURE}"),
        format!("t=1763700001,v1={SIGNATURE}"),
        format!("t={TIME},t={TIME},v1={SIGNATURE}"),
        format!("t={TIME},v1={}", SIGNATURE.to_uppercase()),
        format!("t={TIME}{}", format!(",v1={other}").repeat(20) + &format!(",v1={SIGNATURE}")),
    ] {
        assert_eq!(webhook(WEBHOOK.as_bytes(), &bad), Err(WebhookError::Signature), "{bad}");
    }
    for place in 0..WEBHOOK.len() {
        let mut body = WEBHOOK.as_bytes().to_vec();
        body[place] ^= 0x01;
        assert_eq!(webhook(&body, &header), Err(WebhookError::Signature));
    }
}

/// What an event of this kind about this object says, read behind the signature.
fn told(kind: &str, object: &str) -> Option<String> {
    use hmac::{Hmac, KeyInit, Mac};
    let body = format!(r#"{{"id":"evt_1","object":"event","data":{{"object":{object}}},"type":"{kind}"}}"#);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"whsec_of_the_endpoint").unwrap();
    mac.update(format!("{TIME}.{body}").as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let message = webhook(body.as_bytes(), &format!("t={TIME},v1={signature}")).unwrap();
    message.subject.map(|subject| class(&subject.outcome))
}

#[test]
fn events() {
    let says = |kind: &str, object: &str| told(kind, object).unwrap_or_default();
    assert_eq!(says("payment_intent.created", &untouched(ID)), "");
    assert_eq!(says("payment_intent.processing", &intent(ID, "processing", "")), "pending");
    assert_eq!(
        says("payment_intent.amount_capturable_updated", &intent(ID, "requires_capture", "")),
        "authorized 10050"
    );
    assert_eq!(
        says("payment_intent.payment_failed", &failed("card_declined", "expired_card")),
        "declined instrument_invalid"
    );
    assert_eq!(
        says("payment_intent.canceled", &intent(ID, "canceled", r#""latest_charge":"ch_1","#)),
        "Voided"
    );
    let action = r#""next_action":{"redirect_to_url":{"url":"https://x"},"type":"redirect_to_url"},"#;
    assert_eq!(says("payment_intent.requires_action", &intent(ID, "requires_action", action)), "action");
    let foreign = intent(ID, "succeeded", "").replace("tollgate_reference", "order");
    assert_eq!(told("payment_intent.succeeded", &foreign), None);
    let refund = format!(
        r#"{{"id":"re_1","amount":500,"currency":"isk","metadata":{{"tollgate_reference":"{OTHER}"}},"payment_intent":"{ID}","status":"succeeded"}}"#
    );
    assert_eq!(says("refund.created", &refund), "refunded 5", "krónur are written in hundredths");
    assert_eq!(says("refund.updated", &refund.replace("500", "550")), "unknown");
    assert_eq!(says("charge.refund.updated", &refund), "refunded 5");
    assert_eq!(says("refund.failed", &refund.replace("succeeded", "failed")), "declined processor_rejected");
    assert_eq!(told("charge.refunded", r#"{"id":"ch_1","amount_refunded":500}"#), None);
}

#[test]
fn the_browser_proves_nothing() {
    let query = format!("payment_intent={ID}&redirect_status=succeeded");
    let request = crate::webhook::CallbackRequest { reference: REFERENCE, query: &query, body: b"" };
    assert_eq!(stripe().callback(&request), Ok(crate::webhook::Callback::Ask));
}

#[test]
fn accounts_are_read_strictly() {
    let read = |text: &str| serde_json::from_str::<crate::registry::Account>(text);
    let minimal = r#"{"type":"stripe","secret_key":"sk","webhook_secret":"w"}"#;
    let connector = read(minimal).unwrap().connector();
    assert_eq!((connector.kind(), connector.base_url()), ("stripe", "https://api.stripe.com"));
    assert!(read(&minimal.replace("\"sk\"", "\"sk\",\"serach\":true")).is_err());
}

/// Stripe's own rules, written a second time: docs.stripe.com/currencies.
fn major_of(written: i64, code: &str) -> (i64, i64) {
    let zero = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF";
    let per_major = match code {
        code if zero.contains(code) => 1,
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => 1_000,
        _ => 100,
    };
    (written / per_major, written % per_major * (1_000 / per_major))
}

fn ours_as_major(amount: Money) -> (i64, i64) {
    let per_major = 10_i64.pow(amount.currency.exponent());
    (amount.minor / per_major, amount.minor % per_major * (1_000 / per_major))
}

fn operations() -> Vec<Operation<'static>> {
    let plan: &'static BnplPlan = Box::leak(Box::new(plan("klarna")));
    let id = Some(ID);
    vec![
        Operation::Charge(charge(Instrument::Bnpl { plan }, usd())),
        Operation::Capture { charge: handle(None), reference: OTHER, amount: usd() },
        Operation::Void { charge: handle(id), reference: OTHER },
        Operation::Refund { charge: handle(id), reference: OTHER, amount: usd() },
        Operation::EnquireCharge { charge: handle(id) },
        Operation::EnquireRefund { charge: handle(id), reference: OTHER, amount: usd() },
    ]
}

fn is_success_outcome(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Authorized { .. } | Outcome::Captured { .. } | Outcome::Refunded { .. } | Outcome::Voided
    )
}

proptest! {
    #[test]
    fn nonsense_never_reads_as_success(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        text in "[\\[\\]{}\":,a-z0-9_ ]{0,120}",
        status in prop_oneof![Just(200_u16), 100..600_u16],
        index in prop_oneof![0..8_u8, 9..32_u8],
    ) {
        for operation in operations() {
            for body in [&bytes[..], text.as_bytes()] {
                if let Progress::Done(outcome) = read(&operation, index, ID, status, body) {
                    prop_assert!(!is_success_outcome(&outcome), "{:?}", outcome);
                }
            }
        }
        let header = format!("t={TIME},v1={SIGNATURE}");
        prop_assert!(webhook(&bytes, &header).is_err());
        prop_assert!(webhook(text.as_bytes(), &header).is_err());
        let header = String::from_utf8_lossy(&bytes);
        prop_assert!(webhook(WEBHOOK.as_bytes(), &header).is_err());
    }

    /// No single changed character of a reply makes it say that more was taken than it says.
    #[test]
    fn a_changed_reply_never_names_another_payment(place in 0..320_usize, byte in any::<u8>()) {
        let mut body = intent(ID, "succeeded", "").into_bytes();
        let place = place % body.len();
        body[place] = byte;
        let operation = Operation::EnquireCharge { charge: handle(Some(ID)) };
        if let Progress::Done(Outcome::Captured { processor_payment_id, .. }) =
            read(&operation, step::LOOK_AGAIN, ID, 200, &body)
        {
            prop_assert_eq!(processor_payment_id, ID);
        }
    }

    #[test]
    fn the_wire_carries_our_amount(minor in 1..=tollgate_core::money::AMOUNT_MINOR_MAX) {
        let (card, plan) = (visa(), plan("klarna"));
        let stripe = stripe();
        for rule in &stripe.capabilities().methods {
            let instrument = match rule.family {
                MethodFamily::Card => Instrument::Card(&card),
                _ => Instrument::Bnpl { plan: &plan },
            };
            let whole = (minor / 1_000 + 1) * 1_000;
            let amounts = rule.currencies.iter().flat_map(|it| [Money::new(minor, *it), Money::new(whole, *it)]);
            for amount in amounts {
                let currency = amount.currency;
                let handle = handle_of(Some(ID), amount);
                let capture = Operation::Capture { charge: handle, reference: OTHER, amount };
                let refund = Operation::Refund { charge: handle, reference: OTHER, amount };
                let calls = [
                    (stripe.start(&Operation::Charge(charge(instrument, amount))), "amount"),
                    (stripe.start(&capture), "amount_to_capture"),
                    (stripe.start(&refund), "amount"),
                ];
                for (call, name) in calls {
                    let Ok(call) = call else {
                        prop_assert!(
                            currency.exponent() == 3 && amount.minor % 10 != 0
                                || currency.code() == "MGA" && amount.minor % 100 != 0
                        );
                        continue;
                    };
                    let written: i64 = field(&call, name).parse().unwrap();
                    prop_assert_eq!(major_of(written, currency.code()), ours_as_major(amount));
                    prop_assert!(currency.exponent() != 3 || written % 10 == 0);
                    // And what comes back is what was sent.
                    prop_assert_eq!(amount::from_wire(written, currency), Some(amount.minor));
                }
            }
        }
    }
}
