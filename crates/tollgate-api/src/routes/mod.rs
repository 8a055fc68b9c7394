//! The endpoints, one file a resource, and what several of them share.

pub(crate) mod analytics;
pub(crate) mod balance;
pub(crate) mod banks;
pub(crate) mod bnpl;
pub(crate) mod cancel;
pub(crate) mod capture;
pub(crate) mod card_sessions;
pub(crate) mod cards;
pub(crate) mod checkout;
pub(crate) mod checkout_page;
pub(crate) mod come_back;
pub(crate) mod confirmations;
pub(crate) mod create;
pub(crate) mod demo;
pub(crate) mod docs;
pub(crate) mod emi;
pub(crate) mod events;
pub(crate) mod fraud;
pub(crate) mod hand_over;
pub(crate) mod health;
pub(crate) mod list;
pub(crate) mod mandate;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod passkeys;
pub(crate) mod payment;
pub(crate) mod payment_methods;
pub(crate) mod payment_qr;
pub(crate) mod qr_codes;
pub(crate) mod recent;
pub(crate) mod refunds;
pub(crate) mod routing;
pub(crate) mod webhooks;

mod path;
mod policies;
mod submission;
