//! Rows of API keys: the present form, and the one that schemas before 5 wrote.

use super::codec::{decode, decode_version, encode_version};
use crate::error::StoreError;
use serde::Deserialize;
use tollgate_core::api_key::ApiKey;
use tollgate_core::id::{ApiKeyId, MerchantId};

/// The row version of today's keys; those of version 2 had no certificates, those of version 1 no owner but a merchant, no role
/// and no end.
const ROW_VERSION: u8 = 3;

/// A key of row version 1: its holder may do everything.
#[derive(Deserialize)]
struct First {
    id: ApiKeyId,
    merchant_id: MerchantId,
    secret_sha256: [u8; 32],
    created_at_ms: u64,
    revoked_at_ms: Option<u64>,
}

/// A key's row.
pub(crate) fn to_row(key: &ApiKey) -> Result<Vec<u8>, StoreError> {
    encode_version(ROW_VERSION, key)
}

/// The key of a row.
pub(crate) fn from_row(bytes: &[u8]) -> Result<ApiKey, StoreError> {
    if bytes.first() == Some(&ROW_VERSION) {
        return decode_version(ROW_VERSION, bytes, "API key");
    }
    let First { id, merchant_id, secret_sha256, created_at_ms, revoked_at_ms } = decode(bytes, "API key")?;
    Ok(ApiKey { revoked_at_ms, ..ApiKey::new(id, merchant_id, secret_sha256, created_at_ms) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::codec::encode;
    use tollgate_core::access::{Permission, Role};

    #[test]
    fn keys_come_back() {
        let key = ApiKey::new(ApiKeyId::from_u128(5), MerchantId::from_u128(6), [7; 32], 8);
        let key = ApiKey {
            name: "till".to_owned(),
            role: Role::Support,
            scopes: Some(vec![Permission::RefundsWrite]),
            networks: vec!["2001:db8::/32".parse().unwrap()],
            certificates: vec!["ab".repeat(32).parse().unwrap()],
            expires_at_ms: Some(9),
            ..key
        };
        assert_eq!(from_row(&to_row(&key).unwrap()).unwrap(), key);
    }

    #[test]
    fn keys_of_earlier_schemas_are_their_owners() {
        let (id, merchant_id) = (ApiKeyId::from_u128(5), MerchantId::from_u128(6));
        let row = encode(&(id, merchant_id, [7_u8; 32], 8_u64, Some(9_u64))).unwrap();
        let expected = ApiKey { revoked_at_ms: Some(9), ..ApiKey::new(id, merchant_id, [7; 32], 8) };
        assert_eq!(from_row(&row).unwrap(), expected);
        assert_eq!(expected.role, Role::Owner);
    }

    #[test]
    fn what_is_no_key_is_an_error() {
        for row in [&b""[..], &[1], &[2], &[3], &[4, 0, 0], &[3, 255, 255]] {
            assert!(from_row(row).is_err());
        }
    }
}
