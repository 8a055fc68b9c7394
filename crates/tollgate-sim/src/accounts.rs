//! The simulators there are, each with its account: a new one is one line in each list here.

use crate::books::IdStyle;
use crate::desk::Desk;
use crate::paytm::PaytmSim;
use crate::payu::PayUSim;
use crate::razorpay::RazorpaySim;
use crate::server::Doorman;
use std::net::SocketAddr;
use tollgate_core::card::Secret;

/// A Razorpay simulator. The credentials are whatever its caller's account has.
#[derive(Debug, Clone)]
pub struct RazorpayOptions {
    /// Key id that callers must authenticate with.
    pub key_id: String,
    /// Key secret that callers must authenticate with; also signs synchronous replies.
    pub key_secret: Secret,
    /// Signs webhooks.
    pub webhook_secret: Secret,
}

/// A PayU simulator.
#[derive(Debug, Clone)]
pub struct PayUOptions {
    /// Merchant key.
    pub key: String,
    /// Salt of all hashes.
    pub salt: Secret,
}

/// A Paytm simulator.
#[derive(Debug, Clone)]
pub struct PaytmOptions {
    /// Merchant id.
    pub mid: String,
    /// Merchant key, 16 characters: signs requests, replies, callbacks and webhooks.
    pub merchant_key: Secret,
}

/// A simulated processor with the credentials of its one account.
#[derive(Debug, Clone)]
pub enum Simulator {
    /// Razorpay.
    Razorpay(RazorpayOptions),
    /// PayU.
    Payu(PayUOptions),
    /// Paytm.
    Paytm(PaytmOptions),
}

impl Simulator {
    /// All simulators, with public credentials: they open nothing but the simulators.
    #[must_use]
    pub fn standard() -> Vec<Self> {
        vec![
            Self::Razorpay(RazorpayOptions {
                key_id: "rzp_test_tollgate".to_owned(),
                key_secret: Secret::new("simulated-key-secret"),
                webhook_secret: Secret::new("simulated-webhook-secret"),
            }),
            Self::Payu(PayUOptions { key: "simulated".to_owned(), salt: Secret::new("simulated-salt") }),
            Self::Paytm(PaytmOptions {
                mid: "SIMULATED00000000001".to_owned(),
                merchant_key: Secret::new("simulated-merkey"),
            }),
        ]
    }

    /// The processor's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.ids().processor
    }

    /// The gateway's account at this simulator, as its configuration file names it.
    #[must_use]
    pub fn account(&self, address: SocketAddr) -> String {
        match self {
            Self::Razorpay(account) => format!(
                "[processors.razorpay]\n\
                 base_url = \"http://{address}\"\n\
                 key_id = \"{}\"\n\
                 key_secret = \"{}\"\n\
                 webhook_secret = \"{}\"\n",
                account.key_id,
                account.key_secret.expose(),
                account.webhook_secret.expose()
            ),
            Self::Payu(account) => format!(
                "[processors.payu]\n\
                 payment_url = \"http://{address}\"\n\
                 info_url = \"http://{address}\"\n\
                 key = \"{}\"\n\
                 salt = \"{}\"\n",
                account.key,
                account.salt.expose()
            ),
            Self::Paytm(account) => format!(
                "[processors.paytm]\n\
                 base_url = \"http://{address}\"\n\
                 mid = \"{}\"\n\
                 merchant_key = \"{}\"\n\
                 website = \"WEBSTAGING\"\n",
                account.mid,
                account.merchant_key.expose()
            ),
        }
    }

    pub(crate) const fn ids(&self) -> IdStyle {
        match self {
            Self::Razorpay(_) => crate::razorpay::IDS,
            Self::Payu(_) => crate::payu::IDS,
            Self::Paytm(_) => crate::paytm::IDS,
        }
    }

    /// Begins to answer.
    pub(crate) fn open(&self, doorman: Doorman<'_>, desk: Desk) {
        match self {
            Self::Razorpay(account) => doorman.admit(RazorpaySim::new(desk, account)),
            Self::Payu(account) => doorman.admit(PayUSim::new(desk, account)),
            Self::Paytm(account) => doorman.admit(PaytmSim::new(desk, account)),
        }
    }
}
