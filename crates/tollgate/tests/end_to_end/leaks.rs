//! The leak hunt: card numbers, security codes and keys are pushed through every endpoint, error path,
//! webhook and log level; then logs, metrics, replies, events, every file and, where the vault is a process
//! of its own, the gateway's memory are searched for them in many forms.
//!
//! A marker that is no secret takes the same ways and must be found: the hunt can see.

mod apart;
mod needles;

use self::needles::{Needles, card_number};
use crate::support::vault::{configure, vault_settings};
use crate::support::{Reply, Rig, call, refused};
use serde_json::{Value, json};
use std::path::Path;

/// Not a secret: it must be found where the secrets must not be.
const MARKER: &str = "leak-hunt-marker-5d1f";

/// A security code; searched for only where it would be written as one.
const CVC: &str = "8317";

/// All that was heard of the gateway.
#[derive(Default)]
struct Heard(Vec<u8>);

impl Heard {
    fn hear(&mut self, reply: Option<Reply>) {
        let Some(reply) = reply else { return };
        for (name, value) in &reply.headers {
            self.0.extend_from_slice(format!("{name}: {value}\n").as_bytes());
        }
        self.0.extend_from_slice(&reply.body);
        self.0.push(b'\n');
    }
}

fn card(number: &str) -> Value {
    json!({"number": number, "exp_month": 12, "exp_year": 2040, "cvc": CVC, "name": "Asha Rao"})
}

#[test]
fn nothing_of_a_card_or_key_is_left_in_logs_files_replies_or_metrics() {
    let mut rig = Rig::start();
    rig.stop();
    configure(&rig, &vault_settings(rig.folder.path()));
    rig.set("TOLLGATE_LOG__FILTER", "trace");
    let foreign = rig.add_partner_with("Abroad", &["--processors", "razorpay,payu", "--country", "none"]);
    let all = "razorpay,payu,stripe,paytm,phonepe,ccavenue,phonepe_v1,examplebank";
    let everywhere = rig.add_partner_with("Everywhere", &["--processors", all]);
    rig.serve();

    let cards: Vec<String> = (0..8).map(card_number).collect();
    let made_up_key = "tg_test_3nKq9XbT7wLz5RfY1cVgH2_u8JmPd4sAe6QxN0oWiBkZr";
    let mut heard = Heard::default();
    payments(&rig, &mut heard, &everywhere, &cards);
    on_file(&rig, &mut heard, &foreign, &cards);
    in_texts(&rig, &cards[0]);
    everywhere_else(&rig, &mut heard, &cards[1], made_up_key);
    broken(&rig, &mut heard, &cards[2]);
    over_http2(&rig, &everywhere, &cards[3]);
    for path in ["/metrics", "/health/detailed", "/openapi.json", "/docs"] {
        heard.hear(call("GET", &rig.url(path), &[], None));
    }
    for key in [&rig.key, &foreign, &everywhere] {
        let list = |path| rig.call_as(key, "GET", path, &[], None);
        heard.hear(Some(list("/api/v1/events?limit=1000")));
        heard.hear(Some(list("/api/v1/payments?limit=1000")));
    }
    rig.stop();

    let mut needles = Needles::default();
    for number in &cards {
        needles.card(number);
    }
    needles.cvc(CVC);
    for key in [&rig.key, &foreign, &everywhere, made_up_key] {
        needles.key(key);
    }
    needles.marker(MARKER);
    let mut seen = false;
    let mut search = |place: &str, bytes: &[u8]| {
        let found = needles.find(bytes);
        assert!(found.secrets.is_empty(), "{place} holds {:?}", found.secrets);
        seen |= found.marker;
    };
    search("what was heard", &heard.0);
    files(rig.folder.path(), &mut search);
    assert!(seen, "the marker was not found: the hunt is blind");
    let log = rig.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log was not at its loudest");
}

