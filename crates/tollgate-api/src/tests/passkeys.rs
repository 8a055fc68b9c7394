//! Payments confirmed with passkeys, signed by an authenticator in software.
//!
//! The authenticator shares nothing with the verifying side: it writes client data, authenticator data and
//! CBOR by hand and signs with P-256 (Web Authentication, 6.1 and 6.5).

use super::methods::shop;
use super::*;
use crate::passkeys::{PasskeyOptions, Passkeys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest, Sha256};
use tollgate_core::card::Secret;

const RP_ID: &str = "example.com";
const ORIGIN: &str = "https://shop.example.com";
/// User present, user verified, credential data attached.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ATTACHED: u8 = 0x40;

pub(super) fn options() -> Passkeys {
    let options = PasskeyOptions {
        rp_id: RP_ID.to_owned(),
        rp_name: "Tollgate".to_owned(),
        origins: vec![ORIGIN.to_owned()],
        challenge_key: Some(Secret::new("a secret of the tests")),
        lifetime_ms: 60_000,
    };
    Passkeys::new(&options).unwrap()
}

/// What an authenticator does, and how a test makes it err.
struct Authenticator {
    key: SigningKey,
    id: Vec<u8>,
    counter: u32,
    rp_id: &'static str,
    origin: &'static str,
    flags: u8,
}

impl Authenticator {
    fn new(seed: u8) -> Self {
        let key = SigningKey::from_slice(&[seed; 32]).unwrap();
        let flags = PRESENT | VERIFIED;
        Self { key, id: vec![seed; 16], counter: 0, rp_id: RP_ID, origin: ORIGIN, flags }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = &options["public_key"]["challenge"];
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(self.rp_id).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn register(&self, options: &Value) -> Value {
        let mut data = self.authenticator_data(self.flags | ATTACHED);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        let point = self.key.verifying_key().to_sec1_bytes();
        assert_eq!(point.len(), 65);
        // COSE: {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y}.
        data.extend([0xA5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..]);
        // {"fmt": "none", "attStmt": {}, "authData": data}.
        let mut object = vec![0xA3, 0x63];
        object.extend(b"fmt\x64none\x67attStmt\xA0\x68authData\x58");
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        json!({
            "id": BASE64.encode(&self.id), "rawId": BASE64.encode(&self.id), "type": "public-key",
            "clientExtensionResults": {}, "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": BASE64.encode(self.client_data("webauthn.create", options)),
                "attestationObject": BASE64.encode(object), "transports": ["internal"],
            },
        })
    }

    fn sign(&self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", options);
        let data = self.authenticator_data(self.flags);
        let signed = [data.as_slice(), Sha256::digest(&client_data).as_slice()].concat();
        let signature: Signature = self.key.sign(&signed);
        json!({
            "id": BASE64.encode(&self.id), "rawId": BASE64.encode(&self.id), "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": BASE64.encode(client_data), "authenticatorData": BASE64.encode(data),
                "signature": BASE64.encode(signature.to_der()), "userHandle": null,
            },
        })
    }
}

impl Api {
    async fn register(&self, user: &str, authenticator: &Authenticator) -> Reply {
        let asked = json!({ "user_id": user, "name": "Asha" }).to_string();
        let options = self.post("/api/v1/passkeys/options", asked).await.json();
        let body = json!({ "user_id": user, "credential": authenticator.register(&options) });
        self.post("/api/v1/passkeys", body.to_string()).await
    }

    async fn confirmation(&self, amount: &str, user: &str) -> Value {
        let body = json!({ "amount": amount, "currency": "INR", "user_id": user });
        self.post("/api/v1/confirmations", body.to_string()).await.json()
    }

    async fn pay(&self, amount: &str, user: &str, confirmation: &Value) -> Reply {
        self.post("/api/v1/payments", body(amount, "INR", user, confirmation)).await
    }

    async fn payments(&self) -> usize {
        self.get("/api/v1/payments").await.json()["data"].as_array().unwrap().len()
    }
}

