//! Looking after partners: making them, one or a thousand at once, suspending and ending them, and giving
//! out all that is kept of them. Used by the command line and the API alike.

pub mod change;
pub mod export;
pub mod import;
pub mod onboard;
