//! Stand-ins for the world around Tollgate: the load generator (partners) and simulators of the
//! processors that speak their real wire formats, keep books of their own and break on command.

pub mod accounts;
pub mod books;
mod control;
mod desk;
pub mod fault;
mod http;
mod instrument;
pub mod load;
mod payu;
mod phonepe;
mod razorpay;
pub mod server;
mod webhooks;
