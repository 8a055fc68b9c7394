//! The simulators there are, each with its account: a new one is one line in each list here.

use crate::books::IdStyle;
use crate::ccavenue::CcAvenueSim;
use crate::desk::Desk;
use crate::examplebank::{EXAMPLE, ExampleBankSim};
use crate::paytm::PaytmSim;
use crate::payu::PayUSim;
use crate::phonepe::PhonePeSim;
use crate::razorpay::RazorpaySim;
use crate::server::Doorman;
use crate::stripe::StripeSim;
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

/// A CCAvenue simulator.
#[derive(Debug, Clone)]
pub struct CcAvenueOptions {
    /// Merchant id.
    pub merchant_id: String,
    /// Access code that callers must name.
    pub access_code: String,
    /// Encrypts everything.
    pub working_key: Secret,
    /// Whether orders wait for their confirmation.
    pub manual_confirmation: bool,
}

/// A simulator of Example Bank, the processor that `examples/custom-processor.toml` describes.
#[derive(Debug, Clone)]
pub struct ExampleBankOptions {
    /// Names the caller.
    pub api_key: Secret,
    /// Signs requests and what the browser brings back.
    pub signing_key: Secret,
    /// Signs webhooks.
    pub webhook_key: Secret,
}

/// A Stripe simulator.
#[derive(Debug, Clone)]
pub struct StripeOptions {
    /// Secret key that callers must authenticate with.
    pub secret_key: Secret,
    /// Signs webhooks.
    pub webhook_secret: Secret,
}

/// A Paytm simulator.
#[derive(Debug, Clone)]
pub struct PaytmOptions {
    /// Merchant id.
    pub mid: String,
    /// Merchant key, 16 characters: signs requests, replies, callbacks and webhooks.
    pub merchant_key: Secret,
}

/// A PhonePe simulator of the current API.
#[derive(Debug, Clone)]
pub struct PhonePeOptions {
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: Secret,
    /// Client version.
    pub client_version: u32,
    /// Name of the webhook.
    pub webhook_username: String,
    /// Password of the webhook.
    pub webhook_password: Secret,
}

/// A PhonePe simulator of the legacy API.
#[derive(Debug, Clone)]
pub struct PhonePeV1Options {
    /// Merchant id.
    pub merchant_id: String,
    /// Salt key of all signatures.
    pub salt_key: Secret,
    /// Number of the salt key.
    pub salt_index: u32,
}

