//! Who did something, and from where: what audits and reviews name.

use crate::id::ApiKeyId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Who did something. The order is stored: append, never reorder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Actor {
    /// The gateway itself: a timer, a worker.
    System,
    /// Somebody at the command line of the gateway's machine, by the name of their account there.
    CommandLine(String),
    /// The holder of an API key.
    ApiKey(ApiKeyId),
    /// The holder of a token: who issued it, and for whom.
    Token {
        /// `iss`.
        issuer: String,
        /// `sub`.
        subject: String,
    },
}

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The caller's address, as far as it can be trusted.
    pub ip: Option<IpAddr>,
    /// The request's id.
    pub request_id: Option<String>,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::CommandLine(account) => write!(f, "command_line:{account}"),
            Self::ApiKey(id) => write!(f, "{id}"),
            Self::Token { issuer, subject } => write!(f, "token:{issuer}#{subject}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_as_text() {
        let key = ApiKeyId::from_u128(5);
        assert_eq!(Actor::System.to_string(), "system");
        assert_eq!(Actor::CommandLine("ops".to_owned()).to_string(), "command_line:ops");
        assert_eq!(Actor::ApiKey(key).to_string(), key.to_string());
        let token = Actor::Token { issuer: "https://id.example".to_owned(), subject: "u1".to_owned() };
        assert_eq!(token.to_string(), "token:https://id.example#u1");
    }
}