/// Cards through every processor, and through the browser's way.
fn payments(rig: &Rig, heard: &mut Heard, key: &str, cards: &[String]) {
    let processors =
        ["razorpay", "payu", "stripe", "paytm", "phonepe", "ccavenue", "phonepe_v1", "examplebank"];
    let mut taken = 0;
    for (processor, number) in processors.iter().zip(cards) {
        for currency in ["INR", "USD"] {
            let body = json!({
                "amount": "250.00", "currency": currency, "processor": processor, "description": MARKER,
                "return_url": "https://shop.example/done", "user_id": "u1",
                "customer": {"email": "asha@example.com", "phone": "+919876543210", "name": "Asha Rao"},
                "payment_method": {"type": "card", "card": card(number)},
            });
            let reply =
                rig.call_as(key, "POST", "/api/v1/payments", &[("idempotency-key", number)], Some(&body));
            taken += u32::from(matches!(reply.status, 201 | 202));
            heard.hear(Some(reply));
        }
    }
    assert!(taken >= 4, "only {taken} card payments were taken");
    let session = rig.call_as(key, "POST", "/api/v1/card_sessions", &[], None);
    assert_eq!(session.status, 201, "{}", session.json());
    let session = session.json();
    let mut sent = card(&cards[4]);
    sent["session"] = session["session"].clone();
    let url = session["url"].as_str().unwrap().to_owned();
    let json_headers = [("content-type", "application/json"), ("origin", "https://shop.example")];
    let kept = call("POST", &url, &json_headers, Some(sent.to_string().as_bytes())).unwrap();
    assert_eq!(kept.status, 200, "{}", kept.json());
    assert_eq!(kept.header("access-control-allow-origin"), Some("*"));
    let token = kept.json()["token"].clone();
    let body = json!({
        "amount": "19.00", "currency": "INR", "payment_method": {"type": "card", "card": {"token": token}},
    });
    let paid = rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&body));
    assert!(matches!(paid.status, 201 | 202), "{}", paid.json());
    let again = rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&body));
    refused(&again, 422, "card_token_unknown", Some("/payment_method/card/token"));
    heard.hear(Some(kept));
    heard.hear(Some(paid));
}

/// Cards on file, and the rules of them.
fn on_file(rig: &Rig, heard: &mut Heard, foreign: &str, cards: &[String]) {
    let consent = json!({"terms": "card-terms-1", "ip": "203.0.113.7", "given_at": "2026-01-31T12:00:00Z"});
    let save = |key: &str, card: Value| {
        let body = json!({"user_id": "u1", "card": card, "consent": consent});
        rig.call_as(key, "POST", "/api/v1/payment_methods", &[], Some(&body))
    };
    // In India the number itself is not stored.
    refused(&save(&rig.key, card(&cards[5])), 422, "card_storage_forbidden", Some("/card"));
    let saved = save(foreign, card(&cards[5]));
    assert_eq!(saved.status, 201, "{}", saved.json());
    let id = saved.json()["id"].clone();
    assert_eq!(save(foreign, card(&cards[5])).json()["id"], id, "the same card is the same card");
    let pay = |key: &str, card: Value| {
        let body =
            json!({"amount": "5.00", "currency": "INR", "payment_method": {"type": "card", "card": card}});
        rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&body))
    };
    for cvc in [Value::Null, json!(CVC)] {
        let paid = pay(foreign, json!({"token": id, "cvc": cvc}));
        assert!(matches!(paid.status, 201 | 202), "{}", paid.json());
        assert_eq!(paid.json()["status"], "completed", "{}", paid.json());
        heard.hear(Some(paid));
    }
    let stolen = pay(&rig.key, json!({"token": id}));
    refused(&stolen, 422, "card_token_unknown", Some("/payment_method/card/token"));

    // A network token is stored anywhere; each payment brings its own cryptogram.
    let mut token = card(&cards[6]);
    token["network_token"] = json!({"cryptogram": "AgAAAAAAAIR8CQrXcIhbQAAAAAA=", "eci": "05"});
    let network = save(&rig.key, token);
    assert_eq!(network.status, 201, "{}", network.json());
    let network_id = network.json()["id"].clone();
    let bare = pay(&rig.key, json!({"token": network_id}));
    refused(&bare, 422, "invalid_field", Some("/payment_method/card/network_token"));
    let proof = json!({"cryptogram": "BgAAAAAAAIR8CQrXcIhbQAAAAAA=", "eci": "05"});
    let paid = pay(&rig.key, json!({"token": network_id, "network_token": proof}));
    assert!(matches!(paid.status, 201 | 202), "{}", paid.json());

    let path = |id: &Value| format!("/api/v1/payment_methods/{}", id.as_str().unwrap());
    assert_eq!(rig.call("GET", &path(&id), None).status, 404, "another account's");
    let list = rig.call_as(foreign, "GET", "/api/v1/payment_methods?user_id=u1", &[], None);
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 1);
    heard.hear(Some(list));
    assert_eq!(rig.call("DELETE", &path(&id), None).status, 404);
    assert_eq!(rig.call_as(foreign, "DELETE", &path(&id), &[], None).status, 204);
    refused(
        &pay(foreign, json!({"token": id})),
        422,
        "card_token_unknown",
        Some("/payment_method/card/token"),
    );
    assert_eq!(rig.call_as(foreign, "DELETE", &path(&id), &[], None).status, 404);
    // One stays: its ciphertext is searched, too.
    assert_eq!(save(foreign, card(&cards[7])).status, 201);
}

