//! Partners and the audit log in the embedded store: what is admitted is exact, what is told cannot be lost,
//! and what is done to the log is found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use support::{Place, embedded, is_postgres};
use tollgate_core::api_key::ApiKey;
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::audit::By;
use tollgate_core::audit::verify::{Anchor, AuditFault, Verifier};
use tollgate_core::command::{Command, Refusal};
use tollgate_core::currency::Currency;
use tollgate_core::event::PaymentTerms;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{AttemptId, EventId, IdParts, MerchantId, PartnerId, PaymentId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::partner::{Contract, Kyc, KycState, Limit, NotAdmitted, Partner, PartnerState, Profile};
use tollgate_store::Store;
use tollgate_store::anchor::AnchorOptions;
use tollgate_store::commit::{Admin, Commit, CommitError, Committed, Conflict};
use tollgate_store::embedded::{EmbeddedOptions, EmbeddedStore};
use tollgate_store::lsm::{Database, KeyspaceOptions, Options};

const NOW_MS: u64 = 1_790_000_000_000;
static NEXT: AtomicU64 = AtomicU64::new(1);

fn parts() -> IdParts {
    IdParts { unix_ms: NOW_MS, sub_ms: 0, bucket: 5, random: NEXT.fetch_add(1, Ordering::Relaxed) }
}

fn by() -> By {
    By::command_line("tester".to_owned(), NOW_MS)
}

fn merchant(id: MerchantId, mode: Mode) -> Merchant {
    Merchant {
        id,
        name: "Shop".to_owned(),
        mode,
        active: true,
        fee: FeePlan::default(),
        mcc: None,
        country: None,
        processors: vec![],
        created_at_ms: NOW_MS,
    }
}

fn partner(reference: &str) -> Partner {
    Partner {
        id: PartnerId::from_parts(parts()),
        version: 1,
        profile: Profile {
            reference: Some(reference.to_owned()),
            legal_name: "Shop".to_owned(),
            display_name: "Shop".to_owned(),
            ..Profile::default()
        },
        state: PartnerState::Active,
        kyc: Kyc { state: KycState::Verified, reasons: vec![], changed_at_ms: NOW_MS },
        parent: None,
        sandbox: Some(MerchantId::from_parts(parts())),
        live: Some(MerchantId::from_parts(parts())),
        created_at_ms: NOW_MS,
        changed_at_ms: NOW_MS,
    }
}

async fn put(store: &dyn Store, partner: &Partner) -> Result<(), CommitError> {
    store.administer(Admin::PutPartner(Box::new(partner.clone())), by()).await
}

fn create(merchant_id: MerchantId, minor: i64, now_ms: u64) -> Box<Commit> {
    let (id, attempt_id) = (PaymentId::from_parts(parts()), AttemptId::from_parts(parts()));
    let terms = PaymentTerms {
        amount: Money::new(minor, Currency::INR),
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
        return_url: None,
        metadata: vec![],
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: None,
        routing: None,
    };
    let attempt =
        AttemptStart { id: attempt_id, processor: ProcessorName::new("razorpay"), amount_minor: minor };
    let command = Command::Create { payment_id: id, terms: Arc::new(terms), attempt };
    commit(merchant_id, now_ms, command)
}

fn commit(merchant_id: MerchantId, now_ms: u64, command: Command) -> Box<Commit> {
    let event_id = EventId::from_parts(parts());
    Box::new(Commit {
        merchant_id,
        now_ms,
        event_id,
        command: Some(command),
        idempotency: None,
        message: None,
    })
}

async fn decline(store: &dyn Store, committed: &Committed) {
    let payment = &committed.payment;
    let failure = Failure::new(FailureCode::CardDeclined, "no");
    let outcome = Outcome::Declined(failure);
    let command = Command::Settle {
        payment_id: payment.id,
        attempt_id: payment.charge_attempt_id,
        outcome,
        next: None,
    };
    store.commit(commit(payment.merchant_id, NOW_MS, command)).await.unwrap();
}

fn refusal(result: Result<Committed, CommitError>) -> NotAdmitted {
    match result {
        Err(CommitError::Refused(Refusal::NotAdmitted(why))) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_exact_under_concurrency_and_after_a_restart() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mut one = partner("one");
    one.profile.limits = vec![Limit {
        currency: Currency::INR,
        transaction_minor: Some(600),
        day_minor: Some(1_000),
        month_minor: Some(1_500),
    }];
    put(store.as_ref(), &one).await.unwrap();
    let live = one.live.unwrap();
    let above = store.commit(create(live, 601, NOW_MS)).await;
    assert_eq!(refusal(above), NotAdmitted::AboveTransactionLimit);

    let tries: Vec<_> = (0..64)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(create(live, 100, NOW_MS)).await })
        })
        .collect();
    let (mut taken, mut refused) = (Vec::new(), 0);
    for one in tries {
        match one.await.unwrap() {
            Ok(committed) => taken.push(committed),
            other => {
                assert_eq!(refusal(other), NotAdmitted::AboveDayLimit);
                refused += 1;
            }
        }
    }
    assert_eq!((taken.len(), refused), (10, 54), "ten of a hundred make a thousand, however they come");
    // The sandbox has sums of its own.
    store.commit(create(one.sandbox.unwrap(), 600, NOW_MS)).await.unwrap();

    // What is declined is given back; a restart forgets nothing.
    decline(store.as_ref(), &taken[0]).await;
    drop(store);
    let store = place.open(1).await;
    assert_eq!(refusal(store.commit(create(live, 101, NOW_MS)).await), NotAdmitted::AboveDayLimit);
    let last = store.commit(create(live, 100, NOW_MS)).await.unwrap();
    assert_eq!(refusal(store.commit(create(live, 1, NOW_MS)).await), NotAdmitted::AboveDayLimit);
    decline(store.as_ref(), &last).await;
    store.commit(create(live, 100, NOW_MS)).await.unwrap();

    // The next day is a new one, within the same month.
    let tomorrow = NOW_MS + 86_400_000;
    store.commit(create(live, 500, tomorrow)).await.unwrap();
    assert_eq!(refusal(store.commit(create(live, 1, tomorrow)).await), NotAdmitted::AboveMonthLimit);
    let next_month = NOW_MS + 31 * 86_400_000;
    store.commit(create(live, 600, next_month)).await.unwrap();
}

