//! The vault as a process of its own: [`VaultServer`] there, [`RemoteVault`] in the gateway. They
//! talk over a Unix socket, or over TCP with TLS 1.3 by which both prove who they are.

mod client;
mod frame;
mod server;
#[cfg(test)]
mod tests;
mod tls;

pub use client::{PerformError, RemoteOptions, RemoteVault, Target};
pub use frame::{FRAME_LENGTH_MAX, is_message};
pub use server::{Listener, Performer, ServerOptions, VaultServer};
pub use tls::{TlsError, TlsIdentity};
