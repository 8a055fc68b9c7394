//! Tests of what is masked, and of what must stay.

use super::*;
use proptest::prelude::*;

#[test]
fn card_numbers_are_masked_wherever_they_stand() {
    for number in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111+1111+1111+1111",
        "4111%201111%201111%201111",
        "4111%2D1111%2d1111%2D1111",
        "4111.1111.1111.1111",
        "4111_1111_1111_1111",
        "4111\t1111\t1111\t1111",
        "4111\u{a0}1111\u{a0}1111\u{a0}1111",
        "4111%C2%A01111%C2%A01111%C2%A01111",
        "4111  1111  1111  1111",
        "4111 - 1111 - 1111 - 1111",
        "4111.1111 1111-1111",
        "4111\u{2013}1111\u{202f}1111\u{2009}1111",
        r"4111\t1111\u00a01111\u{a0}1111",
        "3782.822463.10005",
        "4222.2222.2222.2",
        "378282246310005",
        "3782 822463 10005",
        "3056 930902 5904",
        "4222222222222",
        "6304000000000000",
        "5555555555554444",
    ] {
        for (before, behind) in [
            ("", ""),
            ("card=", " x"),
            ("/v1/", "/pay"),
            ("x", "y"),
            ("12", "34"),
            ("176", ""),
            ("retry 3 ", " 5"),
            ("{\"n\":\"", "\"}"),
            ("0.", ""),
            ("id_", "_"),
            ("abcdef01-", "abcdefab"),
            ("550e8400-e29b-41d4-a716-44665544", "0000"),
            ("", "00-e29b-41d4-a716-446655440000"),
        ] {
            let text = format!("{before}{number}{behind}");
            let shown = scrubbed(&text);
            assert!(shown.contains(MASK), "{text} → {shown}");
            assert!(!shown.contains(number), "{text} → {shown}");
        }
    }
}

#[test]
fn times_ids_and_amounts_stay() {
    for text in [
        "2026-11-22T00:34:06.123456Z INFO took_us=4512 at_ms=1763760000000 listening",
        "at_ms=1763760000000 1763760001234\n1763760009999, 1763760000007",
        "at_us=1763760000123456",
        "550e8400-e29b-41d4-a716-446655440000",
        "pay_0351N51F8JSuTOVx7u8qUI ref_0351N51mBDsN0efloevcAS key_7LKY3rC9bqLkYJ1FzZt1aB",
        "request_id=4bf92f3577b34da6a3ce929d0e0e4736",
        "amount=100.00 minor=922337203685 fee=2.00 +91 98765 43210",
        "order 4111111111111112",
        "192.168.100.200:54321 port 8000 rows 123456789012",
        "tg_test_ tg_live whsec_ the Bearer\nof this; basic setup done; -----BEGIN CERTIFICATE-----",
        "risk_score task_test_name desk_live",
        "****1111 411111******1111",
        "2026-11-22_00-34-06.123456 2026.11.22_00.34.06 v1.2.3 0.000041111111 fe80__4111",
        "10.0.0.1 192.168.100.200 172.16.254.1_10.20.30.40.",
        "1763760000.123456 4111.11 1111.11 11.11 1111_11_22",
        "41111111.11111111 4111.111111111111 411111111111.1111 4_1_1_1_1_1_1_1_1_1_1_1_1_1_1_1",
    ] {
        assert_eq!(scrubbed(text), text);
    }
}

#[test]
fn keys_are_masked_wherever_they_stand() {
    let jwt = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJlc2lnbmF0dXJl";
    for (text, shown) in [
        ("key tg_test_0351N51F8JSuTOVx7u8qUI_abcdefghijklmnopqrstuvwxyzABCDEF.", "key tg_test_***."),
        ("xtg_live_0351N51F8JSuTOVx7u8qUI_s", "xtg_live_***"),
        ("[tg_admin_0351N51F8JSuTOVx7u8qUI_s]", "[tg_admin_***]"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***"),
        ("authorization: Bearer abc", "authorization: Bearer ***"),
        ("{\"a\":\"bearer  x.y-z\",\"b\":1}", "{\"a\":\"bearer  ***\",\"b\":1}"),
        ("?h=Bearer%20abc&x=1", "?h=Bearer%20***&x=1"),
        ("Authorization: Basic cnpwX3Rlc3Q6aHVzaA==", "Authorization: Basic ***"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "sk_live_***"),
        ("a -----BEGIN EC PRIVATE KEY-----\nMHcC\nAQ==\n-----END EC PRIVATE KEY----- b", "a *** b"),
        ("-----BEGIN PRIVATE KEY-----MC4CAQAw", "***"),
    ] {
        assert_eq!(scrubbed(text), shown, "{text}");
    }
    assert_eq!(scrubbed(&format!("token {jwt}. next")), "token ***. next");
    assert_eq!(scrubbed(&format!("x={jwt}&y=eyJhbGciOiJub25lIn0.e30aaaaaa.")), "x=***&y=***.");
}

#[test]
fn json_stays_json() {
    for line in [
        r#"{"n":4111111111111111,"m":1}"#,
        r#"{"n":-4111111111111111.5e3}"#,
        r#"{"n":0.4111111111111111}"#,
        r#"{"n":[1,4111111111111111,4111111111111111],"t":"4111 1111 1111 1111"}"#,
        r#"{"t":"a \" 4111111111111111 \\","n":4111111111111111}"#,
        r#"{"t":"-----BEGIN PRIVATE KEY-----\nMC4C","n":1}"#,
        r#"{"t":"Debug(\"-----BEGIN PRIVATE KEY-----\\nMC4C\")","n":1}"#,
        r#"{"t":"Bearer abc","u":"tg_test_0351N51F8JSuTOVx7u8qUI_abcdefgh"}"#,
        r#"{"t":"4111\t1111\u00a01111\t1111"}"#,
        // The number seems to begin in what stands for a control character.
        r#"{"t":"\u00041111111111111111"}"#,
        r#"{"t":"\\\u00041111111111111111 \\u00041111111111111111"}"#,
    ] {
        let shown = scrubbed_json(line);
        assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "{line} → {shown}");
        assert!(shown.contains(MASK) && !shown.contains("1111111") && !shown.contains("MC4C"), "{shown}");
    }
}