#[tokio::test]
async fn state_and_permissions_hold_from_the_next_commit_on() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mut one = partner("one");
    one.kyc.state = KycState::Submitted;
    one.profile.contracts = vec![Contract {
        processor: ProcessorName::new("razorpay"),
        fee: Some(FeePlan { percent_bps: 70, fixed_minor: 0 }),
    }];
    put(store.as_ref(), &one).await.unwrap();
    let (sandbox, live) = (one.sandbox.unwrap(), one.live.unwrap());
    assert_eq!(refusal(store.commit(create(live, 5, NOW_MS)).await), NotAdmitted::LiveClosed);
    let committed = store.commit(create(sandbox, 5, NOW_MS)).await.unwrap();
    assert_eq!(committed.payment.terms.fee.percent_bps, 70, "the contract's fee");

    let one = one.known(KycState::Verified, vec![], NOW_MS).unwrap();
    put(store.as_ref(), &one).await.unwrap();
    store.commit(create(live, 5, NOW_MS)).await.unwrap();
    assert!(matches!(put(store.as_ref(), &one).await, Err(CommitError::Conflict(Conflict::Stale))));

    for (change, why) in [
        (Profile { methods: vec![MethodKind::Card], ..one.profile.clone() }, NotAdmitted::Method),
        (Profile { currencies: vec![Currency::EUR], ..one.profile.clone() }, NotAdmitted::Currency),
    ] {
        let now = store.partner(one.id).await.unwrap().unwrap();
        put(store.as_ref(), &Partner { version: now.version + 1, profile: change, ..one.clone() })
            .await
            .unwrap();
        assert_eq!(refusal(store.commit(create(live, 5, NOW_MS)).await), why);
    }

    // A sub-merchant stops with the one above it.
    let now = store.partner(one.id).await.unwrap().unwrap();
    let one = Partner { version: now.version + 1, ..one };
    put(store.as_ref(), &one).await.unwrap();
    let sub = Partner { parent: Some(one.id), ..partner("sub") };
    put(store.as_ref(), &sub).await.unwrap();
    store.commit(create(sub.live.unwrap(), 5, NOW_MS)).await.unwrap();
    let one = one.moved(PartnerState::Suspended, NOW_MS).unwrap();
    put(store.as_ref(), &one).await.unwrap();
    for merchant_id in [sandbox, live, sub.sandbox.unwrap(), sub.live.unwrap()] {
        assert_eq!(refusal(store.commit(create(merchant_id, 5, NOW_MS)).await), NotAdmitted::Suspended);
    }
    // What is under way goes on.
    decline(store.as_ref(), &committed).await;
    put(store.as_ref(), &one.moved(PartnerState::Active, NOW_MS).unwrap()).await.unwrap();
    drop(store);
    let store = place.open(1).await;
    assert_eq!(store.partner_of(live).await.unwrap().unwrap().profile.reference.as_deref(), Some("one"));
    assert_eq!(store.partner_by_reference("sub").await.unwrap().unwrap().id, sub.id);
    assert_eq!(store.partners(None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn changes_are_made_together_or_not_at_all() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (one, two) = (partner("same"), partner("same"));
    let id = MerchantId::from_parts(parts());
    let together = Admin::Together(vec![
        Admin::PutPartner(Box::new(one.clone())),
        Admin::PutMerchant(merchant(id, Mode::Sandbox)),
        Admin::PutPartner(Box::new(two)),
    ]);
    let refused = store.administer(together, by()).await;
    assert!(matches!(refused, Err(CommitError::Conflict(Conflict::ReferenceTaken))));
    assert_eq!(store.partner(one.id).await.unwrap(), None);
    assert_eq!(store.merchant(id).await.unwrap(), None);
    assert_eq!(store.audit_head().await.unwrap().count, 0, "what was not done is not told");
    put(store.as_ref(), &one).await.unwrap();
    assert_eq!(store.audit_head().await.unwrap().count, 1);
}

async fn verify(store: &dyn Store, anchors: &[Anchor]) -> Result<u64, AuditFault> {
    let mut verifier = Verifier::new(anchors);
    for (position, record) in store.audit(0, 1_000).await.unwrap() {
        verifier.follow(position, record.as_ref())?;
    }
    verifier.end(store.audit_head().await.unwrap())
}

#[tokio::test]
async fn every_change_is_told_and_tampering_is_found_with_its_position() {
    if is_postgres() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (data, anchor_file) = (folder.path().join("store"), folder.path().join("anchors"));
    let mut options = EmbeddedOptions::new(&data, 1);
    options.audit_anchor = Some(AnchorOptions { file: anchor_file.clone(), every: 4 });
    let store = EmbeddedStore::open(options).unwrap();
    let id = MerchantId::from_parts(parts());
    store.administer(Admin::PutMerchant(merchant(id, Mode::Sandbox)), by()).await.unwrap();
    for _ in 0..8 {
        let key = ApiKey::new(tollgate_core::id::ApiKeyId::from_parts(parts()), id, [0; 32], NOW_MS);
        store.administer(Admin::PutApiKey(key), by()).await.unwrap();
    }
    assert_eq!(verify(&store, &[]).await, Ok(9));
    let told = store.merchant_audit(id, Some(9), 2).await.unwrap();
    assert_eq!(told.iter().map(|record| record.sequence).collect::<Vec<_>>(), [8, 7]);
    assert_eq!(told[0].entry.action(), "api_key.added");
    assert_eq!(told[0].entry.actor(), "command_line:tester");
    drop(store);
    let text = std::fs::read_to_string(&anchor_file).unwrap();
    let anchors: Vec<Anchor> = text.lines().map(|line| Anchor::parse(line).unwrap()).collect();
    assert_eq!(anchors.iter().map(|anchor| anchor.head.count).collect::<Vec<_>>(), [4, 8, 9]);

    let rows = raw(&data);
    assert_eq!(rows.len(), 9);
    let mut flipped = rows.clone();
    let at = flipped[4].1.len() / 2;
    flipped[4].1[at] ^= 1;
    let mut dropped = rows.clone();
    dropped.remove(2);
    let mut swapped = rows.clone();
    let second = swapped[6].1.clone();
    swapped[6].1 = std::mem::replace(&mut swapped[1].1, second);
    let truncated = rows[..7].to_vec();
    for (changed, position) in [(flipped, 5), (dropped, 3), (swapped, 2)] {
        rewrite(&data, &changed, None);
        let fault = verify(embedded(&data, 1).as_ref(), &[]).await.unwrap_err();
        assert!(fault.to_string().contains(&format!("audit record {position} ")), "{fault}");
    }
    rewrite(&data, &truncated, None);
    let cut = verify(embedded(&data, 1).as_ref(), &[]).await;
    assert_eq!(cut, Err(AuditFault::Cut { found: 7, expected: 9 }));
    // Whoever moves the noted end too is found by the anchors.
    let head = tollgate_core::audit::Head { count: 7, last: hash_of(&rows[7].1) };
    rewrite(&data, &truncated, Some(head));
    let store = embedded(&data, 1);
    assert_eq!(verify(store.as_ref(), &[]).await, Ok(7));
    let cut = verify(store.as_ref(), &anchors).await;
    assert_eq!(cut, Err(AuditFault::Cut { found: 7, expected: 9 }));
    drop(store);
    rewrite(&data, &rows, Some(anchors[2].head));
    assert_eq!(verify(embedded(&data, 1).as_ref(), &anchors).await, Ok(9));
}

type Raw = Vec<(Vec<u8>, Vec<u8>)>;

fn database(folder: &Path) -> Database {
    Database::open(folder, Options::default()).unwrap()
}

fn raw(folder: &Path) -> Raw {
    let database = database(folder);
    let audit = database.keyspace("audit", KeyspaceOptions::default()).unwrap();
    audit
        .iter()
        .map(|row| {
            let (key, value) = row.into_inner().unwrap();
            (key.to_vec(), value.to_vec())
        })
        .collect()
}

fn rewrite(folder: &Path, rows: &Raw, head: Option<tollgate_core::audit::Head>) {
    let database = database(folder);
    let audit = database.keyspace("audit", KeyspaceOptions::default()).unwrap();
    let old: Vec<_> = audit.iter().map(|row| row.key().unwrap()).collect();
    for key in old {
        audit.remove(key).unwrap();
    }
    for (key, value) in rows {
        audit.insert(key, value).unwrap();
    }
    if let Some(head) = head {
        let meta = database.keyspace("meta", KeyspaceOptions::default()).unwrap();
        let mut row = vec![1];
        row.extend(postcard::to_stdvec(&head).unwrap());
        meta.insert("audit_head", row).unwrap();
    }
}

/// The hash that a record of these bytes names as the one before it.
fn hash_of(row: &[u8]) -> [u8; 32] {
    let record: tollgate_core::audit::AuditRecord = postcard::from_bytes(&row[1..]).unwrap();
    record.previous
}
