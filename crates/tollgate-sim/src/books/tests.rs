use super::*;

fn new(reference: &str) -> NewEntry<'_> {
    NewEntry {
        reference,
        amount_minor: 1_000,
        currency: *b"INR",
        manual: false,
        method: Method::Upi,
        notes: Notes::Reference,
        now_ms: 1,
    }
}

fn open(dir: Option<&Path>) -> Books {
    Books::open(crate::razorpay::IDS, dir).unwrap()
}

#[test]
fn limits_are_kept() {
    let books = open(None);
    let number = books.create(&new("a")).unwrap();
    assert_eq!(books.create(&new("a")), Err(Refusal::Exists(number)));
    assert!(matches!(books.capture(number, 1_000, ""), Err(Refusal::State)));
    books.charge(number, Status::Authorized, Method::Card, 0).unwrap();
    assert!(matches!(books.charge(number, Status::Captured, Method::Card, 0), Err(Refusal::State)));
    assert!(matches!(books.capture(number, 999, ""), Err(Refusal::TooMuch)));
    books.capture(number, 1_000, "t").unwrap();
    assert!(matches!(books.void(number, "t"), Err(Refusal::State)));
    let refund = |key: &str, amount| {
        books
            .refund(number, key, key, amount, RefundState::Processed)
            .map(|(entry, place)| (entry.refunded_minor(), place))
    };
    assert_eq!(refund("r1", 600), Ok((600, 0)));
    assert_eq!(refund("r1", 600), Ok((600, 0)), "the same key is the same refund");
    assert_eq!(refund("r1", 500), Err(Refusal::KeyReused));
    assert_eq!(refund("r2", 401), Err(Refusal::TooMuch));
    assert_eq!(refund("r2", 0), Err(Refusal::TooMuch));
    assert_eq!(refund("r2", 400), Ok((1_000, 1)));
}

#[test]
fn they_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let listing = |books: &Books| {
        let (mut out, mut totals, mut from) = (Vec::new(), BookTotals::default(), (0, 0));
        while let Some(next) = books.list_into(from, 7, &mut totals, &mut out) {
            from = next;
        }
        let (mut entries, totals) = parse_ndjson(std::str::from_utf8(&out).unwrap()).unwrap();
        entries.sort_by(|a, b| a.reference.cmp(&b.reference));
        (entries, totals)
    };
    let before = {
        let books = open(Some(dir.path()));
        for index in 0..200 {
            let reference = format!("ref{index}");
            let mut entry = new(&reference);
            if index == 7 {
                entry.notes = Notes::Json(r#"{"a":"b\tc"}"#.into());
            }
            let number = books.create(&entry).unwrap();
            match index % 4 {
                0 => drop(books.charge(number, Status::Failed, Method::Card, 2).unwrap()),
                1 => {
                    books.charge(number, Status::Captured, Method::Upi, 0).unwrap();
                    books.refund(number, "r", "other-key", 300, RefundState::Pending).unwrap();
                    let action = books.get(number).unwrap().refunds[0].action;
                    books.settle_refund(number, action, RefundState::Processed).unwrap();
                }
                2 => {
                    books.charge(number, Status::Authorized, Method::Wallet, 0).unwrap();
                    books.void(number, "v").unwrap();
                }
                _ => {}
            }
        }
        listing(&books)
    };
    assert_eq!(before.1.entries, 200);
    assert_eq!((before.1.captured_minor, before.1.refunded_minor), (50_000, 15_000));
    // A line that was being written when the process died.
    let journal = journal::path_of(dir.path(), "razorpay");
    let mut text = std::fs::read_to_string(&journal).unwrap();
    text.push_str("S\t3\tC");
    std::fs::write(&journal, text).unwrap();
    let mut read = read_dir(dir.path()).unwrap();
    read.sort_by(|a, b| a.reference.cmp(&b.reference));
    assert_eq!(read, before.0);

    let books = open(Some(dir.path()));
    assert_eq!(listing(&books), before);
    let (number, entry) = books.find("ref7").unwrap();
    assert_eq!(entry.notes, Notes::Json(r#"{"a":"b\tc"}"#.into()));
    books.charge(number, Status::Captured, Method::Upi, 0).unwrap();
    assert_eq!(books.find("ref1").unwrap().1.refunds.len(), 1);
    drop(books);
    assert_eq!(open(Some(dir.path())).get(number).unwrap().status, Status::Captured);

    std::fs::write(&journal, "something else\n").unwrap();
    assert!(matches!(read_dir(dir.path()), Err(BooksError::Malformed { line: 1, .. })));
}

#[test]
fn a_cut_off_listing_is_refused() {
    assert!(parse_ndjson("").is_err());
    assert!(parse_ndjson("{\"totals\":").is_err());
}
