//! The hand-over page: what the customer's browser must do for a payment, whoever made it.

use super::html::{Esc, Page, Script, guard, is_web, origin_of, see_other};
use super::waiting::{put_qr, put_upi_link};
use super::{outcome, shown};
use crate::reply;
use crate::routes::payment_qr::image_of;
use crate::security_headers::OPENER_POLICY;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use tollgate_core::outcome::NextAction;
use tollgate_core::payment::Payment;

/// A bank's own document may run its scripts and send its forms; it may not read anything of this
/// gateway, be framed, or open other windows.
const BANK_POLICY: &str = "sandbox allow-forms allow-scripts allow-top-navigation; frame-ancestors 'none'";

/// The reply for a payment that waits for its customer.
pub(crate) fn reply(payment: &Payment, action: &NextAction, path: &str) -> Response {
    match action {
        NextAction::Redirect { url } if is_web(url) => see_other(url),
        NextAction::Form { url, fields } => match origin_of(url) {
            Some(origin) => form(payment, url, origin, fields).reply(StatusCode::OK),
            None => broken(),
        },
        NextAction::Page { html_base64 } => match STANDARD.decode(html_base64) {
            Ok(document) => {
                let mut response = reply::bytes_of(StatusCode::OK, "text/html; charset=utf-8", document);
                guard(&mut response, BANK_POLICY);
                // Browsers refuse to show what is in a sandbox and apart from its opener.
                response.headers_mut().insert(OPENER_POLICY, HeaderValue::from_static("unsafe-none"));
                response
            }
            Err(_) => broken(),
        },
        NextAction::UpiIntent { uri } | NextAction::UpiQr { uri } => {
            let mut page = begun("Pay with a UPI app", payment);
            put_qr(&mut page, path, "Scan the code with any UPI app and approve the payment.");
            put_upi_link(&mut page, uri);
            page.put(format_args!("</main>"));
            page.reply(StatusCode::OK)
        }
        NextAction::UpiCollect => {
            let mut page = begun("Approve the request in your UPI app", payment);
            page.put(format_args!("<p>Open the app, check the amount and approve it.</p></main>"));
            page.reply(StatusCode::OK)
        }
        NextAction::Redirect { .. } => broken(),
    }
}

fn begun(title: &'static str, payment: &Payment) -> Page {
    let mut page = Page::new(title);
    page.put(format_args!(
        "<header><p class=\"amount\">{}</p></header><main><h1>{title}</h1>",
        Esc(&shown::amount(payment.terms.amount))
    ));
    page
}

/// A form that sends itself, with a button where no script runs.
fn form(payment: &Payment, url: &str, origin: &str, fields: &[(String, String)]) -> Page {
    let mut page = begun("One moment", payment).script(Script::Submit).form_target(origin);
    let host = shown::host_of_action(&payment.terms.instrument);
    page.put(format_args!(
        "<p>You are taken to the page of {}.</p><form method=\"post\" action=\"{}\">",
        Esc(&host),
        Esc(url)
    ));
    for (name, value) in fields {
        page.put(format_args!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", Esc(name), Esc(value)));
    }
    page.put(format_args!("<button class=\"main\">Continue to {}</button></form></main>", Esc(&host)));
    page
}

/// The processor sent nothing a browser can be sent to; the payment lapses by itself.
fn broken() -> Response {
    outcome::says("This payment cannot go on", "The bank’s page cannot be opened. No money was taken.")
        .reply(StatusCode::BAD_GATEWAY)
}

/// The QR code of a payment's UPI link, as the picture of that name.
pub(crate) fn picture(payment: &Payment, name: &str) -> Option<Response> {
    let (image, title) = image_of(payment)?;
    let mut response = match name {
        "qr.svg" => reply::bytes_of(StatusCode::OK, "image/svg+xml", image.svg(&title)),
        "qr.png" => reply::bytes_of(StatusCode::OK, "image/png", image.png()?),
        _ => return None,
    };
    guard(&mut response, "default-src 'none'; frame-ancestors 'none'");
    Some(response)
}
