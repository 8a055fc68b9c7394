//! What the commands that make API keys have in common.

use crate::partner::NewKey;
use tollgate_core::access::{Role, UnknownName};
use tollgate_core::api_key::{ApiKey, NAME_LENGTH_MAX};
use tollgate_core::certificate::CertificateFingerprint;
use tollgate_core::network::Network;
use tollgate_engine::clock::Clock;

/// What a new key is to be.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// What it is called.
    #[arg(long, default_value = "", value_parser = name)]
    name: String,
    /// The role of its holder: owner, developer, finance, support, read_only or auditor.
    #[arg(long, default_value = "owner", value_parser = role)]
    role: Role,
    /// For how many days it works; none: until it is revoked.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires_days: Option<u32>,
    /// Addresses and networks (CIDR) from which alone it may be used; needs `server.client_address`.
    #[arg(long, value_delimiter = ',')]
    ip: Vec<Network>,
    /// SHA-256 fingerprints of the client certificates with which alone it may be used; needs `server.tls_client_authority`.
    #[arg(long, value_delimiter = ',')]
    certificate: Vec<CertificateFingerprint>,
}

impl From<KeyArgs> for NewKey {
    fn from(args: KeyArgs) -> Self {
        Self {
            name: args.name,
            role: args.role,
            networks: args.ip,
            certificates: args.certificate,
            lifetime_ms: args.expires_days.map(|days| u64::from(days) * 86_400_000),
        }
    }
}

fn name(text: &str) -> Result<String, &'static str> {
    let right = text.chars().count() <= NAME_LENGTH_MAX && !text.chars().any(char::is_control);
    right
        .then(|| text.to_owned())
        .ok_or("a name has at most 100 characters, none of them a control character")
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|_: UnknownName| format!("must be one of {}", Role::ALL.map(Role::name).join(", ")))
}

/// A key in a list.
pub(crate) fn line(key: &ApiKey) -> String {
    let ended = match key.revoked_at_ms {
        Some(_) => " (revoked)",
        None if key.works_at(Clock::System.now_ms()) => "",
        None => " (expired)",
    };
    format!("{} {}{ended}", key.id, key.role)
}