fn body(amount: &str, currency: &str, user: &str, confirmation: &Value) -> String {
    json!({
        "amount": amount, "currency": currency, "payment_method": "upi", "user_id": user,
        "confirmation": confirmation,
    })
    .to_string()
}

fn why(reply: &Reply) -> String {
    assert_eq!(reply.problem(), "confirmation_invalid");
    assert_eq!((reply.status.as_u16(), &reply.json()["field"]), (422, &json!("/confirmation")));
    reply.json()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_confirmed_payment_says_by_which_passkey() {
    let shop = shop().await;
    let mut phone = Authenticator::new(7);
    let registered = shop.register("asha", &phone).await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.json());
    let passkey = registered.json()["id"].as_str().unwrap().to_owned();
    assert!(passkey.starts_with("psk_"));
    // The same answer again is the same passkey.
    let again = shop.register("asha", &phone).await;
    assert_eq!((again.status, &again.json()["id"]), (StatusCode::CREATED, &json!(passkey)));
    let options = shop.confirmation("100.00", "asha").await;
    assert_eq!((&options["amount"], &options["payee"]), (&json!("100.00"), &json!("Shop")));
    assert_eq!(options["public_key"]["rpId"], RP_ID);
    assert_eq!(options["public_key"]["userVerification"], "required");
    assert_eq!(options["public_key"]["allowCredentials"][0]["id"], BASE64.encode(&phone.id));
    phone.counter = 3;
    let reply = shop.pay("100.00", "asha", &phone.sign(&options)).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.json());
    assert_eq!(reply.json()["confirmed_by"], passkey.as_str());
    let store = shop.state.engine().store();
    let kept = store.passkeys(MerchantId::from_u128(7 << 64), "asha").await.unwrap();
    assert_eq!((kept.len(), kept[0].sign_count), (1, 3));
    // A counter that has not moved on may be a copy of the authenticator.
    let options = shop.confirmation("100.00", "asha").await;
    let reply = shop.pay("100.00", "asha", &phone.sign(&options)).await;
    assert_eq!(why(&reply), "the signature counter has not moved on");
    assert_eq!(shop.payments().await, 1);
}

#[tokio::test]
async fn a_confirmation_is_for_one_payment_alone() {
    let shop = shop().await;
    let phone = Authenticator::new(7);
    let other = "it was not given for this amount, currency, payee and customer";
    for user in ["asha", "ben"] {
        assert_eq!(shop.register(user, &phone).await.status, StatusCode::CREATED);
    }
    let signed = phone.sign(&shop.confirmation("100.00", "asha").await);
    assert_eq!(why(&shop.pay("100.01", "asha", &signed).await), other);
    assert_eq!(why(&shop.pay("1000.00", "asha", &signed).await), other);
    assert_eq!(why(&shop.pay("100.00", "ben", &signed).await), other);
    let dollars = shop.post("/api/v1/payments", body("100.00", "USD", "asha", &signed)).await;
    assert_eq!(why(&dollars), other);
    // Another payee: a second merchant of the same gateway, with the same customer and passkey.
    let secret = auth::secret_from_random([3, 4]);
    let store = shop.state.engine().store();
    let known = store.merchant(MerchantId::from_u128(7 << 64)).await.unwrap().unwrap();
    let rival = Merchant { id: MerchantId::from_u128(8 << 64), name: "Rival".to_owned(), ..known };
    let key_id = ApiKeyId::from_u128(10);
    store
        .administer(Admin::PutApiKey(api_key(key_id, rival.id, &secret, None)), By::system(0))
        .await
        .unwrap();
    store.administer(Admin::PutMerchant(rival), By::system(0)).await.unwrap();
    let rival = Api {
        state: shop.state.clone(),
        router: shop.router.clone(),
        key: auth::format_key(Mode::Sandbox, key_id, &secret),
        key_id,
        _folder: tempfile::tempdir().unwrap(),
    };
    assert_eq!(rival.register("asha", &phone).await.status, StatusCode::CREATED);
    assert_eq!(why(&rival.pay("100.00", "asha", &signed).await), other);
    assert_eq!((shop.payments().await, rival.payments().await), (0, 0));
    // It is still good for what it was given for: once.
    assert_eq!(shop.pay("100.00", "asha", &signed).await.status, StatusCode::CREATED);
    let replayed = shop.pay("100.00", "asha", &signed).await;
    assert_eq!((replayed.status.as_u16(), replayed.problem().as_str()), (409, "confirmation_used"));
    assert_eq!(shop.payments().await, 1);
}

