//! Webhooks out: endpoints, what is done with them, and what was sent.

pub(crate) mod actions;
pub(crate) mod deliveries;
pub(crate) mod endpoints;
