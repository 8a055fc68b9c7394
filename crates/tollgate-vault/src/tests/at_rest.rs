//! No digit of a card's number or security code is in any file of the folder.

use super::*;
use base64::Engine;
use std::ops::ControlFlow;

/// The forms in which a number might lie in a file.
fn forms(number: &str) -> Vec<Vec<u8>> {
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let mut forms = vec![
        number.as_bytes().to_vec(),
        number.bytes().rev().collect(),
        hex::encode(number).into_bytes(),
        hex::decode(number).unwrap(),
        number.parse::<u64>().unwrap().to_be_bytes().to_vec(),
        number.parse::<u64>().unwrap().to_le_bytes().to_vec(),
        number.bytes().map(|digit| digit - b'0').collect(),
        number.chars().flat_map(|digit| [digit as u8, 0]).collect(),
    ];
    // Split: what lies between BIN and last four digits is as secret as the whole.
    forms.push(number.as_bytes()[5..12].to_vec());
    forms.push(number.as_bytes()[..8].to_vec());
    forms.push(number.as_bytes()[8..].to_vec());
    for separator in [" ", "-"] {
        let groups: Vec<_> =
            number.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap()).collect();
        forms.push(groups.join(separator).into_bytes());
    }
    // Base64 at each of the three places it may begin at.
    for lead in 0..3 {
        let text = STANDARD_NO_PAD.encode([&b"xx"[..lead], number.as_bytes()].concat());
        forms.push(text.as_bytes()[4..text.len() - 4].to_vec());
    }
    forms
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(std::fs::read(path).unwrap());
        }
    }
    found
}

/// Panics if a form of the number or the code is in a file.
fn nothing_in(folder: &Path, number: &str) {
    let code = b"7391";
    let files = files(folder);
    assert!(files.iter().map(Vec::len).sum::<usize>() > 1_000);
    for file in &files {
        for (place, form) in forms(number).iter().enumerate() {
            assert!(!contains(file, form), "form {place} of the number is in a file");
        }
        assert!(!contains(file, b"ASHA RAO"), "the holder's name is in a file");
        assert!(!contains(file, &[b"\x04", code.as_slice()].concat()), "the code is in a file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_digit_is_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let number = (0..10)
        .map(|digit| format!("492953718462037{digit}"))
        .find(|text| CardNumber::parse(text).is_ok())
        .unwrap();
    let secret = || CardSecret { cvc: Some(Cvc::parse("7391").unwrap()), ..card(&number) };
    let vault = open(folder.path(), &[1]);
    let token = store(&vault, merchant(1), secret()).await.unwrap().token;
    let held = vault.hold(merchant(1), secret(), NOW).await.unwrap().token;
    take(&vault, merchant(1), held).await.unwrap();
    take(&vault, merchant(1), token).await.unwrap();
    nothing_in(folder.path(), &number);

    let other = Arc::clone(&vault);
    let rotated = tokio::task::spawn_blocking(move || {
        let mut go = |_: &_| ControlFlow::Continue(());
        other.rotate_data(NOW, &mut go).unwrap();
        other.rotate_master(master(2), NOW, &mut go).unwrap();
    });
    rotated.await.unwrap();
    nothing_in(folder.path(), &number);
    take(&vault, merchant(1), token).await.unwrap();
    vault.delete(merchant(1), token, NOW).await.unwrap();
    store(&vault, merchant(2), secret()).await.unwrap();
    vault.shred(merchant(2), NOW).await.unwrap();
    drop(vault);
    nothing_in(folder.path(), &number);

    // The search itself finds what is there.
    for form in forms(&number) {
        let path = folder.path().join("leak");
        std::fs::write(&path, [b"before".as_slice(), &form, b"after"].concat()).unwrap();
        assert!(std::panic::catch_unwind(|| nothing_in(folder.path(), &number)).is_err());
        std::fs::remove_file(path).unwrap();
    }
}
