//! The pages a customer's browser is shown: plain HTML written here, without a framework.
//!
//! Each page is one document of a few kilobytes: its style and script stand in it, allowed by their
//! digest, so nothing else can run and nothing else is loaded. All pages work without scripts but for
//! the card fields, whose digits must go straight to the vault.

pub(crate) mod choose;
pub(crate) mod demo;
pub(crate) mod hand_over;
pub(crate) mod html;
pub(crate) mod live;
pub(crate) mod outcome;
pub(crate) mod shown;
pub(crate) mod waiting;
