//! `[vault]`: where cards are kept, and how the gateway reaches it.

use super::secret;
use serde::{Deserialize, Deserializer};
use std::net::SocketAddr;
use std::path::PathBuf;
use tollgate_core::card::Secret;

/// `[vault]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VaultSettings {
    /// Folder of the stored cards.
    pub(crate) folder: PathBuf,
    /// The master key: `file:PATH`, `env:NAME`, `command:…` or `pkcs11:…`; several while it is rotated, the
    /// new one first. Empty: cards are held in memory for their payment alone, and none can be stored.
    pub(crate) master_key: MasterKeys,
    /// Most cards held in memory at once.
    pub(crate) held_max: usize,
    /// How long a card that nobody pays with is held.
    pub(crate) hold_s: u64,
    /// Gateway: where the vault's process is, `unix:PATH` or `tls:HOST:PORT`. Empty: the vault is in this
    /// process.
    pub(crate) remote: String,
    /// Gateway: where browsers reach the vault's card port, e.g. `https://cards.example.com`.
    pub(crate) card_url: String,
    /// Vault's process: where it waits for gateways, `unix:PATH` or `tls:ADDRESS:PORT`.
    pub(crate) listen: String,
    /// Vault's process: where its card port listens.
    pub(crate) card_listen: SocketAddr,
    /// Signs card sessions; the same in both processes. Empty: a new one with every start.
    #[serde(deserialize_with = "secret")]
    pub(crate) session_secret: Secret,
    /// With `tls:`: the name in the vault's certificate.
    pub(crate) tls_name: String,
    /// With `tls:`: this process's certificate (PEM).
    pub(crate) tls_certificate: PathBuf,
    /// With `tls:`: its private key (PEM).
    pub(crate) tls_key: PathBuf,
    /// With `tls:`: the authority that the other side's certificate must come from (PEM).
    pub(crate) tls_authority: PathBuf,
}

impl Default for VaultSettings {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("data/vault"),
            master_key: MasterKeys::default(),
            held_max: 20_000,
            hold_s: 900,
            remote: String::new(),
            card_url: String::new(),
            listen: String::new(),
            card_listen: SocketAddr::from(([127, 0, 0, 1], 8001)),
            session_secret: Secret::default(),
            tls_name: String::new(),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            tls_authority: PathBuf::new(),
        }
    }
}

/// One master key's source, or several.
#[derive(Debug, Clone, Default)]
pub(crate) struct MasterKeys(Vec<String>);

impl MasterKeys {
    /// One source.
    pub(crate) fn one(source: String) -> Self {
        Self(vec![source])
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sources, the wanted one first.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for MasterKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMore {
            One(String),
            More(Vec<String>),
        }
        Ok(match OneOrMore::deserialize(deserializer)? {
            OneOrMore::One(source) if source.is_empty() => Self::default(),
            OneOrMore::One(source) => Self::one(source),
            OneOrMore::More(sources) => Self(sources),
        })
    }
}
