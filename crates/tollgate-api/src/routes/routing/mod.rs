//! Routing: a merchant's policy, where a payment would go, how the processors do and did.

pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod policy;
pub(crate) mod preview;
