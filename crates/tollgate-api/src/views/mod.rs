//! The public JSON shapes of replies: borrowed from the domain, written straight to bytes.
//!
//! Amounts are decimal text in major units, moments are RFC 3339 with milliseconds, ids are text.

pub(crate) mod action;
pub(crate) mod batch;
pub(crate) mod bus;
pub(crate) mod checkout;
pub(crate) mod event;
pub(crate) mod instrument;
pub(crate) mod payment;
pub(crate) mod refund;
pub(crate) mod risk;
pub(crate) mod routing;
pub(crate) mod text;
pub(crate) mod webhook_endpoints;