#[tokio::test]
async fn two_payments_at_once_with_one_confirmation() {
    let shop = shop().await;
    let phone = Authenticator::new(7);
    shop.register("asha", &phone).await;
    let signed = phone.sign(&shop.confirmation("100.00", "asha").await);
    let pay = || shop.pay("100.00", "asha", &signed);
    let replies = tokio::join!(pay(), pay(), pay(), pay());
    let statuses = [replies.0.status, replies.1.status, replies.2.status, replies.3.status];
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::CREATED).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::CONFLICT).count(), 3, "{statuses:?}");
    assert_eq!(shop.payments().await, 1);
}

#[tokio::test]
async fn a_repeated_request_gets_its_reply() {
    let shop = shop().await;
    let mut phone = Authenticator::new(7);
    shop.register("asha", &phone).await;
    phone.counter = 1;
    let signed = phone.sign(&shop.confirmation("100.00", "asha").await);
    let send = || {
        let body = Body::from(body("100.00", "INR", "asha", &signed));
        let mut request = shop.request(Method::POST, "/api/v1/payments", body);
        request.headers_mut().insert("idempotency-key", http::HeaderValue::from_static("k1"));
        shop.send(request)
    };
    let (first, second) = (send().await, send().await);
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(second.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn the_fraud_check_may_ask_for_a_confirmation() {
    let shop = shop().await;
    let policy = r#"{"middle": "step_up_passkey",
        "rules": [{"name": "all", "when": {"fact": "amount", "gt": 0}, "then": "step_up"}]}"#;
    let policy = tollgate_core::risk::Policy::from_json(policy).unwrap();
    let merchant_id = MerchantId::from_u128(7 << 64);
    shop.state.engine().put_fraud_policy(merchant_id, Some(policy), By::system(0)).await.unwrap();
    let send = async |user: &str, confirmation: &Value| {
        let body = Body::from(body("100.00", "INR", user, confirmation));
        let mut request = shop.request(Method::POST, "/api/v1/payments", body);
        request.headers_mut().insert("idempotency-key", http::HeaderValue::from_str(user).unwrap());
        shop.send(request).await
    };
    // Who has no passkey cannot be asked: a person looks at it.
    let unknown = send("ben", &Value::Null).await.json();
    assert_eq!(
        (&unknown["risk"]["verdict"], &unknown["risk"]["review"]["state"]),
        (&json!("review"), &json!("waiting"))
    );
    let phone = Authenticator::new(7);
    shop.register("asha", &phone).await;
    let refused = send("asha", &Value::Null).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "confirmation_required"));
    assert_eq!((&refused.json()["field"], shop.payments().await), (&json!("/confirmation"), 1));
    // The same key is still free.
    let signed = phone.sign(&shop.confirmation("100.00", "asha").await);
    let paid = send("asha", &signed).await;
    assert_eq!(paid.status, StatusCode::CREATED, "{}", paid.json());
    assert_eq!(
        (&paid.json()["risk"]["verdict"], &paid.json()["risk"]["rules"]),
        (&json!("step_up"), &json!(["all"]))
    );
    assert_eq!(send("asha", &signed).await.bytes, paid.bytes);
    // What was begun under a key is answered, whatever is asked for by now.
    let policy = tollgate_core::risk::Policy::default();
    shop.state.engine().put_fraud_policy(merchant_id, Some(policy), By::system(0)).await.unwrap();
    assert_eq!(send("ben", &Value::Null).await.json(), unknown);
}