/// Texts that would be stored and shown do not take card numbers.
fn in_texts(rig: &Rig, number: &str) {
    let grouped = format!("{} {} {} {}", &number[..4], &number[4..8], &number[8..12], &number[12..]);
    for (field, place) in [
        ("/description", json!({"description": format!("card {grouped}")})),
        ("/metadata", json!({"metadata": {"note": number}})),
        ("/metadata", json!({"metadata": {number: "note"}})),
        ("/customer/name", json!({"customer": {"name": number}})),
        ("/statement_descriptor", json!({"statement_descriptor": number})),
        ("/return_url", json!({"return_url": format!("https://shop.example/{number}")})),
    ] {
        let mut body = json!({"amount": "1.00", "currency": "INR", "payment_method": "upi"});
        body.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        refused(&rig.call("POST", "/api/v1/payments", Some(&body)), 422, "card_number_in_text", Some(field));
    }
}

/// A card number and a key at every place of every operation that the API's document names.
fn everywhere_else(rig: &Rig, heard: &mut Heard, number: &str, key: &str) {
    let document = call("GET", &rig.url("/openapi.json"), &[], None).unwrap().json();
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            let parts: Vec<String> = path
                .split('/')
                .map(|part| if part.starts_with('{') { number.to_owned() } else { part.to_owned() })
                .collect();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let query: Vec<String> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| format!("{}={number}", parameter["name"].as_str().unwrap()))
                .chain([format!("unknown={number}"), format!("{number}={key}")])
                .collect();
            let url = rig.url(&format!("{}?{}", parts.join("/"), query.join("&")));
            let verb = verb.to_uppercase();
            let own = format!("Bearer {}", rig.key);
            let strange = format!("Bearer {key}");
            for bearer in [&own, &strange] {
                for body in bodies(&document, operation, number) {
                    let headers = [
                        ("authorization", bearer.as_str()),
                        ("content-type", "application/json"),
                        ("idempotency-key", number),
                        ("x-request-id", number),
                        ("user-agent", number),
                        ("x-razorpay-signature", number),
                    ];
                    let bytes = (verb != "GET").then(|| body.to_string().into_bytes());
                    heard.hear(call(&verb, &url, &headers, bytes.as_deref()));
                    operations += 1;
                }
            }
        }
    }
    assert!(operations > 100, "{operations}");
    for path in ["checkout", "pay", "return", "vault/cards", "demo", "nowhere"] {
        for url in [format!("/{path}/{number}"), format!("/{path}/{number}/{number}?a={number}")] {
            heard.hear(call("GET", &rig.url(&url), &[], None));
            heard.hear(call("POST", &rig.url(&url), &[], Some(number.as_bytes())));
        }
    }
}

