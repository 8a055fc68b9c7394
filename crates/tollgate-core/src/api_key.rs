//! API keys: whose they are, what they may do, from where and for how long.

use crate::access::{Permission, Permissions, Reach, Role};
use crate::certificate::CertificateFingerprint;
use crate::id::{ApiKeyId, MerchantId};
use crate::network::Network;
use serde::{Deserialize, Serialize};

/// Whom a key acts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyOwner {
    /// One account.
    Merchant(MerchantId),
    /// The operator of the gateway.
    Platform,
}

impl KeyOwner {
    /// The kind of owner.
    #[must_use]
    pub const fn reach(self) -> Reach {
        match self {
            Self::Merchant(_) => Reach::Account,
            Self::Platform => Reach::Platform,
        }
    }

    /// The account; none: it is the platform's.
    #[must_use]
    pub const fn merchant_id(self) -> Option<MerchantId> {
        match self {
            Self::Merchant(id) => Some(id),
            Self::Platform => None,
        }
    }

    /// The bucket that new keys' ids carry.
    #[must_use]
    pub fn bucket(self) -> u16 {
        self.merchant_id().map_or(0, MerchantId::bucket)
    }
}

impl From<MerchantId> for KeyOwner {
    fn from(id: MerchantId) -> Self {
        Self::Merchant(id)
    }
}

/// Most characters of a key's name.
pub const NAME_LENGTH_MAX: usize = 100;

/// Most networks of a key.
pub const NETWORKS_MAX: usize = 32;

/// Most client certificates of a key.
pub const CERTIFICATES_MAX: usize = 8;

/// An API key: its secret is known to its holder alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The public half.
    pub id: ApiKeyId,
    /// Whom it acts for.
    pub owner: KeyOwner,
    /// SHA-256 of the secret half, which holds 190 random bits and so needs no slow hash.
    pub secret_sha256: [u8; 32],
    /// What its owner calls it.
    pub name: String,
    /// The role of its holder.
    pub role: Role,
    /// If given, only these of the role's permissions.
    pub scopes: Option<Vec<Permission>>,
    /// From where it may be used; empty: from anywhere.
    pub networks: Vec<Network>,
    /// Over connections of which clients' certificates it may be used; empty: over any.
    pub certificates: Vec<CertificateFingerprint>,
    /// When it was made.
    pub created_at_ms: u64,
    /// From when on it no longer works.
    pub expires_at_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_at_ms: Option<u64>,
    /// The key that takes its place.
    pub rotated_to: Option<ApiKeyId>,
}

impl ApiKey {
    /// A key that may do everything its owner may, from anywhere and for ever.
    #[must_use]
    pub fn new(
        id: ApiKeyId,
        owner: impl Into<KeyOwner>,
        secret_sha256: [u8; 32],
        created_at_ms: u64,
    ) -> Self {
        Self {
            id,
            owner: owner.into(),
            secret_sha256,
            name: String::new(),
            role: Role::Owner,
            scopes: None,
            networks: Vec::new(),
            certificates: Vec::new(),
            created_at_ms,
            expires_at_ms: None,
            revoked_at_ms: None,
            rotated_to: None,
        }
    }

    /// What its holder may do.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        let of_role = self.role.permissions(self.owner.reach());
        match &self.scopes {
            None => of_role,
            Some(scopes) => of_role.and(scopes.iter().copied().collect()),
        }
    }

    /// Whether it works at a time.
    #[must_use]
    pub fn works_at(&self, now_ms: u64) -> bool {
        self.revoked_at_ms.is_none() && self.expires_at_ms.is_none_or(|end| now_ms < end)
    }

    /// What is to be stored where `known` is stored already: a key's time only ever gets shorter. What ended
    /// meanwhile is not brought back by a writer who had not seen it.
    #[must_use]
    pub fn over(mut self, known: &Self) -> Self {
        self.revoked_at_ms = known.revoked_at_ms.or(self.revoked_at_ms);
        self.expires_at_ms = match (known.expires_at_ms, self.expires_at_ms) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.rotated_to = known.rotated_to.or(self.rotated_to);
        self
    }
}

/// What somebody can give on: nobody makes a key that can do more than they can, for longer, or from more places.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// What they may do.
    pub permissions: Permissions,
    /// Until when; none: for ever.
    pub expires_at_ms: Option<u64>,
    /// From where; empty: from anywhere.
    pub networks: &'a [Network],
    /// With which certificates; empty: with any.
    pub certificates: &'a [CertificateFingerprint],
}

/// A key that its maker may not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooStrong {
    /// It could do what its maker cannot.
    #[error("the key would have the permission {0}, which yours has not")]
    Permission(Permission),
    /// It would outlive its maker's.
    #[error("the key would live longer than yours")]
    Lifetime,
    /// It could be used from where its maker's cannot.
    #[error("the key could be used from networks that yours cannot be used from")]
    Networks,
    /// It could be used with certificates that its maker's cannot.
    #[error("the key could be used with client certificates that yours cannot be used with")]
    Certificates,
}

