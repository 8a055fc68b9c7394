//! What a merchant may ask of a hosted payment page.

use super::{
    DESCRIPTION_CHARS_MAX, any_text, checked, currency, customer, is_descriptor, is_url, mandate, metadata,
    method, required_amount,
};
use crate::input::{CheckoutBody, Text, Whole};
use crate::problem::Problem;
use tollgate_core::checkout::{CheckoutCustomer, OPEN_MS_DEFAULT, OPEN_MS_MAX};
use tollgate_core::method::{MethodFamily, MethodKind};
use tollgate_engine::checkout::NewCheckout;

/// The shortest time a page is open, in seconds.
pub(crate) const OPEN_S_MIN: u32 = 5;
/// The longest time a page is open, in seconds.
pub(crate) const OPEN_S_MAX: u32 = 82_800;

const _: () = assert!(OPEN_S_MAX as u64 * 1_000 == OPEN_MS_MAX);

const URL_RULE: &str = "must be an absolute http or https URL of at most 2048 characters";

/// Checks a new session.
pub(crate) fn checkout(body: CheckoutBody<'_>, now_ms: u64) -> Result<NewCheckout, Problem> {
    let currency = currency(body.currency.as_ref())?;
    let amount = required_amount(body.amount, currency)?;
    let methods = methods(body.payment_methods.as_deref().unwrap_or_default())?;
    let customer = customer(body.customer, body.user_id.as_ref(), body.customer_id.as_ref())?;
    let terms = method::Terms {
        amount,
        now_ms,
        has_phone: customer.phone.is_some(),
        has_email: customer.email.is_some(),
    };
    let open_ms = match body.expires_in_s {
        None => OPEN_MS_DEFAULT,
        Some(Whole(seconds)) if (OPEN_S_MIN..=OPEN_S_MAX).contains(&seconds) => u64::from(seconds) * 1_000,
        Some(_) => return Err(Problem::field("/expires_in_s", "must be 5 to 82800 seconds")),
    };
    Ok(NewCheckout {
        amount,
        methods,
        customer: CheckoutCustomer {
            user_id: customer.user_id,
            name: customer.name,
            email: customer.email,
            phone: customer.phone,
        },
        description: any_text(body.description, "/description", DESCRIPTION_CHARS_MAX)?,
        statement_descriptor: checked(
            body.statement_descriptor,
            "/statement_descriptor",
            is_descriptor,
            "must be 1 to 22 printable ASCII characters",
        )?,
        return_url: checked(body.return_url, "/return_url", is_url, URL_RULE)?,
        cancel_url: checked(body.cancel_url, "/cancel_url", is_url, URL_RULE)?,
        metadata: metadata(body.metadata)?,
        mandate: body.mandate.map(|body| mandate(body, MethodKind::Upi, &terms)).transpose()?,
        open_ms,
    })
}

fn methods(names: &[Text<'_>]) -> Result<Vec<MethodFamily>, Problem> {
    let mut methods: Vec<MethodFamily> = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let known = offered().find(|family| family.as_str() == name.as_str());
        match known {
            Some(family) if methods.contains(&family) => {
                return Err(Problem::field(format!("/payment_methods/{place}"), "is there twice"));
            }
            Some(family) => methods.push(family),
            None => {
                let known: Vec<&str> = offered().map(MethodFamily::as_str).collect();
                let rule = format!("must be one of {}", known.join(", "));
                return Err(Problem::field(format!("/payment_methods/{place}"), rule));
            }
        }
    }
    Ok(methods)
}

/// The methods a page can offer: debits on mandates are made by merchants.
pub(crate) fn offered() -> impl Iterator<Item = MethodFamily> {
    MethodFamily::ALL.into_iter().filter(|family| *family != MethodFamily::UpiAutopay)
}
