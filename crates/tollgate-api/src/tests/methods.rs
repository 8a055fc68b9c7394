//! How customers can pay: banks, wallets, plans and codes, with a processor that takes some of them.

use super::*;
use base64::Engine as _;
use std::sync::Arc;
use tollgate_connectors::capability::{Capabilities, MethodRule};
use tollgate_connectors::webhook::{WebhookError, WebhookMessage, WebhookRequest};
use tollgate_connectors::wire::HttpResponse;
use tollgate_connectors::{BuildError, Call, Connector, Operation, Progress, Step};
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::command::Command;
use tollgate_core::currency::Currency;
use tollgate_core::emv_qr::MerchantQr;
use tollgate_core::event::PaymentTerms;
use tollgate_core::id::{AttemptId, EventId};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodFamily, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_core::upi_link::UpiLink;
use tollgate_store::commit::Commit;

/// A processor that takes some methods and is never called.
#[derive(Debug)]
struct Table(Capabilities);

impl Connector for Table {
    fn kind(&self) -> &'static str {
        "table"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    fn base_url(&self) -> &str {
        "http://127.0.0.1:1"
    }

    fn start(&self, _: &Operation<'_>) -> Result<Call, BuildError> {
        Err(BuildError::Unsupported { processor: "table".into(), what: "anything" })
    }

    fn read(&self, _: &Operation<'_>, _: &Step, _: &HttpResponse<'_>) -> Progress {
        unreachable!()
    }

    fn webhook(&self, _: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        Err(WebhookError::Malformed)
    }
}

fn table(methods: Vec<MethodRule>) -> Processor {
    Processor {
        name: ProcessorName::new("table"),
        connector: Box::new(Table(Capabilities { methods, ..Capabilities::default() })),
        timeout: Duration::from_secs(1),
        probe_address: "127.0.0.1:1".to_owned(),
        merchants: Vec::new(),
        login: Default::default(),
        traits: Default::default(),
        template: None,
        own: None,
    }
}

pub(super) async fn shop() -> Api {
    let inr = &[Currency::INR];
    api_with(vec![table(vec![
        MethodRule::new(MethodFamily::NetBanking, inr).of(["HDFC", "PUNB"]),
        MethodRule::new(MethodFamily::UpiIntent, &[Currency::INR, Currency::USD]),
        MethodRule::new(MethodFamily::Wallet, inr).of(["mobikwik"]),
        MethodRule::new(MethodFamily::Emi, inr).of(["HDFC", "SBIN"]),
        MethodRule::new(MethodFamily::Bnpl, inr).of(["lazypay", "klarna"]).within(100, 500_000),
    ])])
    .await
}

#[tokio::test]
async fn banks_and_wallets_are_those_of_the_processors() {
    let shop = shop().await;
    let banks = shop.get("/api/v1/banks").await.json();
    let bank = |code: &str, name: &str, net_banking: bool, emi: bool| json!({ "code": code, "name": name, "net_banking": net_banking, "emi": emi });
    assert_eq!(
        banks["data"],
        json!([
            bank("SBIN", "State Bank of India", false, true),
            bank("HDFC", "HDFC Bank", true, true),
            bank("PUNB", "Punjab National Bank", true, false),
        ])
    );
    let wallets = shop.get("/api/v1/wallets").await.json();
    assert_eq!(wallets["data"], json!([{ "code": "mobikwik", "name": "MobiKwik", "currencies": ["INR"] }]));
    assert_eq!(shop.get("/api/v1/banks?x=1").await.problem(), "invalid_parameter");
    let nobody = api().await;
    for path in ["/api/v1/banks", "/api/v1/wallets", "/api/v1/emi/plans?amount=5000"] {
        assert_eq!(nobody.get(path).await.json(), json!({ "data": [] }), "{path}");
    }
}

