//! Checks `[replies.<name>]`.

use super::compile::{Checked, check_pointer, refuse};
use super::config::{Format, Meaning, Reply, Unit};
use super::reading::Reading;
use tollgate_core::currency::Currency;

/// What a reply must let us read, or it proves nothing.
pub(super) fn reading(name: &str, reply: &Reply, currencies: &[Currency]) -> Checked<Reading> {
    let field = |part: &str| format!("replies.{name}.{part}");
    let Some(reference) = reply.reference.clone().filter(|it| !it.is_empty()) else {
        return refuse(
            &field("reference"),
            "must say where our reference comes back: a reply without it could be about another payment",
        );
    };
    let pointers = [
        ("reference", Some(&reference)),
        ("list", reply.list.as_ref()),
        ("status", reply.status.as_ref()),
        ("id", reply.id.as_ref()),
        ("amount", reply.amount.as_ref()),
        ("captured_amount", reply.captured_amount.as_ref()),
        ("currency", reply.currency.as_ref()),
        ("failure_code", reply.failure_code.as_ref()),
        ("failure_message", reply.failure_message.as_ref()),
        ("redirect_url", reply.redirect_url.as_ref()),
        ("upi_link", reply.upi_link.as_ref()),
        ("form_url", reply.form_url.as_ref()),
        ("form_fields", reply.form_fields.as_ref()),
        ("page_html_base64", reply.page_html_base64.as_ref()),
        ("at", Some(&reply.at)),
    ];
    for (part, pointer) in pointers {
        if let Some(pointer) = pointer {
            check_pointer(&field(part), pointer)?;
        }
    }
    let without_status = reply.without_status.filter(|it| matches!(it, Meaning::Next | Meaning::Pending));
    match (&reply.status, without_status, reply.statuses.is_empty()) {
        (Some(_), None, false) if reply.without_status.is_none() => {}
        (None, Some(_), true) => {}
        _ => {
            return refuse(
                &field("status"),
                "needs `status` and `statuses`, or else `without_status`, which can be \"next\" or \"pending\"",
            );
        }
    }
    let statuses: Vec<_> = reply.statuses.iter().map(|(theirs, it)| (theirs.clone(), *it)).collect();
    let says = |wanted: &[Meaning]| statuses.iter().any(|(_, meaning)| wanted.contains(meaning));
    let about_payment = says(&[Meaning::Captured, Meaning::Authorized]);
    let about_refund = says(&[Meaning::Refunded]);
    if about_payment && about_refund {
        return refuse(&field("statuses"), "a reply is about a payment or about a refund, not about both");
    }
    if about_payment || about_refund {
        for (part, pointer) in [("id", &reply.id), ("amount", &reply.amount)] {
            if pointer.is_none() {
                return refuse(&field(part), "must be read where money is said to have moved");
            }
        }
        if reply.amount_unit.is_none() {
            return refuse(&field("amount_unit"), "must be \"minor\" or \"major\"");
        }
        if reply.currency.is_none() && currencies.len() != 1 {
            return refuse(&field("currency"), "must be read: the account has several currencies");
        }
    }
    if reply.form_url.is_some() != reply.form_fields.is_some() {
        return refuse(&field("form_url"), "goes with `form_fields`");
    }
    if reply.list.is_some() && reply.format == Format::Form {
        return refuse(&field("list"), "a form has no lists");
    }
    Ok(Reading {
        format: reply.format,
        at: reply.at.clone(),
        list: reply.list.clone(),
        reference,
        status: reply.status.clone(),
        without_status,
        statuses,
        id: reply.id.clone(),
        amount: reply.amount.clone(),
        captured_amount: reply.captured_amount.clone(),
        unit: reply.amount_unit.unwrap_or(Unit::Minor),
        currency: reply.currency.clone(),
        failure_code: reply.failure_code.clone(),
        failure_message: reply.failure_message.clone(),
        redirect_url: reply.redirect_url.clone(),
        upi_link: reply.upi_link.clone(),
        form_url: reply.form_url.clone(),
        form_fields: reply.form_fields.clone(),
        page_html_base64: reply.page_html_base64.clone(),
    })
}
