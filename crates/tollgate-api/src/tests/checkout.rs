//! Hosted checkout: sessions, pages, the vault's endpoint, live state, hand-over and return, with a
//! processor that takes every method and cannot be reached.

use super::*;
use base64::Engine as _;
use std::sync::Arc;
use tollgate_connectors::capability::{Capabilities, MethodRule};
use tollgate_connectors::webhook::{Callback, CallbackRequest, WebhookError, WebhookMessage, WebhookRequest};
use tollgate_connectors::wire::HttpResponse;
use tollgate_connectors::{BuildError, Call, Connector, Operation, Progress, Step};
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::checkout::CheckoutToken;
use tollgate_core::command::Command;
use tollgate_core::currency::Currency;
use tollgate_core::event::PaymentTerms;
use tollgate_core::id::{AttemptId, EventId};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodFamily, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_core::payment::Payment;
use tollgate_store::commit::Commit;

/// A processor that takes everything and is never reached. What a browser brings back is genuine if it
/// says `sign=good`.
#[derive(Debug)]
struct Deaf(Capabilities);

impl Connector for Deaf {
    fn kind(&self) -> &'static str {
        "deaf"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    fn base_url(&self) -> &str {
        "http://127.0.0.1:1"
    }

    fn start(&self, _: &Operation<'_>) -> Result<Call, BuildError> {
        Err(BuildError::Unsupported { processor: "deaf".into(), what: "anything" })
    }

    fn read(&self, _: &Operation<'_>, _: &Step, _: &HttpResponse<'_>) -> Progress {
        unreachable!()
    }

    fn webhook(&self, _: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        Err(WebhookError::Malformed)
    }

    fn callback(&self, request: &CallbackRequest<'_>) -> Result<Callback, WebhookError> {
        let said = if request.body.is_empty() { request.query.as_bytes() } else { request.body };
        match said {
            b"sign=good" => Ok(Callback::Says(captured())),
            _ => Err(WebhookError::Signature),
        }
    }
}

fn captured() -> Outcome {
    Outcome::Captured { processor_payment_id: "p1".to_owned(), amount_minor: 2_499_900 }
}

async fn shop() -> Api {
    let methods = MethodFamily::ALL.map(|family| {
        let rule = MethodRule::new(family, &[Currency::INR]);
        match family {
            MethodFamily::Wallet => rule.of(["paytm", "mobikwik"]),
            MethodFamily::NetBanking => rule.of(["HDFC", "SBIN"]),
            MethodFamily::Emi => rule.of(["HDFC"]),
            MethodFamily::Bnpl => rule.of(["lazypay"]),
            _ => rule,
        }
    });
    api_with(vec![Processor {
        name: ProcessorName::new("deaf"),
        connector: Box::new(Deaf(Capabilities { methods: methods.to_vec(), ..Capabilities::default() })),
        timeout: Duration::from_secs(1),
        probe_address: "127.0.0.1:1".to_owned(),
        merchants: Vec::new(),
        login: Default::default(),
        traits: Default::default(),
        template: None,
        own: None,
    }])
    .await
}

/// A session as its merchant opened it, and the path of its page.
struct Opened {
    json: Value,
    path: String,
}

impl Api {
    async fn open_session(&self, more: Value) -> Opened {
        let mut body = json!({ "amount": "24999.00", "currency": "INR", "description": "Order 7001" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let reply = self.post("/api/v1/checkout/sessions", body.to_string()).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&reply.bytes));
        let json = reply.json();
        let path = json["url"].as_str().unwrap().strip_prefix("https://pay.example").unwrap().to_owned();
        Opened { json, path }
    }

    async fn session(&self, opened: &Opened) -> Value {
        let id = opened.json["id"].as_str().unwrap();
        self.get(&format!("/api/v1/checkout/sessions/{id}")).await.json()
    }

