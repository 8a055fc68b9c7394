//! The pages while a payment is under way: what the customer has to do, and where it stands.

use super::choose::{put_footer, put_header};
use super::html::{Esc, Page, Script};
use super::shown;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::outcome::NextAction;
use tollgate_core::payment::Payment;
use tollgate_core::transition::PaymentStatus;
use tollgate_engine::checkout::Checkout;

/// Seconds between looks where no script runs.
const LOOK_AGAIN_S: u32 = 5;

/// How the customer got here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// By the session's address.
    Plain,
    /// Right after choosing: the way leads on by itself.
    Chosen,
    /// By choosing another way while this payment was under way.
    Busy,
}

/// Where a payment's hand-over page is.
pub(crate) fn hand_over_path(merchant_id: MerchantId, id: PaymentId) -> String {
    format!("/pay/{merchant_id}/{id}")
}

/// The page.
pub(crate) fn page(open: &Checkout, payment: &Payment, arrival: Arrival) -> Page {
    let token = open.session.token().expose();
    let mut page = Page::new(format!("Paying {}", open.merchant.name))
        .script(Script::Checkout)
        .data("live", &format!("/checkout/{token}/events"))
        .data("state", &super::live::state_text(open))
        .refresh_without_script(LOOK_AGAIN_S);
    let path = hand_over_path(payment.merchant_id, payment.id);
    let leads_on = matches!(
        payment.next_action,
        Some(NextAction::Redirect { .. } | NextAction::Form { .. } | NextAction::Page { .. })
    );
    if leads_on && arrival == Arrival::Chosen {
        page = page.refresh(0, &path);
    }
    put_header(&mut page, open);
    page.put(format_args!("<main>"));
    if arrival == Arrival::Busy {
        page.put(format_args!(
            "<p class=\"notice\" role=\"alert\"><strong>A payment is under way already.</strong> Finish it or \
             cancel it; then you can choose another way to pay.</p>"
        ));
    }
    match (payment.status, &payment.next_action) {
        (PaymentStatus::RequiresAction, Some(action)) => {
            put_action(&mut page, payment, action, &path, arrival);
            put_cancel(&mut page, &token);
        }
        _ => put_confirming(&mut page),
    }
    page.put(format_args!("</main>"));
    put_footer(&mut page);
    page
}

fn put_action(page: &mut Page, payment: &Payment, action: &NextAction, path: &str, arrival: Arrival) {
    let host = shown::host_of_action(&payment.terms.instrument);
    match action {
        NextAction::Redirect { .. } | NextAction::Form { .. } | NextAction::Page { .. } => {
            let (title, text) = match arrival {
                Arrival::Chosen => ("One moment", "You are taken to the page of"),
                Arrival::Plain | Arrival::Busy => ("Your payment waits for you", "Confirm it on the page of"),
            };
            page.put(format_args!(
                "<h1>{title}</h1><p>{text} {0}.</p><p><a class=\"main\" href=\"{path}\">Continue to {0}</a></p>",
                Esc(&host)
            ));
            put_status(page, "Waiting for your confirmation.");
        }
        NextAction::UpiIntent { uri } => {
            page.put(format_args!("<h1>Pay with your UPI app</h1>"));
            put_upi_link(page, uri);
            put_qr(page, path, "Or scan this code with the UPI app of another phone.");
            put_status(page, "Waiting for your payment in the UPI app.");
        }
        NextAction::UpiQr { uri } => {
            page.put(format_args!("<h1>Scan with any UPI app</h1>"));
            put_qr(page, path, "Open a UPI app on your phone, scan the code and approve the payment.");
            put_upi_link(page, uri);
            put_status(page, "Waiting for your payment in the UPI app.");
        }
        NextAction::UpiCollect => {
            page.put(format_args!(
                "<h1>Approve the request in your UPI app</h1>\
                 <p>A request was sent to {}. Open the app, check the amount and approve it.</p>",
                Esc(&shown::instrument(&payment.terms.instrument))
            ));
            put_status(page, "Waiting for your approval.");
        }
    }
}

/// The link that opens an app. Nothing but a UPI link is ever put into it.
pub(crate) fn put_upi_link(page: &mut Page, uri: &str) {
    if uri.starts_with("upi://") {
        page.put(format_args!(
            "<p><a class=\"main\" href=\"{}\">Open a UPI app on this device</a></p>",
            Esc(uri)
        ));
    }
}

pub(crate) fn put_qr(page: &mut Page, path: &str, text: &str) {
    page.put(format_args!(
        "<figure><img class=\"qr\" src=\"{path}/qr.svg\" width=\"264\" height=\"264\" \
         alt=\"QR code of this UPI payment\"><figcaption>{text}</figcaption></figure>"
    ));
}

fn put_status(page: &mut Page, text: &str) {
    page.put(format_args!(
        "<p class=\"status\" role=\"status\"><span class=\"spin\" aria-hidden=\"true\"></span>{text} This page \
         changes by itself.</p>"
    ));
}

fn put_confirming(page: &mut Page) {
    page.put(format_args!(
        "<h1>Your payment is being confirmed</h1><p>This can take a moment. Please do not pay again: the page \
         says so as soon as it is done, also if you come back later.</p>"
    ));
    put_status(page, "Waiting for the bank.");
}

fn put_cancel(page: &mut Page, token: &str) {
    page.put(format_args!(
        "<form method=\"post\" action=\"/checkout/{token}/cancel\" class=\"quiet\">\
         <button>Cancel and choose another way to pay</button></form>"
    ));
}