#[tokio::test]
async fn instalment_plans() {
    let shop = shop().await;
    let plans = shop.get("/api/v1/emi/plans?amount=50000.00&currency=INR").await.json();
    // Six of HDFC and four of SBIN, but none of ICICI, which no processor takes.
    assert_eq!(plans["data"].as_array().unwrap().len(), 10);
    let one = shop.get("/api/v1/emi/plans?amount=50000&bank=HDFC").await.json()["data"][1].clone();
    let expected = [
        ("bank_name", "HDFC Bank"),
        ("annual_rate_percent", "15.00"),
        ("instalment", "8701.69"),
        ("interest", "2210.14"),
        ("total", "52210.14"),
    ];
    for (name, value) in expected {
        assert_eq!(one[name], value, "{name}");
    }
    assert_eq!((&one["tenure_months"], one["schedule"].as_array().unwrap().len()), (&json!(6), 6));
    assert_eq!(one["schedule"][5]["balance"], "0.00");
    assert_eq!(one["no_cost"]["instalment"], "8333.33");
    assert_eq!(one["no_cost"]["subvention"], "2116.58");
    for (query, field) in [
        ("", "amount"),
        ("?amount=0", "amount"),
        ("?amount=1.001", "amount"),
        ("?amount=5000&bank=!", "bank"),
        ("?amount=5000&currency=inr", "currency"),
    ] {
        let reply = shop.get(&format!("/api/v1/emi/plans{query}")).await;
        assert_eq!(reply.problem(), "invalid_parameter", "{query}");
        assert_eq!(reply.json()["field"], field, "{query}");
    }
    assert_eq!(shop.get("/api/v1/emi/plans?amount=5000&currency=USD").await.json(), json!({ "data": [] }));
    assert_eq!(shop.get("/api/v1/emi/plans?amount=10").await.json(), json!({ "data": [] }));
}

#[tokio::test]
async fn who_would_lend() {
    let shop = shop().await;
    let ask = |amount: &str, customer: Value| {
        let body = json!({ "amount": amount, "currency": "INR", "customer": customer });
        shop.post("/api/v1/bnpl/eligibility", body.to_string())
    };
    let known = json!({ "phone": "+919876543210", "email": "asha@example.com" });
    let reply = ask("1500.00", known.clone()).await.json();
    let reasons: Vec<_> = reply["data"].as_array().unwrap().iter().map(|it| &it["reason"]).collect();
    assert_eq!(reasons, [&json!(null), &json!("no_processor"), &json!("currency"), &json!("currency")]);
    let lazypay = &reply["data"][0];
    assert_eq!((&lazypay["lender"], &lazypay["eligible"]), (&json!("lazypay"), &json!(true)));
    assert_eq!(lazypay["plans"][0]["plan"], "pay_later");
    assert_eq!(lazypay["plans"][0]["schedule"][0]["amount"], "1500.00");
    assert_eq!(ask("1500.00", json!({})).await.json()["data"][0]["reason"], "phone_required");
    assert_eq!(ask("20000.00", known.clone()).await.json()["data"][0]["reason"], "amount_too_large");
    // Within the lender's limits, but above the processor's.
    assert_eq!(ask("6000.00", known).await.json()["data"][0]["reason"], "no_processor");
    for body in ["{}", r#"{"amount":1,"currency":"INR","lender":"x"}"#] {
        assert_eq!(shop.post("/api/v1/bnpl/eligibility", body).await.problem(), "invalid_field");
    }
}

#[tokio::test]
async fn a_plan_that_is_not_offered_is_refused_before_anything_begins() {
    let shop = shop().await;
    let card = json!({ "number": "4111111111111111", "exp_month": 12, "exp_year": 2040 });
    let pay = |amount: &str, method: Value| {
        let body = json!({ "amount": amount, "currency": "INR", "payment_method": method });
        shop.post("/api/v1/payments", body.to_string())
    };
    let emi = |bank: &str, tenure: u8| json!({ "type": "emi", "card": card, "emi": { "bank": bank, "tenure_months": tenure } });
    let bnpl = |plan: &str| json!({ "type": "bnpl", "bnpl": { "lender": "lazypay", "plan": plan } });
    for (amount, method, field) in [
        ("5000.00", emi("HDFC", 7), "/payment_method/emi/tenure_months"),
        ("5000.00", emi("PUNB", 6), "/payment_method/emi/bank"),
        ("10.00", emi("HDFC", 6), "/amount"),
        (
            "5000.00",
            json!({ "type": "emi", "emi": { "bank": "HDFC", "tenure_months": 6 } }),
            "/payment_method/card",
        ),
        ("5000.00", json!({ "type": "emi", "card": card }), "/payment_method/emi"),
        ("500.00", bnpl("pay_in_3"), "/payment_method/bnpl/plan"),
        ("500.00", bnpl("never"), "/payment_method/bnpl/plan"),
        ("500.00", bnpl("pay_later"), "/customer/phone"),
    ] {
        let reply = pay(amount, method).await;
        assert_eq!((reply.problem().as_str(), &reply.json()["field"]), ("invalid_field", &json!(field)));
    }
    assert_eq!(shop.state.engine().vault().held(), 0);
}