    /// A browser's GET: without a key.
    async fn browse(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// A browser's form.
    async fn submit(&self, path: &str, form: &str) -> Reply {
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    async fn keep_card(&self, body: &Value) -> Reply {
        let request = Request::post("/vault/cards").header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// A payment of a session that waits for its customer, as if a processor had answered.
    async fn waiting(
        &self,
        opened: Option<&Opened>,
        action: NextAction,
        return_url: Option<&str>,
    ) -> Payment {
        let store = self.state.engine().store();
        let now_ms = self.state.engine().now_ms();
        let merchant_id = MerchantId::from_u128(7 << 64);
        let id = rand::random::<u128>();
        let checkout = opened.map(|opened| opened.json["id"].as_str().unwrap().parse().unwrap());
        let amount = Money::new(2_499_900, Currency::INR);
        let terms = PaymentTerms {
            amount,
            capture: CaptureMode::Automatic,
            method: MethodKind::Upi,
            instrument: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
            fee: FeePlan::default(),
            user_id: None,
            customer_name: None,
            customer_email: None,
            customer_phone: None,
            description: None,
            statement_descriptor: None,
            return_url: return_url.map(str::to_owned),
            metadata: Vec::new(),
            mandate: None,
            confirmed_by: None,
            checkout,
            risk: None,
            routing: None,
        };
        let attempt = AttemptStart {
            id: AttemptId::from_u128(id + 1),
            processor: ProcessorName::new("deaf"),
            amount_minor: amount.minor,
        };
        let payment_id = PaymentId::from_u128(id);
        let attempt_id = attempt.id;
        let outcome = Outcome::ActionRequired { processor_payment_id: None, action };
        let commands = [
            Command::Create { payment_id, terms: Arc::new(terms), attempt },
            Command::Settle { payment_id, attempt_id, outcome, next: None },
        ];
        let mut payment = None;
        for command in commands {
            let event_id = EventId::from_u128(rand::random());
            let command = Some(command);
            let commit = Commit { merchant_id, now_ms, event_id, command, idempotency: None, message: None };
            payment = Some(store.commit(Box::new(commit)).await.unwrap().payment);
        }
        Payment::clone(&payment.unwrap())
    }
}

impl Reply {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    /// The page's text, after checking the headers that every page has.
    fn page(&self) -> String {
        let policy = self.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") || policy.starts_with("sandbox"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(self.header("referrer-policy"), "no-referrer");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        assert_eq!(self.header("x-frame-options"), "DENY");
        self.text()
    }
}

fn upi() -> NextAction {
    NextAction::UpiIntent { uri: "upi://pay?pa=shop@upi&am=24999.00".to_owned() }
}

#[tokio::test]
async fn a_session_is_opened_read_and_kept_apart() {
    let shop = shop().await;
    let body = json!({
        "payment_methods": ["upi_qr", "card"], "user_id": "u1", "metadata": { "order": "7001" },
        "return_url": "https://shop.example/done?x=1", "expires_in_s": 600,
    });
    let opened = shop.open_session(body).await;
    let json = &opened.json;
    assert_eq!((json["object"].as_str(), json["status"].as_str()), (Some("checkout_session"), Some("open")));
    assert_eq!((&json["amount"], &json["payment_id"]), (&json!("24999.00"), &Value::Null));
    assert_eq!(json["payment_methods"], json!(["upi_qr", "card"]));
    assert!(opened.path.strip_prefix("/checkout/").unwrap().parse::<CheckoutToken>().is_ok());
    assert_eq!(&shop.session(&opened).await, json);
    for (field, value) in [
        ("/payment_methods/0", json!({ "payment_methods": ["upi_autopay"] })),
        ("/payment_methods/1", json!({ "payment_methods": ["card", "card"] })),
        ("/expires_in_s", json!({ "expires_in_s": 4 })),
        ("/expires_in_s", json!({ "expires_in_s": 82_801 })),
        ("/return_url", json!({ "return_url": "javascript:alert(1)" })),
        ("/cancel_url", json!({ "cancel_url": "/x" })),
        ("/description", json!({ "description": "x".repeat(501) })),
        ("/colour", json!({ "colour": "red" })),
    ] {
        let mut body = json!({ "amount": "1.00", "currency": "INR" });
        body.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        let reply = shop.post("/api/v1/checkout/sessions", body.to_string()).await;
        assert_eq!((reply.status.as_u16(), reply.json()["field"].as_str()), (422, Some(field)), "{body}");
    }
    let none = shop.post("/api/v1/checkout/sessions", r#"{"amount":1,"currency":"USD"}"#).await;
    assert_eq!(none.problem(), "no_processor");
}

#[tokio::test]
async fn the_page_offers_what_the_session_allows_and_escapes_what_it_says() {
    let shop = shop().await;
    let hostile = "\"><script>alert(1)</script>'";
    let opened = shop
        .open_session(json!({ "description": hostile, "cancel_url": "https://shop.example/?a=1&b='" }))
        .await;
    let reply = shop.browse(&opened.path).await;
    let page = reply.page();
    assert_eq!(reply.status, StatusCode::OK);
    assert!(
        page.contains("₹24,999.00")
            && page.contains("&quot;&gt;&lt;script&gt;alert(1)")
            && !page.contains(hostile)
    );
    assert!(page.contains("href=\"https://shop.example/?a=1&amp;b=&#39;\""), "{page}");
    for id in ["m-upi", "m-card", "m-wallet", "m-net_banking", "m-emi"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    // The account's category is not one for which UPI collect is still open, and the lender wants to
    // know more of the customer.
    assert!(!page.contains("name=\"vpa\"") && !page.contains("m-bnpl"));
    assert!(page.len() < 40_000, "{}", page.len());
    let some = shop.open_session(json!({ "payment_methods": ["net_banking"] })).await;
    let page = shop.browse(&some.path).await.page();
    assert!(page.contains("m-net_banking") && page.contains("HDFC Bank") && !page.contains("m-upi"));
    for wrong in [format!("{}x", opened.path), opened.path.replace('-', "_"), "/checkout/x".to_owned()] {
        assert_eq!(shop.browse(&wrong).await.status, StatusCode::NOT_FOUND, "{wrong}");
    }
    let (id, _) = opened.path.split_once('-').unwrap();
    let guess = format!("{id}-{}", "0".repeat(22));
    assert_eq!(shop.browse(&guess).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_card_goes_through_the_vault_alone_and_once() {
    let shop = shop().await;
    let opened = shop.open_session(json!({})).await;
    let page = shop.browse(&opened.path).await.page();
    assert!(page.contains("data-cards=\"/vault/cards\""));
    let grant = page.split_once("data-session=\"").unwrap().1.split_once('"').unwrap().0;
    let card = json!({ "session": grant, "number": "4111111111111111", "exp_month": 12, "exp_year": 2040, "cvc": "123" });
    for (name, value, field) in [
        ("number", json!("4111111111111112"), "/number"),
        ("cvc", json!(null), "/cvc"),
        ("exp_year", json!(2020), "/exp_month"),
        ("session", json!("x"), "/session"),
    ] {
        let mut wrong = card.clone();
        wrong[name] = value;
        let reply = shop.keep_card(&wrong).await;
        assert_eq!((reply.status.as_u16(), reply.json()["field"].as_str()), (422, Some(field)));
        assert!(!reply.text().contains("411111111111"));
    }
    assert_eq!(shop.state.engine().vault().held(), 0);
    let first = shop.keep_card(&card).await.json()["token"].as_str().unwrap().to_owned();
    let second = shop.keep_card(&card).await.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(shop.state.engine().vault().held(), 1, "a session has one card");
    let pay = format!("{}/pay", opened.path);
    let gone = shop.submit(&pay, &format!("method=card&token={first}")).await;
    assert_eq!(gone.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(gone.page().contains("enter the card again"));
    let reply = shop.submit(&pay, &format!("method=card&token={second}")).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (StatusCode::SEE_OTHER, &*format!("{}?chosen", opened.path))
    );
    assert_eq!(shop.state.engine().vault().held(), 0);
    // Nobody could be reached: nothing was taken, so it can be tried again.
    let page = shop.browse(&opened.path).await.page();
    assert!(page.contains("No money was taken") && page.contains("How would you like to pay?"));
    let session = shop.session(&opened).await;
    assert_eq!(session["status"], "open");
    let id = session["payment_id"].as_str().unwrap();
    let payment = shop.get(&format!("/api/v1/payments/{id}")).await.json();
    assert_eq!((&payment["status"], &payment["description"]), (&json!("failed"), &json!("Order 7001")));
    let list = shop.get("/api/v1/payments").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    let shop = shop().await;
    let opened =
        shop.open_session(json!({ "payment_methods": ["wallet", "bnpl", "upi_collect", "emi"] })).await;
    let pay = format!("{}/pay", opened.path);
    for form in [
        "",
        "method=",
        "method=card&token=x",
        "method=wallet",
        "method=wallet&provider=phonepe",
        "method=nope",
        "method=bnpl&plan=lazypay:pay_later",
        "method=upi_collect&vpa=x",
        "method=emi&plan=HDFC:7&token=x",
        "method=wallet&provider=paytm&number=4111111111111111",
    ] {
        let reply = shop.submit(&pay, form).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert!(reply.page().contains("role=\"alert\""), "{form}");
    }
    // The engine knows that collect is over for this account.
    assert_eq!(
        shop.submit(&pay, "method=upi_collect&vpa=a@upi").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(shop.get("/api/v1/payments").await.json()["data"], json!([]));
    let as_json = Request::post(&*pay).header("content-type", "application/json");
    let body = r#"{"method":"wallet","provider":"paytm"}"#;
    let reply = shop.send(as_json.body(Body::from(body)).unwrap()).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_second_tab_makes_no_second_payment() {
    let shop = shop().await;
    let opened = shop.open_session(json!({ "return_url": "https://shop.example/done#end" })).await;
    let payment = shop.waiting(Some(&opened), upi(), Some("https://shop.example/done#end")).await;
    let pay = format!("{}/pay", opened.path);
    let reply = shop.submit(&pay, "method=net_banking&provider=HDFC").await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, &*format!("{}?busy", opened.path)));
    let page = shop.browse(&format!("{}?busy", opened.path)).await.page();
    assert!(
        page.contains("under way already")
            && page.contains("/cancel")
            && page.contains("upi://pay?pa=shop@upi&amp;am=")
    );
    assert_eq!(shop.session(&opened).await["status"], "processing");
    assert_eq!(shop.get("/api/v1/payments").await.json()["data"].as_array().unwrap().len(), 1);

    let reply = shop.submit(&format!("{}/cancel", opened.path), "").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(shop.browse(&opened.path).await.page().contains("cancelled"));
    // A second payment may follow now, and is paid.
    let second = shop.waiting(Some(&opened), upi(), Some("https://shop.example/done#end")).await;
    assert_ne!(second.id, payment.id);
    let back = format!("/return/deaf/{}", second.charge_attempt_id.reference());
    let reply = shop.browse(&format!("{back}?sign=good")).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, &*opened.path));
    let session = shop.session(&opened).await;
    assert_eq!((&session["status"], &session["payment_id"]), (&json!("paid"), &json!(second.id.to_string())));
    let page = shop.browse(&opened.path).await.page();
    let link = format!("https://shop.example/done?payment_id={}&amp;status=completed#end", second.id);
    assert!(page.contains(&link), "{page}");
    assert_eq!(shop.submit(&pay, "method=upi_qr").await.header("location"), opened.path);
}

#[tokio::test]
async fn two_choices_at_the_same_moment_are_one_payment() {
    let shop = shop().await;
    let opened = shop.open_session(json!({})).await;
    let token: CheckoutToken = opened.path.strip_prefix("/checkout/").unwrap().parse().unwrap();
    let engine = shop.state.engine();
    // Both tabs have read the session while it was open.
    let seen = engine.checkout_at(token).await.unwrap().unwrap();
    let choice = |flow, print| tollgate_engine::checkout::CheckoutChoice {
        method: MethodKind::Upi,
        instrument: tollgate_engine::request::NewInstrument {
            summary: InstrumentSummary::Upi { flow, vpa: None },
            card: None,
        },
        user_agent: None,
        ip: None,
        fingerprint: [print; 32],
    };
    let (one, other) = tokio::join!(
        engine.pay_checkout(&seen, choice(UpiFlow::Intent, 1), render::created),
        engine.pay_checkout(&seen, choice(UpiFlow::Qr, 2), render::created)
    );
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");
    let again = engine.pay_checkout(&seen, choice(UpiFlow::Intent, 1), render::created).await;
    assert_eq!(again.is_ok_and(|answer| answer.replayed), one.is_ok());
    assert_eq!(shop.get("/api/v1/payments").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_forged_return_changes_nothing() {
    let shop = shop().await;
    let opened = shop.open_session(json!({})).await;
    let payment = shop.waiting(Some(&opened), upi(), None).await;
    let back = format!("/return/deaf/{}", payment.charge_attempt_id.reference());
    for (reply, status) in [
        (shop.browse(&format!("{back}?sign=bad")).await, 400),
        (shop.submit(&back, "sign=bad").await, 400),
        (shop.browse("/return/nobody/x?sign=good").await, 404),
        (shop.browse("/return/deaf/0000000000000000000000?sign=good").await, 404),
        (shop.browse("/return/deaf/%00?sign=good").await, 404),
    ] {
        assert_eq!(reply.status.as_u16(), status);
        reply.page();
    }
    assert_eq!(shop.session(&opened).await["status"], "processing");
    assert_eq!(shop.submit(&back, "sign=good").await.header("location"), opened.path);
    assert_eq!(shop.session(&opened).await["status"], "paid");
}

#[tokio::test]
async fn a_return_without_a_session_goes_to_the_merchant_or_says_what_happened() {
    let shop = shop().await;
    let payment = shop.waiting(None, upi(), Some("https://shop.example/done?a=1&b=2")).await;
    let reply =
        shop.browse(&format!("/return/deaf/{}?sign=good", payment.charge_attempt_id.reference())).await;
    let wanted = format!("https://shop.example/done?a=1&b=2&payment_id={}&status=completed", payment.id);
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, wanted.as_str()));
    let payment = shop.waiting(None, upi(), None).await;
    let reply =
        shop.browse(&format!("/return/deaf/{}?sign=good", payment.charge_attempt_id.reference())).await;
    assert!(reply.status == StatusCode::OK && reply.page().contains("<h1>Paid</h1>"));
}

#[tokio::test]
async fn the_hand_over_page_leads_on_and_then_ends() {
    let shop = shop().await;
    let fields = vec![("a".to_owned(), "\"><b>".to_owned()), ("a".to_owned(), "2".to_owned())];
    let form = NextAction::Form { url: "https://bank.example:8443/pay?x=1&y=2".to_owned(), fields };
    let html = "<html><script>go()</script></html>";
    let document = NextAction::Page { html_base64: base64::engine::general_purpose::STANDARD.encode(html) };
    let to = |payment: &Payment| format!("/pay/{}/{}", payment.merchant_id, payment.id);

    let payment = shop.waiting(None, form, None).await;
    let reply = shop.browse(&to(&payment)).await;
    let page = reply.page();
    assert!(page.contains("action=\"https://bank.example:8443/pay?x=1&amp;y=2\""), "{page}");
    assert!(page.contains("name=\"a\" value=\"&quot;&gt;&lt;b&gt;\"") && page.contains("<button"), "{page}");
    let policy = reply.header("content-security-policy");
    assert!(policy.contains("form-action 'self' https://bank.example:8443 https:;"), "{policy}");
    let view = shop.get(&format!("/api/v1/payments/{}", payment.id)).await.json();
    assert_eq!(view["next_action"]["page"], to(&payment));

    let payment = shop.waiting(None, document, None).await;
    let reply = shop.browse(&to(&payment)).await;
    assert_eq!(reply.page(), html);
    let policy = reply.header("content-security-policy");
    assert!(
        reply.header("cross-origin-opener-policy") == "unsafe-none"
            && policy.starts_with("sandbox allow-forms allow-scripts")
            && !policy.contains("same-origin"),
        "{policy}"
    );

    let redirect = NextAction::Redirect { url: "https://bank.example/3ds".to_owned() };
    let payment = shop.waiting(None, redirect, None).await;
    assert_eq!(shop.browse(&to(&payment)).await.header("location"), "https://bank.example/3ds");
    let wrong = NextAction::Redirect { url: "javascript:alert(1)".to_owned() };
    let payment = shop.waiting(None, wrong, None).await;
    assert_eq!(shop.browse(&to(&payment)).await.status, StatusCode::BAD_GATEWAY);

    let opened = shop.open_session(json!({})).await;
    let payment = shop.waiting(Some(&opened), upi(), None).await;
    let path = to(&payment);
    assert!(shop.browse(&path).await.page().contains("qr.svg"));
    for (name, media) in [("qr.svg", "image/svg+xml"), ("qr.png", "image/png")] {
        let reply = shop.browse(&format!("{path}/{name}")).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, media));
    }
    assert_eq!(shop.browse(&format!("{path}/qr.gif")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(shop.submit(&format!("{}/cancel", opened.path), "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(shop.browse(&path).await.header("location"), opened.path);
    assert_eq!(shop.browse(&format!("{path}/qr.svg")).await.status, StatusCode::NOT_FOUND);
    let other = MerchantId::from_u128(9 << 64);
    assert_eq!(shop.browse(&format!("/pay/{other}/{}", payment.id)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(shop.browse("/pay/x/y").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn live_state_is_told_at_once_and_ends() {
    let shop = shop().await;
    let opened = shop.open_session(json!({})).await;
    let payment = shop.waiting(Some(&opened), upi(), None).await;
    let request = Request::get(format!("{}/events", opened.path)).header("accept-encoding", "gzip, br, zstd");
    let response = shop.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").as_deref(), Some("text/event-stream"));
    assert_eq!(header("content-encoding"), None);
    let mut body = response.into_body();
    let mut seen = String::new();
    while !seen.contains("requires_action") {
        seen.push_str(
            std::str::from_utf8(&body.frame().await.unwrap().unwrap().into_data().unwrap()).unwrap(),
        );
    }
    assert!(
        seen.contains(&format!("event: state\ndata: processing:{}:requires_action\n\n", payment.id)),
        "{seen}"
    );
    // The page says the same.
    let page = shop.browse(&opened.path).await.page();
    assert!(page.contains(&format!("data-state=\"processing:{}:requires_action\"", payment.id)));
    let begun = std::time::Instant::now();
    let back = format!("/return/deaf/{}", payment.charge_attempt_id.reference());
    shop.submit(&back, "sign=good").await;
    let rest = body.collect().await.unwrap().to_bytes();
    let rest = std::str::from_utf8(&rest).unwrap();
    assert_eq!(rest, format!("event: state\ndata: paid:{}:completed\n\n", payment.id));
    assert!(begun.elapsed() < Duration::from_millis(900), "told by notice, not by the next look");
    let missing = shop.browse(&format!("{}x/events", opened.path)).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_session_s_time_is_over() {
    let shop = shop().await;
    let opened = shop.open_session(json!({ "return_url": "https://shop.example/" })).await;
    let token: CheckoutToken = opened.path.strip_prefix("/checkout/").unwrap().parse().unwrap();
    let engine = shop.state.engine();
    let mut session = engine.checkout_at(token).await.unwrap().unwrap().session;
    session.expires_at_ms = engine.now_ms() + 1_000;
    engine.store().upkeep(tollgate_store::commit::Upkeep::PutCheckout(Box::new(session))).await.unwrap();
    let page = shop.browse(&opened.path).await.page();
    let grant = page.split_once("data-session=\"").unwrap().1.split_once('"').unwrap().0;
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let reply = shop.browse(&opened.path).await;
    assert_eq!(reply.status, StatusCode::GONE);
    assert!(reply.page().contains("This payment page is over"));
    let reply = shop.submit(&format!("{}/pay", opened.path), "method=upi_qr").await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, opened.path.as_str()));
    assert_eq!(shop.get("/api/v1/payments").await.json()["data"], json!([]));
    assert_eq!(shop.session(&opened).await["status"], "expired");
    let card = json!({ "session": grant, "number": "4111111111111111", "exp_month": 12, "exp_year": 2040, "cvc": "123" });
    assert_eq!(shop.keep_card(&card).await.json()["field"], "/session");
}

#[tokio::test]
async fn the_demo_shop_sells() {
    let shop = shop().await;
    assert!(shop.browse("/demo").await.page().contains("₹23,999.00"));
    let reply = shop.submit("/demo/pay", "good=tea").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    let page = shop.browse(reply.header("location")).await.page();
    assert!(page.contains("Assam tea") && page.contains("m-bnpl"), "the shop knows its customer's phone");
    assert_eq!(shop.submit("/demo/pay", "good=x").await.header("location"), "/demo");
    assert_eq!(shop.browse("/demo/receipt?payment_id=x&status=y").await.status, StatusCode::NOT_FOUND);
    let payment = shop.waiting(None, upi(), None).await;
    let receipt = shop.browse(&format!("/demo/receipt?payment_id={}&status=paid", payment.id)).await;
    assert!(receipt.page().contains("requires action"));
}