/// A simulated processor with the credentials of its one account.
#[derive(Debug, Clone)]
pub enum Simulator {
    /// Razorpay.
    Razorpay(RazorpayOptions),
    /// PayU.
    Payu(PayUOptions),
    /// CCAvenue.
    Ccavenue(CcAvenueOptions),
    /// Example Bank, a processor described in configuration alone.
    ExampleBank(ExampleBankOptions),
    /// Stripe.
    Stripe(StripeOptions),
    /// Paytm.
    Paytm(PaytmOptions),
    /// PhonePe.
    Phonepe(PhonePeOptions),
    /// PhonePe's legacy API, under the name `phonepe_v1`.
    PhonepeV1(PhonePeV1Options),
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
            Self::Ccavenue(CcAvenueOptions {
                merchant_id: "45990".to_owned(),
                access_code: "SIMULATEDACCESS".to_owned(),
                working_key: Secret::new("simulated-working-key"),
                manual_confirmation: false,
            }),
            Self::ExampleBank(ExampleBankOptions {
                api_key: Secret::new("simulated-api-key"),
                signing_key: Secret::new("simulated-signing-key"),
                webhook_key: Secret::new("simulated-webhook-key"),
            }),
            Self::Stripe(StripeOptions {
                secret_key: Secret::new("sk_test_simulated"),
                webhook_secret: Secret::new("whsec_simulated"),
            }),
            Self::Paytm(PaytmOptions {
                mid: "SIMULATED00000000001".to_owned(),
                merchant_key: Secret::new("simulated-merkey"),
            }),
            Self::Phonepe(PhonePeOptions {
                client_id: "SIMULATED_CLIENT".to_owned(),
                client_secret: Secret::new("simulated-client-secret"),
                client_version: 1,
                webhook_username: "simulated".to_owned(),
                webhook_password: Secret::new("simulated-webhook-password"),
            }),
            Self::PhonepeV1(PhonePeV1Options {
                merchant_id: "SIMULATEDMERCHANT".to_owned(),
                salt_key: Secret::new("simulated-salt-key"),
                salt_index: 1,
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
                 webhook_secret = \"{}\"\n\
                 no_cost_emi = true\n",
                account.key_id,
                account.key_secret.expose(),
                account.webhook_secret.expose()
            ),
            Self::Payu(account) => format!(
                "[processors.payu]\n\
                 payment_url = \"http://{address}\"\n\
                 info_url = \"http://{address}\"\n\
                 key = \"{}\"\n\
                 salt = \"{}\"\n\
                 token_requestor_id = \"40000000001\"\n\
                 no_cost_emi = true\n",
                account.key,
                account.salt.expose()
            ),
            Self::Ccavenue(account) => format!(
                "[processors.ccavenue]\n\
                 payment_url = \"http://{address}\"\n\
                 api_url = \"http://{address}\"\n\
                 merchant_id = \"{}\"\n\
                 access_code = \"{}\"\n\
                 working_key = \"{}\"\n\
                 manual_confirmation = {}\n\
                 page_retries = false\n",
                account.merchant_id,
                account.access_code,
                account.working_key.expose(),
                account.manual_confirmation
            ),
            // The example itself, at another address and with other secrets.
            Self::ExampleBank(account) => EXAMPLE
                .replace("https://api.examplebank.example", &format!("http://{address}"))
                .replace("replace-api-key", account.api_key.expose())
                .replace("replace-signing-key", account.signing_key.expose())
                .replace("replace-webhook-key", account.webhook_key.expose()),
            Self::Stripe(account) => format!(
                "[processors.stripe]\n\
                 base_url = \"http://{address}\"\n\
                 secret_key = \"{}\"\n\
                 webhook_secret = \"{}\"\n\
                 afterpay = true\n",
                account.secret_key.expose(),
                account.webhook_secret.expose()
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
            Self::Phonepe(account) => format!(
                "[processors.phonepe]\n\
                 base_url = \"http://{address}\"\n\
                 client_id = \"{}\"\n\
                 client_secret = \"{}\"\n\
                 client_version = {}\n\
                 webhook_username = \"{}\"\n\
                 webhook_password = \"{}\"\n",
                account.client_id,
                account.client_secret.expose(),
                account.client_version,
                account.webhook_username,
                account.webhook_password.expose()
            ),
            Self::PhonepeV1(account) => format!(
                "[processors.phonepe_v1]\n\
                 type = \"phonepe\"\n\
                 version = \"v1\"\n\
                 base_url = \"http://{address}\"\n\
                 merchant_id = \"{}\"\n\
                 salt_key = \"{}\"\n\
                 salt_index = {}\n",
                account.merchant_id,
                account.salt_key.expose(),
                account.salt_index
            ),
        }
    }

    pub(crate) const fn ids(&self) -> IdStyle {
        match self {
            Self::Razorpay(_) => crate::razorpay::IDS,
            Self::Payu(_) => crate::payu::IDS,
            Self::Ccavenue(_) => crate::ccavenue::IDS,
            Self::ExampleBank(_) => crate::examplebank::IDS,
            Self::Stripe(_) => crate::stripe::IDS,
            Self::Paytm(_) => crate::paytm::IDS,
            Self::Phonepe(_) => crate::phonepe::IDS,
            Self::PhonepeV1(_) => crate::phonepe::IDS_V1,
        }
    }

    /// Begins to answer.
    pub(crate) fn open(&self, doorman: Doorman<'_>, desk: Desk) {
        match self {
            Self::Razorpay(account) => doorman.admit(RazorpaySim::new(desk, account)),
            Self::Payu(account) => doorman.admit(PayUSim::new(desk, account)),
            Self::Ccavenue(account) => doorman.admit(CcAvenueSim::new(desk, account)),
            Self::ExampleBank(account) => doorman.admit(ExampleBankSim::new(desk, account)),
            Self::Stripe(account) => doorman.admit(StripeSim::new(desk, account)),
            Self::Paytm(account) => doorman.admit(PaytmSim::new(desk, account)),
            Self::Phonepe(account) => doorman.admit(PhonePeSim::new(desk, account)),
            Self::PhonepeV1(account) => doorman.admit(PhonePeSim::new_v1(desk, account)),
        }
    }
}
