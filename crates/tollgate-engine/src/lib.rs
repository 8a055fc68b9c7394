//! Orchestration: the payment flow, and what settles it later.
//!
//! One way through: commit 1 makes the attempt durable, the connector's request is sent, commit 2
//! books what came of it. Whatever stays unknown is settled by [`enquiry`], never by sending again.

pub mod accounts;
mod charge;
pub mod checkout;
mod client;
pub mod clock;
pub mod desk;
pub mod enquiry;
pub mod error;
pub mod events;
pub mod exchange;
pub mod flow;
mod fresh;
mod heed;
pub mod ids;
pub mod inbound;
mod live;
pub mod login;
mod mandates;
pub mod methods;
mod modes;
pub mod offers;
mod opened;
mod origin;
mod policies;
pub mod pressure;
pub mod processors;
pub mod request;
pub mod risk;
pub mod routing;
mod sandbox;
mod send;
pub mod subjects;
mod timings;
pub mod watch;
pub mod webhooks;

pub use error::EngineError;
pub use flow::{Answer, Engine, EngineOptions};
pub use tollgate_connectors::webhook::CallbackRequest;