#[tokio::test]
async fn codes_of_a_merchant() {
    let shop = shop().await;
    let mut body = json!({ "vpa": "shop@okbank", "name": "Corner & Shop", "city": "Pune" });
    let make = |body: &Value| shop.post("/api/v1/qr_codes", body.to_string());
    let fixed = make(&body).await.json();
    assert_eq!((&fixed["object"], &fixed["kind"]), (&json!("qr_code"), &json!("static")));
    body["amount"] = json!(125.5);
    body["currency"] = json!("INR");
    body["reference"] = json!("ORD-7001");
    let code = make(&body).await.json();
    assert_eq!(code["kind"], "dynamic");
    let amount = Some(Money::new(12_550, Currency::INR));
    let link = UpiLink::parse(code["link"]["payload"].as_str().unwrap()).unwrap();
    assert_eq!((link.payee_name.as_str(), link.amount), ("Corner & Shop", amount));
    let emv = MerchantQr::parse(code["emv"]["payload"].as_str().unwrap()).unwrap();
    assert_eq!((emv.city.as_str(), emv.amount, emv.reference.as_deref()), ("Pune", amount, Some("ORD-7001")));
    for form in ["link", "emv"] {
        assert!(
            code[form]["svg"]
                .as_str()
                .unwrap()
                .contains("<title id=\"qr-title\">UPI QR code of Corner &amp; Shop<")
        );
        let png =
            base64::engine::general_purpose::STANDARD.decode(code[form]["png_base64"].as_str().unwrap());
        assert!(png.unwrap().starts_with(b"\x89PNG"));
    }
    for (name, value, field) in [
        ("vpa", json!("nobody"), "/vpa"),
        ("name", json!("Café"), "/name"),
        ("city", json!(null), "/city"),
        ("currency", json!("USD"), "/currency"),
        ("reference", json!("a b"), "/reference"),
        ("note", json!(""), "/note"),
        ("merchant_category_code", json!("1"), "/merchant_category_code"),
    ] {
        let mut wrong = body.clone();
        wrong[name] = value;
        let reply = make(&wrong).await;
        assert_eq!((reply.problem().as_str(), &reply.json()["field"]), ("invalid_field", &json!(field)));
    }
    body["amount"] = json!("99999999999.00");
    assert_eq!(make(&body).await.json()["field"], "/amount");
}

#[tokio::test]
async fn the_code_of_a_payment() {
    let shop = shop().await;
    let merchant_id = MerchantId::from_u128(7 << 64);
    let (payment_id, attempt_id) = (PaymentId::from_u128(50), AttemptId::from_u128(51));
    let terms = PaymentTerms {
        amount: Money::new(12_550, Currency::INR),
        capture: CaptureMode::Automatic,
        method: MethodKind::Qr,
        instrument: InstrumentSummary::Upi { flow: UpiFlow::Qr, vpa: None },
        fee: FeePlan::default(),
        user_id: None,
        customer_name: None,
        customer_email: None,
        customer_phone: None,
        description: None,
        statement_descriptor: None,
        return_url: None,
        metadata: Vec::new(),
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: None,
        routing: None,
    };
    let attempt =
        AttemptStart { id: attempt_id, processor: ProcessorName::new("table"), amount_minor: 12_550 };
    let uri = "upi://pay?pa=shop@okbank&pn=Shop&am=125.50&cu=INR".to_owned();
    let asked = Outcome::ActionRequired { processor_payment_id: None, action: NextAction::UpiQr { uri } };
    let commit = |event: u128, command: Command| {
        shop.state.engine().store().commit(Box::new(Commit {
            merchant_id,
            now_ms: shop.state.engine().now_ms(),
            event_id: EventId::from_u128(event),
            command: Some(command),
            idempotency: None,
            message: None,
        }))
    };
    commit(1, Command::Create { payment_id, terms: Arc::new(terms), attempt }).await.unwrap();
    let path = format!("/api/v1/payments/{payment_id}/qr");
    let none = shop.get(&format!("{path}.svg")).await;
    assert_eq!((none.status, none.problem().as_str()), (StatusCode::CONFLICT, "no_qr_code"));
    commit(2, Command::Settle { payment_id, attempt_id, outcome: asked, next: None }).await.unwrap();
    let svg = shop.get(&format!("{path}.svg")).await;
    assert_eq!((svg.status, svg.header("content-type")), (StatusCode::OK, "image/svg+xml"));
    assert!(String::from_utf8(svg.bytes).unwrap().contains("UPI QR code to pay 125.50 INR"));
    let png = shop.get(&format!("{path}.png")).await;
    assert_eq!((png.status, png.header("content-type")), (StatusCode::OK, "image/png"));
    assert!(png.bytes.starts_with(b"\x89PNG"));
    assert_eq!(shop.get(&format!("{path}.gif")).await.problem(), "not_found");
    assert_eq!(shop.get(&format!("{path}.png?size=9")).await.problem(), "invalid_parameter");
}