#[tokio::test]
async fn what_authenticators_get_wrong() {
    let shop = shop().await;
    let phone = || Authenticator::new(7);
    shop.register("asha", &phone()).await;
    let options = shop.confirmation("100.00", "asha").await;
    let signed = phone().sign(&options);
    let altered = |pointer: &str, change: fn(&mut Vec<u8>)| {
        let mut altered = signed.clone();
        let place = altered.pointer_mut(pointer).unwrap();
        let mut bytes = BASE64.decode(place.as_str().unwrap()).unwrap();
        change(&mut bytes);
        *place = json!(BASE64.encode(bytes));
        altered
    };
    let unverified = "the authenticator did not verify the customer by finger, face or PIN";
    let stranger = Authenticator { key: SigningKey::from_slice(&[8; 32]).unwrap(), ..phone() };
    let mut created = signed.clone();
    let client_data = phone().client_data("webauthn.create", &options);
    created["response"]["clientDataJSON"] = json!(BASE64.encode(client_data));
    let mut handled = signed.clone();
    handled["response"]["userHandle"] = json!(BASE64.encode("somebody else"));
    let cases = [
        (
            Authenticator { origin: "https://evil.example", ..phone() }.sign(&options),
            "the page's origin is not allowed",
        ),
        (
            Authenticator { origin: "https://example.com", ..phone() }.sign(&options),
            "the page's origin is not allowed",
        ),
        (
            Authenticator { rp_id: "evil.example", ..phone() }.sign(&options),
            "it was made for another relying party",
        ),
        (Authenticator { flags: PRESENT, ..phone() }.sign(&options), unverified),
        (Authenticator { flags: VERIFIED, ..phone() }.sign(&options), "the customer was not present"),
        (stranger.sign(&options), "the signature does not hold"),
        (Authenticator::new(9).sign(&options), "the passkey is not registered for this customer"),
        (altered("/response/authenticatorData", |data| data[36] ^= 1), "the signature does not hold"),
        (
            altered("/response/signature", |data| *data.last_mut().unwrap() ^= 1),
            "the signature does not hold",
        ),
        (created, "it was signed for another purpose"),
        (handled, "the passkey belongs to another customer"),
        (altered("/response/clientDataJSON", Vec::clear), "the client data is not what browsers send"),
    ];
    for (confirmation, reason) in cases {
        assert_eq!(why(&shop.pay("100.00", "asha", &confirmation).await), reason);
    }
    // A challenge that this gateway never gave out.
    let mut invented = options.clone();
    invented["public_key"]["challenge"] = json!(BASE64.encode([5; 56]));
    let reply = shop.pay("100.00", "asha", &phone().sign(&invented)).await;
    assert_eq!(why(&reply), "it was not given for this amount, currency, payee and customer");
    // The challenge of a registration confirms nothing.
    let asked = json!({ "user_id": "asha" }).to_string();
    let registration = shop.post("/api/v1/passkeys/options", asked).await.json();
    let reply = shop.pay("100.00", "asha", &phone().sign(&registration)).await;
    assert_eq!(why(&reply), "it was not given for this amount, currency, payee and customer");
    for (confirmation, field) in [(json!({}), "/confirmation"), (json!("x"), "/confirmation")] {
        let reply = shop.pay("100.00", "asha", &confirmation).await;
        assert_eq!((reply.problem().as_str(), &reply.json()["field"]), ("invalid_field", &json!(field)));
    }
    let nobody = json!({
        "amount": "100.00", "currency": "INR", "payment_method": "upi", "confirmation": signed
    });
    assert_eq!(shop.post("/api/v1/payments", nobody.to_string()).await.json()["field"], "/user_id");
    assert_eq!(shop.payments().await, 0);
    assert_eq!(shop.pay("100.00", "asha", &signed).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn registrations_are_checked_too() {
    let shop = shop().await;
    let phone = || Authenticator::new(7);
    let reason = async |user: &str, authenticator: Authenticator| {
        let reply = shop.register(user, &authenticator).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (422, "passkey_invalid"));
        reply.json()["detail"].as_str().unwrap().to_owned()
    };
    let unverified = "the authenticator did not verify the customer by finger, face or PIN";
    assert_eq!(reason("asha", Authenticator { flags: PRESENT, ..phone() }).await, unverified);
    let evil = "https://evil.example";
    let origin = reason("asha", Authenticator { origin: evil, ..phone() }).await;
    assert_eq!(origin, "the page's origin is not allowed");
    let party = reason("asha", Authenticator { rp_id: "evil.example", ..phone() }).await;
    assert_eq!(party, "it was made for another relying party");
    // Options given out for one customer register nothing for another.
    let asked = json!({ "user_id": "asha" }).to_string();
    let options = shop.post("/api/v1/passkeys/options", asked).await.json();
    let body = json!({ "user_id": "ben", "credential": phone().register(&options) });
    assert_eq!(shop.post("/api/v1/passkeys", body.to_string()).await.problem(), "passkey_invalid");
    let merchant_id = MerchantId::from_u128(7 << 64);
    assert_eq!(shop.state.engine().store().passkeys(merchant_id, "asha").await.unwrap(), []);
    let asked = json!({ "amount": "1.00", "currency": "INR", "user_id": "asha" }).to_string();
    assert_eq!(shop.post("/api/v1/confirmations", asked).await.json()["field"], "/user_id");
    let first = options["public_key"]["user"]["id"].as_str().unwrap();
    assert_eq!((first.len(), options["public_key"]["user"]["name"].as_str()), (43, Some("asha")));
}

#[tokio::test]
async fn time_runs_out() {
    let passkeys = options();
    let owner = crate::passkeys::Owner { merchant_id: MerchantId::from_u128(1), user_id: "asha" };
    let phone = Authenticator::new(7);
    let shown = |options: crate::passkeys::Options| json!({ "public_key": options.public_key });
    let at = |options: &Value| serde_json::from_value(phone.register(options)).unwrap();
    let made = shown(passkeys.registration_options(owner, "Asha", &[], 1_000).unwrap());
    let late = passkeys.register(owner, &at(&made), 61_000);
    assert_eq!(late, Err(crate::passkeys::Rejected::Expired));
    let passkey = passkeys.register(owner, &at(&made), 60_999).unwrap();
    let amount = tollgate_core::money::Money::new(100, tollgate_core::currency::Currency::INR);
    let known = [passkey];
    let asked = shown(passkeys.confirmation_options(owner, amount, &known, 1_000).unwrap());
    let answer = serde_json::from_value(phone.sign(&asked)).unwrap();
    let confirm = |now_ms| passkeys.confirm(owner, amount, &known, &answer, now_ms);
    assert_eq!(confirm(61_000).unwrap_err(), crate::passkeys::Rejected::Expired);
    assert!(confirm(60_999).is_ok());
}

#[test]
fn options_must_fit_together() {
    let fits = |rp_id: &str, origin: &str, lifetime_ms| {
        Passkeys::new(&PasskeyOptions {
            rp_id: rp_id.to_owned(),
            rp_name: "Shop".to_owned(),
            origins: vec![origin.to_owned()],
            challenge_key: None,
            lifetime_ms,
        })
        .is_ok()
    };
    assert!(fits("example.com", "https://example.com", 60_000));
    assert!(fits("example.com", "https://pay.example.com:8443", 60_000));
    assert!(fits("localhost", "http://localhost:8000", 60_000));
    for (rp_id, origin, lifetime_ms) in [
        ("example.com", "https://example.org", 60_000),
        ("example.com", "https://notexample.com", 60_000),
        ("example.com", "example.com", 60_000),
        ("", "https://example.com", 60_000),
        ("example.com", "https://example.com", 1),
    ] {
        assert!(!fits(rp_id, origin, lifetime_ms), "{rp_id} {origin} {lifetime_ms}");
    }
}