impl Means<'_> {
    /// Whether a key is within them.
    ///
    /// # Errors
    /// What is too much of it.
    pub fn allow(&self, key: &ApiKey) -> Result<(), TooStrong> {
        let wanted = key.permissions();
        if let Some(missing) = wanted.iter().find(|permission| !self.permissions.has(*permission)) {
            return Err(TooStrong::Permission(missing));
        }
        let outlives = |own: u64| key.expires_at_ms.is_none_or(|end| end > own);
        if self.expires_at_ms.is_some_and(outlives) {
            return Err(TooStrong::Lifetime);
        }
        let within = |network: &Network| self.networks.iter().any(|own| own.covers(network));
        if !self.networks.is_empty() && (key.networks.is_empty() || !key.networks.iter().all(within)) {
            return Err(TooStrong::Networks);
        }
        let own = |certificate: &CertificateFingerprint| self.certificates.contains(certificate);
        if !self.certificates.is_empty() && (key.certificates.is_empty() || !key.certificates.iter().all(own))
        {
            return Err(TooStrong::Certificates);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        ApiKey::new(ApiKeyId::from_u128(1), MerchantId::from_u128(2), [0; 32], 1_000)
    }

    #[test]
    fn scopes_narrow_a_role_and_never_widen_it() {
        let mut key = key();
        assert!(key.permissions().has(Permission::KeysManage));
        key.role = Role::Support;
        key.scopes = Some(vec![Permission::RefundsWrite, Permission::KeysManage]);
        assert_eq!(key.permissions().iter().collect::<Vec<_>>(), [Permission::RefundsWrite]);
        key.owner = KeyOwner::Platform;
        assert_eq!(key.permissions(), Permissions::default());
    }

    #[test]
    fn a_key_works_until_it_ends() {
        let mut key = key();
        assert!(key.works_at(u64::MAX));
        key.expires_at_ms = Some(5_000);
        assert!(key.works_at(4_999) && !key.works_at(5_000));
        key.revoked_at_ms = Some(2_000);
        assert!(!key.works_at(1_500));
    }

    #[test]
    fn what_ended_stays_ended() {
        let mut known = key();
        known.revoked_at_ms = Some(7);
        known.expires_at_ms = Some(9);
        let over = ApiKey { expires_at_ms: Some(20), ..key() }.over(&known);
        assert_eq!((over.revoked_at_ms, over.expires_at_ms), (Some(7), Some(9)));
        let sooner = ApiKey { expires_at_ms: Some(3), ..key() }.over(&known);
        assert_eq!(sooner.expires_at_ms, Some(3));
        assert_eq!(key().over(&key()), key());
    }

    #[test]
    fn nobody_makes_a_key_stronger_than_their_own() {
        let networks = ["10.0.0.0/8".parse().unwrap()];
        let means = Means {
            permissions: Role::Developer.permissions(Reach::Account),
            expires_at_ms: Some(100),
            networks: &networks,
            certificates: &[],
        };
        let right = ApiKey {
            role: Role::Developer,
            expires_at_ms: Some(100),
            networks: vec!["10.1.0.0/16".parse().unwrap()],
            ..key()
        };
        assert_eq!(means.allow(&right), Ok(()));
        let wrong = ApiKey { role: Role::Owner, ..right.clone() };
        assert_eq!(means.allow(&wrong), Err(TooStrong::Permission(Permission::ReviewsWrite)));
        let narrowed = ApiKey { scopes: Some(vec![Permission::PaymentsRead]), ..wrong };
        assert_eq!(means.allow(&narrowed), Ok(()));
        for expires_at_ms in [None, Some(101)] {
            let wrong = ApiKey { expires_at_ms, ..right.clone() };
            assert_eq!(means.allow(&wrong), Err(TooStrong::Lifetime));
        }
        for networks in [vec![], vec!["10.1.0.0/16".parse().unwrap(), "11.0.0.0/8".parse().unwrap()]] {
            let wrong = ApiKey { networks, ..right.clone() };
            assert_eq!(means.allow(&wrong), Err(TooStrong::Networks));
        }
        let (ours, theirs) = (CertificateFingerprint::new([1; 32]), CertificateFingerprint::new([2; 32]));
        let bound = Means { certificates: &[ours], ..means };
        for certificates in [vec![], vec![theirs], vec![ours, theirs]] {
            let wrong = ApiKey { certificates, ..right.clone() };
            assert_eq!(bound.allow(&wrong), Err(TooStrong::Certificates));
            assert_eq!(means.allow(&wrong), Ok(()), "whoever is not bound may bind");
        }
        assert_eq!(bound.allow(&ApiKey { certificates: vec![ours], ..right }), Ok(()));
    }
}
