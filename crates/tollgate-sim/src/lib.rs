//! Stand-ins for the world around Tollgate: the load generator (partners) and simulators of the
//! processors that speak their real wire formats, keep books of their own and break on command.

pub mod accounts;
mod aes_cbc;
pub mod books;
mod ccavenue;
mod control;
mod desk;
mod examplebank;
pub mod fault;
pub mod fraud;
pub mod handle;
mod http;
mod instrument;
pub mod load;
mod paytm;
mod payu;
mod phonepe;
mod razorpay;
pub mod receivers;
pub mod routing;
pub mod server;
mod stripe;
mod webhooks;
