//! Every wrong configuration is refused in one sentence that names its field.

use crate::support::*;

fn refusal(changes: &[(&str, Option<&str>)]) -> String {
    match account(with(changes)) {
        Err(why) => why,
        Ok(_) => format!("accepted: {changes:?}"),
    }
}

#[test]
fn the_example_is_right() {
    account(example()).unwrap();
}

#[test]
fn refused_by_name() {
    let cases: &[(&str, Option<&str>, &str)] = &[
        ("base_url", None, "missing field `base_url`"),
        ("base_url", Some("\"api.bank.example\""), "base_url: "),
        ("base_url", Some("\"https://user:pass@bank.example\""), "base_url: "),
        ("base_url", Some("\"https://bank.example/?x\""), "base_url: "),
        ("bse_url", Some("\"x\""), "bse_url: unknown field `bse_url`"),
        ("charge/path", None, "charge[0]: missing field `path`"),
        ("charge/pth", Some("\"x\""), "charge[0].pth: unknown field `pth`"),
        ("charge/method", Some("\"PATCH\""), "charge[0].method: "),
        ("charge/path", Some("\"v1/payments\""), "charge[0].path: "),
        ("charge/path", Some("\"/v1/{{card.number}}\""), "charge[0].path: "),
        ("charge/path", Some("\"/v1/{{secrets.api_key}}\""), "charge[0].path: "),
        ("charge/path", Some("\"/v1/{{vpa}}\""), "charge[0].path: "),
        ("charge/path", Some("\"/v1/{{reference\""), "charge[0].path: {{ without }}"),
        ("charge/json", Some("'{\"a\": {{reference}}}'"), "charge[0].json: the template is not JSON"),
        (
            "charge/json",
            Some("'{\"a\": \"{{refrence}}\"}'"),
            "charge[0].json: unknown placeholder {{refrence}}",
        ),
        ("charge/json", Some("'{\"{{reference}}\": 1}'"), "charge[0].json: "),
        ("charge/json", Some("'{\"a\": 1, \"a\": 2}'"), "charge[0].json: `a` is there twice"),
        (
            "charge/json",
            Some("'{\"a\": \"x{{amount_minor:number}}\"}'"),
            "charge[0].json: a number must stand alone",
        ),
        (
            "charge/json",
            Some("'{\"a\": \"{{reference:number}}\"}'"),
            "charge[0].json: {{reference:number}} cannot",
        ),
        (
            "charge/json",
            Some("'{\"a\": \"{{card.number:upper}}\"}'"),
            "charge[0].json: {{card.number:upper}} cannot",
        ),
        (
            "charge/json",
            Some("'{\"a\": \"{{carry.order}}\"}'"),
            "charge[0].json: {{carry.order}} is carried on by no",
        ),
        (
            "charge/json",
            Some("'{\"a\": \"{{values.shop}}\"}'"),
            "charge[0].json: {{values.shop}} is not declared",
        ),
        (
            "charge/json",
            Some("'{\"a\": \"{{secrets.pin}}\"}'"),
            "charge[0].json: {{secrets.pin}} is not declared",
        ),
        (
            "charge/json",
            Some("'{\"a\": \"{{http.body}}\"}'"),
            "charge[0].json: {{http.body}} cannot stand in a charge",
        ),
        ("charge/form", Some("[[\"a\", \"b\"]]"), "charge[0].form: "),
        (
            "refund/json",
            Some("'{\"a\": \"{{card.number}}\"}'"),
            "refund[0].json: {{card.number}} cannot stand in",
        ),
        ("enquire_charge/path", Some("\"/v1/{{processor_payment_id}}\""), "enquire_charge[0].path: "),
        ("charge/headers", Some("{ x-card = \"{{card.number}}\" }"), "charge[0].headers.x-card: card data"),
        ("headers/X-Key", Some("\"x\""), "headers.X-Key: "),
        ("headers/content-length", Some("\"1\""), "headers.content-length: "),
        ("charge/reply", Some("\"paymnt\""), "charge[0].reply: there is no `replies.paymnt`"),
        ("charge/echo", Some("\"currency\""), "charge[0].echo: "),
        ("charge/methods", Some("[\"bnpl\"]"), "charge[0].methods: `bnpl` is not among `methods`"),
        ("charge/methods", Some("[\"card\"]"), "charge: there is no exchange for `upi_intent`"),
        ("refund/methods", Some("[\"card\"]"), "refund[0].methods: "),
        ("charge/moves_money", Some("false"), "charge: `moves_money` is false"),
        ("charge/carry", Some("{ id = \"id\" }"), "charge[0].carry.id: `id` is not a JSON pointer"),
        ("charge", None, "charge: there is no exchange for `card`"),
        ("refund", None, "refund: this operation is missing"),
        ("enquire_charge", None, "enquire_charge: this operation is missing"),
        ("enquire_refund", None, "enquire_refund: this operation is missing"),
        ("capture", None, "methods.card.manual_capture: needs the operations"),
        ("void", None, "methods.card.manual_capture: needs the operations"),
        ("capture_codes", None, "methods.card.manual_capture: needs `capture_codes`"),
        ("capture_codes/manual", Some("\"AUTO\""), "methods.card.manual_capture: needs `capture_codes`"),
        ("methods/card/code", Some("\"\""), "methods.card.code: "),
        ("methods/card/currencies", Some("[]"), "methods.card.currencies: "),
        ("methods/card/currencies", Some("[\"XXX\"]"), "methods.card.currencies[0]: "),
        ("methods/card/amount_minor_min", Some("0"), "methods.card.amount_minor_min: "),
        ("methods/card/fee_percent_bps", Some("20000"), "methods.card.fee_percent_bps: "),
        ("methods/card/providers", Some("{ HDFC = \"x\" }"), "methods.card.providers: "),
        ("methods/wallet/providers", None, "methods.wallet.providers: must map"),
        ("methods/wallet/providers/bitcoin", Some("\"x\""), "methods.wallet.providers.bitcoin: "),
        ("methods/net_banking/providers/HDFC", Some("\"\""), "methods.net_banking.providers.HDFC: "),
        ("methods/emi", Some("{ code = \"E\", currencies = [\"INR\"] }"), "methods.emi: this method needs"),
        (
            "methods/cheque",
            Some("{ code = \"E\", currencies = [\"INR\"] }"),
            "methods: unknown variant `cheque`",
        ),
        ("countries", Some("[\"India\"]"), "countries: "),
        ("replies/payment/reference", None, "replies.payment.reference: must say where our reference"),
        (
            "replies/payment/reference",
            Some("\"\""),
            "replies.payment.reference: must say where our reference",
        ),
        (
            "replies/payment/status",
            Some("\"status\""),
            "replies.payment.status: `status` is not a JSON pointer",
        ),
        ("replies/payment/status", Some("\"/a~2\""), "replies.payment.status: "),
        ("replies/payment/status", None, "replies.payment.status: needs"),
        ("replies/payment/statuses", Some("{}"), "replies.payment.status: needs"),
        ("replies/payment/without_status", Some("\"captured\""), "replies.payment.status: needs"),
        (
            "replies/payment/statuses/CAPTURED",
            Some("\"paid\""),
            "replies.payment.statuses.CAPTURED: unknown variant `paid`",
        ),
        ("replies/payment/statuses/X", Some("\"refunded\""), "replies.payment.statuses: "),
        ("replies/payment/statuses/X", Some("\"next\""), "charge: the reply to every exchange but the last"),
        ("replies/payment/id", None, "replies.payment.id: "),
        ("replies/payment/amount", None, "replies.payment.amount: "),
        ("replies/payment/amount_unit", None, "replies.payment.amount_unit: "),
        (
            "replies/payment/amount_unit",
            Some("\"cents\""),
            "replies.payment.amount_unit: unknown variant `cents`",
        ),
        ("replies/payment/currency", None, "replies.payment.currency: "),
        ("replies/payment/form_url", Some("\"/x\""), "replies.payment.form_url: "),
        ("replies/browser/list", Some("\"/x\""), "replies.browser.list: "),
        ("http/reply", Some("[200, 500]"), "http.reply: 500"),
        ("http/reply", Some("[200, 422]"), "http.reply: 422"),
        ("http/not_taken", Some("[500]"), "http.not_taken: 500 proves nothing"),
        ("http/not_taken", Some("[408]"), "http.not_taken: 408 proves nothing"),
        ("http/not_taken", Some("[409]"), "http.not_taken: 409 proves nothing"),
        ("http/not_taken", Some("[200]"), "http.reply: 200"),
        ("http/not_found", Some("[200]"), "http.not_found: 200"),
        ("http/failure_code", Some("\"code\""), "http.failure_code: "),
        ("errors/X", Some("\"broke\""), "errors.X: unknown variant `broke`"),
        ("errors/X", Some("\"no_processor\""), "errors.X: "),
        ("errors/X", Some("7"), "errors.X: "),
        (
            "errors/X",
            Some("{ code = \"card_declined\", class = \"maybe\" }"),
            "errors.X: unknown variant `maybe`",
        ),
        ("errors/X", Some("{ code = \"outcome_unknown\", class = \"declined\" }"), "errors.X: "),
        ("errors/*", Some("\"processor_rejected\""), "errors.*: "),
        ("errors/*", Some("\"unknown\""), "errors.*: "),
        ("auth/hmac/secret", Some("\"other_key\""), "auth.hmac.secret: `other_key` is not declared"),
        ("auth/hmac/header", Some("\"X Sig\""), "auth.hmac.header: "),
        (
            "auth/hmac/signed",
            Some("\"{{card.number}}\""),
            "auth.hmac.signed: {{card.number}} cannot stand in a signature",
        ),
        ("auth/hmac/algorithm", Some("\"md5\""), "auth.hmac.algorithm: unknown variant `md5`"),
        ("auth/login", Some("{ path = \"/t\", token = \"/t\" }"), "auth.login.expires_s: "),
        ("auth/login", Some("{ path = \"/t\", token = \"t\", lives_s = 1 }"), "auth.login.token: "),
        (
            "auth/login",
            Some("{ path = \"/{{reference}}\", token = \"/t\", lives_s = 1 }"),
            "auth.login.path: ",
        ),
        ("secrets/api_key", Some("\"\""), "secrets.api_key: "),
        ("values/merchant_id", Some("\"\""), "values.merchant_id: "),
        ("webhook/secret", Some("\"x\""), "webhook.secret: `x` is not declared"),
        ("webhook/signed", Some("\"{{/data/reference}}\""), "webhook.signed: "),
        (
            "webhook/signed",
            Some("\"{{header.x-time}}{{body}}\""),
            "webhook.signed: something must stand between",
        ),
        ("webhook/signed", Some("\"{{boddy}}\""), "webhook.signed: unknown placeholder {{boddy}}"),
        ("webhook/signed", Some("\"{{header.x-time}}\""), "webhook.signed: must be over the body"),
        ("webhook/event", None, "webhook.events: "),
        ("webhook/events/x", Some("\"y\""), "webhook.events.x: there is no `replies.y`"),
        ("webhook/message_id", Some("\"id\""), "webhook.message_id: "),
        ("callback/secret", Some("\"x\""), "callback.secret: "),
        ("callback/field", Some("\"\""), "callback.field: "),
        ("callback/signed", Some("\"{{body}}\""), "callback.signed: unknown placeholder {{body}}"),
        ("callback/signed", Some("\"{{/reference}}|{{/status}}\""), "callback.signed: `/payment_id` is read"),
        ("callback/reply", Some("\"x\""), "callback.reply: "),
    ];
    let mut wrong = Vec::new();
    for (path, value, expected) in cases {
        let why = refusal(&[(path, *value)]);
        assert!(!why.contains('\n') && !why.contains("replace-"), "{why}");
        if !why.starts_with(expected) {
            wrong.push(format!("{path} = {value:?}\n  says: {why}\n  not:  {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn refused_together() {
    for (changes, expected) in [
        (&[("auth/hmac", None), ("headers", None)][..], "auth: nothing proves"),
        (
            &[
                ("auth/basic", Some(r#"{ username = "a", password = "b" }"#)),
                ("auth/login", Some(r#"{ path = "/t", token = "/t", lives_s = 1 }"#)),
            ][..],
            "auth.basic: ",
        ),
        (
            &[
                ("auth/basic", Some(r#"{ username = "a", password = "{{secrets.api_key}}" }"#)),
                ("headers/authorization", Some("\"x\"")),
            ][..],
            "headers.authorization: ",
        ),
        (&[("capture/json", Some("'{\"r\": \"{{reference}}\"}'"))][..], "partial_capture: no exchange"),
        (&[("refund/json", Some("'{\"r\": \"{{reference}}\"}'"))][..], "partial_refund: no exchange"),
        (
            &[("refund/json", Some("'{\"a\": \"{{amount_minor}}\"}'"))][..],
            "refund: no exchange sends {{reference}}",
        ),
        (
            &[("void/path", Some("\"/void\"")), ("void/json", None)][..],
            "void: no exchange says which payment",
        ),
        (
            &[(
                "charge/json",
                Some(r#"'{"r": "{{reference}}", "a": "{{amount_minor}}", "c": "{{currency}}"}'"#),
            )][..],
            "methods.card.manual_capture: no exchange sends {{capture}}",
        ),
        (
            &[
                ("methods/card/manual_capture", None),
                ("charge/json", Some(r#"'{"r": "{{reference}}", "a": "{{amount_minor}}"}'"#)),
            ][..],
            "charge: no exchange for `card` sends {{currency}}",
        ),
        (
            &[
                ("methods/card/manual_capture", None),
                ("charge/json", Some(r#"'{"a": "{{amount_minor}}", "c": "{{currency}}"}'"#)),
            ][..],
            "charge: no exchange for `card` sends {{reference}}",
        ),
        (
            &[
                ("methods/card/manual_capture", None),
                ("charge/json", Some(r#"'{"r": "{{reference}}", "c": "{{currency}}"}'"#)),
            ][..],
            "charge: no exchange for `card` sends {{amount_minor}}",
        ),
        (
            &[(
                "charge/json",
                Some(r#"'{"r": "{{reference}}", "a": "{{amount_minor}}", "c": "{{currency}}{{capture}}"}'"#),
            )][..],
            "charge: no exchange for `upi_collect` sends {{vpa}}",
        ),
        (&[("replies/payment/statuses", Some(r#"{ X = "declined" }"#))][..], "charge: no reply for `card`"),
        (&[("replies/refund/statuses", Some(r#"{ X = "declined" }"#))][..], "refund: its last reply"),
        (&[("replies/refund/statuses", Some(r#"{ X = "pending" }"#))][..], "enquire_refund: its last reply"),
    ] {
        let why = refusal(changes);
        assert!(why.starts_with(expected), "{changes:?}\n  says: {why}");
    }
}

#[test]
fn a_secret_is_never_quoted() {
    for value in ["\"hush-hush\"", "[\"hush-hush\"]"] {
        let why = refusal(&[("secrets", Some(value))]);
        assert!(why.starts_with("secrets") && !why.contains("hush"), "{why}");
    }
    let why = refusal(&[("secrets/api_key", Some("77777"))]);
    assert!(why.starts_with("secrets.api_key: ") && !why.contains("77777"), "{why}");
}