/// Bodies that have the number where the operation's schema wants text, and where nothing belongs.
fn bodies(document: &Value, operation: &Value, number: &str) -> Vec<Value> {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let properties = name.map(|name| &document["components"]["schemas"][name]["properties"]);
    let names = properties.and_then(Value::as_object).map(|map| map.keys().cloned().collect::<Vec<_>>());
    let all: Value = names
        .unwrap_or_default()
        .into_iter()
        .map(|name| (name, json!(number)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    vec![
        all,
        json!({number: number}),
        json!({"card": card(number), "unknown": number}),
        json!({"payment_method": {"type": "card", "card": {"number": [number]}}}),
        json!({"payment_method": {"type": number, "card": card(number)}, "amount": number, "currency": number}),
        json!(number),
    ]
}

/// Requests that do not even parse.
fn broken(rig: &Rig, heard: &mut Heard, number: &str) {
    let bearer = format!("Bearer {}", rig.key);
    let whole =
        json!({"payment_method": {"type": "card", "card": card(number)}, "amount": 1, "currency": "INR"});
    let whole = whole.to_string();
    for length in (1..whole.len()).step_by(7) {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        heard.hear(call("POST", &rig.url("/api/v1/payments"), &headers, Some(&whole.as_bytes()[..length])));
    }
    let long = format!("{{\"description\": \"{}\"}}", number.repeat(8_000));
    for media in ["application/json", "text/plain", number] {
        let headers = [("authorization", bearer.as_str()), ("content-type", media)];
        heard.hear(call("POST", &rig.url("/api/v1/payments"), &headers, Some(long.as_bytes())));
    }
    for bytes in [
        format!("POST /api/v1/payments HTTP/1.1\r\n{number}\r\n\r\n{number}"),
        format!("GET /{number} HTTP/9.9\r\n\r\n"),
        format!("{number}\r\n\r\n"),
        format!("POST /api/v1/payments HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n{whole}"),
    ] {
        heard.0.extend(rig.raw(bytes.as_bytes()));
    }
    for processor in
        ["razorpay", "payu", "stripe", "paytm", "phonepe", "ccavenue", "phonepe_v1", "examplebank"]
    {
        let text = format!("{{\"card\":\"{number}\",\"cvv\":\"{CVC}\"}}");
        let url = rig.url(&format!("/api/v1/webhooks/{processor}"));
        heard.hear(call("POST", &url, &[("content-type", "application/json")], Some(text.as_bytes())));
        let form = format!("txnid={number}&encResp={number}&response={number}&status=success");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        heard.hear(call("POST", &url, &headers, Some(form.as_bytes())));
        heard.hear(call(
            "POST",
            &rig.url(&format!("/return/{processor}/{number}")),
            &headers,
            Some(form.as_bytes()),
        ));
    }
}

/// A payment over HTTP/2: its library writes headers into its own log.
fn over_http2(rig: &Rig, key: &str, number: &str) {
    use http_body_util::{BodyExt, Full};
    let body = json!({"amount": "7.00", "currency": "INR", "payment_method": {"type": "card", "card": card(number)}});
    let request = hyper::Request::post(rig.url("/api/v1/payments"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::new(bytes::Bytes::from(body.to_string())))
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .http2_only(true)
            .build_http();
        let reply = client.request(request).await.unwrap();
        let status = reply.status();
        reply.into_body().collect().await.unwrap();
        status
    });
    assert!(status.is_success(), "{status}");
}

/// Searches every file of the rig but what belongs to the simulated processors and to the tests.
fn files(folder: &Path, search: &mut impl FnMut(&str, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "books" {
            continue;
        }
        if path.is_dir() {
            files(&path, search);
        } else if path.is_file() {
            search(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
}