#[test]
fn many_beginnings_of_something_are_gone_through_once() {
    // Reading on from each of them again would take longer than anybody waits for this test.
    for piece in [
        "4",
        "4111 ",
        "eyJ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "tg_test_",
        "a1b2c3d4-",
        "Bearer ",
        "basic+",
        "%20",
        "4%20",
        "4....",
        "4111.",
        "4\t ",
        "\\u00",
        "\"",
    ] {
        let text = piece.repeat(1_000_000 / piece.len());
        let shown = scrubbed_json(&text);
        assert!(!shown.contains("1111 4111"), "{piece}");
    }
}

/// Numbers as networks give them out, with right check digits.
fn card_number() -> impl Strategy<Value = String> {
    let network = proptest::sample::select(vec![
        ("4", 13),
        ("4", 16),
        ("4", 19),
        ("51", 16),
        ("55", 16),
        ("2221", 16),
        ("2720", 16),
        ("34", 15),
        ("37", 15),
        ("36", 14),
        ("300", 14),
        ("3528", 16),
        ("3589", 16),
        ("6011", 16),
        ("65", 16),
        ("62", 19),
        ("60", 16),
        ("81", 16),
        ("508", 16),
        ("58", 18),
        ("9792", 16),
        ("2200", 16),
    ]);
    (network, "[0-9]{19}").prop_map(|((lead, length), digits)| {
        let body = format!("{lead}{digits}");
        let body = &body[..length - 1];
        let right = |digit: &u32| {
            let number = format!("{body}{digit}");
            let sum: u32 = number
                .bytes()
                .rev()
                .enumerate()
                .map(|(place, byte)| {
                    let digit = u32::from(byte - b'0');
                    match place % 2 {
                        0 => digit,
                        _ if digit > 4 => digit * 2 - 9,
                        _ => digit * 2,
                    }
                })
                .sum();
            sum.is_multiple_of(10)
        };
        format!("{body}{}", (0..10).find(right).unwrap())
    })
}

/// A number as people write it.
fn written(number: &str, separator: &str) -> String {
    let groups: Vec<&str> =
        (0..number.len()).step_by(4).map(|at| &number[at..number.len().min(at + 4)]).collect();
    groups.join(separator)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// No surrounding hides a number: letters, digits, signs, quotes, other scripts.
    #[test]
    fn no_card_number_survives(
        number in card_number(),
        separator in proptest::sample::select(vec![
            "", " ", "-", "+", "%20", "%2D", ".", "_", "\t", "\u{a0}", "  ", " - ", "%C2%A0", "\u{2010}", ". ",
        ]),
        before in prop_oneof!["[0-9 -]{0,24}", "\\PC{0,24}", "[a-f0-9]{0,24}-?", "1[0-9]{0,9}"],
        behind in prop_oneof!["[0-9 -]{0,24}", "\\PC{0,24}", "-?[a-f0-9]{0,24}"],
    ) {
        let text = format!("{before}{}{behind}", written(&number, separator));
        let shown = scrubbed(&text);
        prop_assert!(!shown.contains(&written(&number, separator)), "{} → {}", text, shown);
        let line = serde_json::json!({"message": text, "n": 1}).to_string();
        let line = scrubbed_json(&line);
        prop_assert!(!line.contains(&written(&number, separator)), "{}", line);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{}", line);
    }

    /// Nor does one whose groups are separated each by something else.
    #[test]
    fn no_card_number_survives_between_mixed_separators(
        number in card_number(),
        separators in proptest::collection::vec("[ ._\t\u{a0}-]{1,3}", 4),
        before in "[a-z0-9 =:_-]{0,24}",
        behind in "[a-z0-9 ,._-]{0,24}",
    ) {
        let groups = written(&number, "|");
        let mut separators = separators.iter();
        let shape = groups.split('|').enumerate().fold(String::new(), |text, (place, group)| {
            let separator = if place == 0 { "" } else { separators.next().unwrap() };
            text + separator + group
        });
        let text = format!("{before}{shape}{behind}");
        let shown = scrubbed(&text);
        prop_assert!(!shown.contains(&shape), "{:?} → {:?}", text, shown);
        let line = serde_json::json!({"message": text}).to_string();
        let line = scrubbed_json(&line);
        let read = serde_json::from_str::<serde_json::Value>(&line).unwrap();
        prop_assert!(!read["message"].as_str().unwrap().contains(&shape), "{}", line);
    }

    /// Whatever the text: no panic.
    #[test]
    fn any_text_is_read(text in "\\PC{0,200}", digits in "[0-9eE.+ -]{0,60}") {
        for text in [&text, &digits] {
            let _ = (scrubbed(text), scrubbed_json(text));
        }
    }

    /// What times and our own ids look like is never touched.
    #[test]
    fn times_and_ids_survive(at_ms in 1_000_000_000_000_u64..2_000_000_000_000, id in any::<u128>()) {
        let mut base62 = String::new();
        crate::base62::encode_into(id, &mut base62);
        let text = format!("at_ms={at_ms} id=pay_{base62} at={at_ms}");
        prop_assert_eq!(scrubbed(&text), text.as_str());
    }
}
