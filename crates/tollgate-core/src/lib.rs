//! The domain of Tollgate: what a payment is, what may happen to it, and what each happening books.
//!
//! Everything here is a pure function of its arguments. There is no I/O, no async, no clock and no
//! randomness: time comes in as `now_ms` (milliseconds since the Unix epoch) and random bits come
//! in as numbers, so every rule can be tested by calling it.
//!
//! Reading order: [`money`], [`id`], [`method`], [`payment`], [`transition`], [`decide`], [`ledger`].

pub mod access;
pub mod actor;
pub mod api_key;
pub mod attempt;
pub mod audit;
pub mod base62;
pub mod bnpl;
pub mod bus;
pub mod capacity;
pub mod card;
pub mod certificate;
pub mod checkout;
pub mod command;
pub mod currency;
pub mod decide;
pub mod directory;
pub mod emi;
pub mod emv_qr;
pub mod erasure;
pub mod event;
pub mod failure;
pub mod id;
pub mod job;
pub mod json;
pub mod ledger;
pub mod live;
pub mod mandate;
pub mod merchant;
pub mod method;
pub mod money;
pub mod network;
pub mod notice;
pub mod outcome;
pub mod outlive;
pub mod partner;
pub mod passkey;
pub mod payment;
pub mod processor_account;
pub mod refund;
pub mod risk;
pub mod routing;
pub mod saved_card;
pub mod scrub;
pub mod share;
pub mod totals;
pub mod transition;
pub mod upi_link;
pub mod webhook;

mod wide;
