//! AES-128 in cipher block chaining mode with PKCS #7 padding, as Indian processors use it for their
//! messages. It hides a message; it does not vouch for it: whoever can change the bytes can change
//! what they say.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};

/// Encrypts; the result is at least one block long.
pub(crate) fn encrypt(key: &[u8; 16], iv: &[u8; 16], plain: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes128>::new(key.into(), iv.into()).encrypt_padded_vec::<Pkcs7>(plain)
}

/// Decrypts; `None` when the length or the padding is wrong.
pub(crate) fn decrypt(key: &[u8; 16], iv: &[u8; 16], data: &[u8]) -> Option<Vec<u8>> {
    cbc::Decryptor::<Aes128>::new(key.into(), iv.into()).decrypt_padded_vec::<Pkcs7>(data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(text: &str) -> [u8; 16] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// Vector: NIST SP 800-38A, F.2.1 (CBC-AES128.Encrypt). It has no padding, so ours adds a block.
    #[test]
    fn nist_vector() {
        let key = block("2b7e151628aed2a6abf7158809cf4f3c");
        let iv = block("000102030405060708090a0b0c0d0e0f");
        let plain = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                     30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
        let expected = "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
                        73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7";
        let plain = hex::decode(plain).unwrap();
        let encrypted = encrypt(&key, &iv, &plain);
        assert_eq!(hex::encode(&encrypted[..64]), expected);
        assert_eq!(encrypted.len(), 80);
        assert_eq!(decrypt(&key, &iv, &encrypted), Some(plain));
    }

    proptest! {
        #[test]
        fn what_was_encrypted_is_decrypted(
            key in any::<[u8; 16]>(),
            iv in any::<[u8; 16]>(),
            plain in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            prop_assert_eq!(decrypt(&key, &iv, &encrypt(&key, &iv, &plain)), Some(plain));
        }

        #[test]
        fn any_bytes_are_answered(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let plain = decrypt(&[7; 16], &[9; 16], &data);
            prop_assert!(plain.is_none() || (data.len() % 16 == 0 && !data.is_empty()));
        }
    }
}
