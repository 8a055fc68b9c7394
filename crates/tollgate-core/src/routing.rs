//! Routing: which processor takes a payment, when one is left alone, and what is tried again.
//!
//! All of it is pure: the present moment and chance come in as numbers. A payment's way:
//!
//! 1. The capability tables say which processors are able; [`policy`] says which of them the merchant
//!    wants, [`region`] which may see its data at all, [`maintenance`] which are closed just now.
//! 2. [`stats`] says how each has done lately, [`fees`] what each costs, [`rank`] puts them in order.
//! 3. [`breaker`] keeps payments away from the ones that do not answer.
//! 4. [`retry`] says what happens after an attempt that took nothing.
//!
//! [`record`] is what the payment keeps of it.

pub mod breaker;
pub mod fees;
pub mod maintenance;
pub mod policy;
pub mod rank;
pub mod record;
pub mod region;
pub mod retry;
pub mod rules;
pub mod score;
pub mod split;
pub mod stats;

mod dice;

pub use crate::json::PolicyError;
