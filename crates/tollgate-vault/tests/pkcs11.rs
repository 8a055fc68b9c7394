//! A vault whose master key stays in a PKCS#11 token. Run by `scripts/vault-hsm`, which makes the token
//! and names it in the environment.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests stop where they fail")]

use std::ops::ControlFlow;
use std::sync::Arc;
use tollgate_core::card::{CardNumber, CardSecret};
use tollgate_core::id::{IdParts, MerchantId, PaymentId};
use tollgate_vault::master::{LocalMaster, MasterError, MasterKey, MasterSource, Pkcs11Config, Pkcs11Master};
use tollgate_vault::{CardVault, Key, LocalVault, OpenError, Owner, Purpose, VaultOptions};

const NUMBER: &str = "4111111111111111";

/// The source of one of the token's keys.
fn source(key: &str) -> String {
    let module = std::env::var("TOLLGATE_TEST_PKCS11_MODULE").expect("run by scripts/vault-hsm");
    let token = std::env::var("TOLLGATE_TEST_PKCS11_TOKEN").expect("run by scripts/vault-hsm");
    format!("pkcs11:module={module};token={token};key={key};pin=env:TOLLGATE_TEST_PKCS11_PIN")
}

/// Makes an AES key that cannot leave the token.
fn make_key(label: &str) {
    use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
    use cryptoki::mechanism::Mechanism;
    use cryptoki::object::Attribute;
    use cryptoki::session::UserType;
    use cryptoki::types::AuthPin;
    let module = Pkcs11::new(std::env::var("TOLLGATE_TEST_PKCS11_MODULE").unwrap()).unwrap();
    let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let token = std::env::var("TOLLGATE_TEST_PKCS11_TOKEN").unwrap();
    let slots = module.get_slots_with_initialized_token().unwrap();
    let slot = slots.into_iter().find(|slot| module.get_token_info(*slot).unwrap().label() == token).unwrap();
    let session = module.open_rw_session(slot).unwrap();
    let pin = AuthPin::new(std::env::var("TOLLGATE_TEST_PKCS11_PIN").unwrap().into());
    let _ = session.login(UserType::User, Some(&pin));
    let template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::ValueLen(32.into()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
}

fn open_key(label: &str) -> Arc<dyn MasterKey> {
    source(label).parse::<MasterSource>().unwrap().open().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PKCS#11 token: scripts/vault-hsm"]
async fn a_vault_under_a_key_that_never_leaves_its_token() {
    make_key("first");
    make_key("second");
    let key = open_key("first");

    // Wrapping is bound to its use and finds every flip.
    let secret = Key::random();
    let wrapped = key.wrap(&secret, b"use").unwrap();
    assert_eq!(key.unwrap(&wrapped, b"use").unwrap().expose(), secret.expose());
    assert_eq!(key.unwrap(&wrapped, b"other use").unwrap_err(), MasterError::Refused);
    assert_eq!(open_key("second").unwrap(&wrapped, b"use").unwrap_err(), MasterError::Refused);
    for byte in 0..wrapped.len() {
        let mut wrong = wrapped.clone();
        wrong[byte] ^= 1;
        assert_eq!(key.unwrap(&wrong, b"use").unwrap_err(), MasterError::Refused, "byte {byte}");
    }
    // A failed call leaves the session good.
    assert!(key.unwrap(&wrapped, b"use").is_ok());

    // What cannot be had says why.
    let config = source("third");
    let refusal = config.parse::<MasterSource>().unwrap().open().unwrap_err().to_string();
    assert!(refusal.contains("0 secret keys third"), "{refusal}");
    let wrong_token: Pkcs11Config =
        source("first").trim_start_matches("pkcs11:").replace("token=", "token=no-").parse().unwrap();
    assert!(Pkcs11Master::open(&wrong_token).is_err());

    let folder = tempfile::tempdir().unwrap();
    let merchant = MerchantId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random: 1 });
    let payment = PaymentId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random: 1 });
    let card = CardSecret {
        number: CardNumber::parse(NUMBER).unwrap(),
        exp_month: 12,
        exp_year: 2030,
        cvc: None,
        holder: None,
        network_token: None,
    };
    let vault = LocalVault::open(VaultOptions::new(folder.path(), key)).unwrap();
    let held = vault.hold(merchant, card, 1).await.unwrap().token;
    let token = vault.store(merchant, Owner::of("customer"), held, 1).await.unwrap().token;
    let read = async |vault: &LocalVault| {
        let card = vault.withdraw(merchant, token, None, Purpose::Charge(payment), 1).await;
        assert_eq!(card.unwrap().number.expose(), NUMBER);
    };
    read(&vault).await;
    drop(vault);

    let second = open_key("second");
    let refusal = LocalVault::open(VaultOptions::new(folder.path(), Arc::clone(&second))).unwrap_err();
    assert!(matches!(refusal, OpenError::OtherMaster { .. }), "{refusal}");

    // From one key of the token to another, then out of the token and back.
    let file: Arc<dyn MasterKey> = Arc::new(LocalMaster::new(Key::random()));
    let vault = LocalVault::open(VaultOptions::new(folder.path(), open_key("first"))).unwrap();
    for next in [Arc::clone(&second), file, Arc::clone(&second)] {
        let rotating = Arc::clone(&vault);
        let rotated = tokio::task::spawn_blocking(move || {
            rotating.rotate_master(next, 1, &mut |_| ControlFlow::Continue(())).unwrap();
            rotating.rotate_data(1, &mut |_| ControlFlow::Continue(())).unwrap();
        });
        rotated.await.unwrap();
        read(&vault).await;
    }
    drop(vault);
    let vault = LocalVault::open(VaultOptions::new(folder.path(), second)).unwrap();
    read(&vault).await;
    vault.verify_audit().unwrap();
}
