//! The pages at the end: paid, over, or not there.

use super::choose::{put_footer, put_header};
use super::html::{Esc, Page, is_web, with_query};
use super::shown;
use tollgate_core::payment::Payment;
use tollgate_core::transition::PaymentStatus;
use tollgate_engine::checkout::Checkout;

/// The page of a session that is paid.
pub(crate) fn paid(open: &Checkout, payment: &Payment) -> Page {
    let mut page = Page::new(format!("Paid: {}", open.merchant.name));
    put_header(&mut page, open);
    let title = match payment.status {
        PaymentStatus::Refunded => "Refunded",
        PaymentStatus::PartiallyRefunded => "Partly refunded",
        _ => "Paid",
    };
    page.put(format_args!(
        "<main><p class=\"mark good\" aria-hidden=\"true\">✓</p><h1>{title}</h1><p role=\"status\">Thank you. {} \
         received your payment.</p><dl><dt>Paid with</dt><dd>{}</dd><dt>On</dt><dd>{}</dd>\
         <dt>Payment</dt><dd class=\"id\">{}</dd></dl>",
        Esc(&open.merchant.name),
        Esc(&shown::instrument(&payment.terms.instrument)),
        shown::at(payment.created_at_ms),
        payment.id
    ));
    if let Some(url) = come_back(payment) {
        page.put(format_args!(
            "<p><a class=\"main\" href=\"{}\">Back to {}</a></p>",
            Esc(&url),
            Esc(&open.merchant.name)
        ));
    }
    page.put(format_args!("</main>"));
    put_footer(&mut page);
    page
}

/// The page of a session whose time is over.
pub(crate) fn expired(open: &Checkout) -> Page {
    let mut page = Page::new(format!("Over: {}", open.merchant.name));
    put_header(&mut page, open);
    page.put(format_args!(
        "<main><p class=\"mark bad\" aria-hidden=\"true\">✕</p><h1>This payment page is over</h1>\
         <p role=\"status\">No money was taken. Please go back to {} and begin again.</p>",
        Esc(&open.merchant.name)
    ));
    let urls = [&open.session.cancel_url, &open.session.return_url];
    if let Some(url) = urls.into_iter().flatten().find(|url| is_web(url)) {
        page.put(format_args!(
            "<p><a class=\"main\" href=\"{}\">Back to {}</a></p>",
            Esc(url),
            Esc(&open.merchant.name)
        ));
    }
    page.put(format_args!("</main>"));
    put_footer(&mut page);
    page
}

/// What became of a payment that was made without a session and names no way back.
pub(crate) fn of_payment(payment: &Payment) -> Page {
    let (good, title, text) = match payment.status {
        PaymentStatus::Completed | PaymentStatus::Authorized => (true, "Paid", "Your payment was received."),
        PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded => {
            (true, "Refunded", "Your payment was received and money was sent back.")
        }
        PaymentStatus::Pending | PaymentStatus::Processing | PaymentStatus::RequiresAction => {
            (true, "Your payment is being confirmed", "You need not wait here and must not pay again.")
        }
        PaymentStatus::Declined | PaymentStatus::Failed => (false, "Not paid", "No money was taken."),
        PaymentStatus::Cancelled => (false, "Cancelled", "No money was taken."),
        PaymentStatus::Expired => (false, "Over", "The time for this payment was over. No money was taken."),
    };
    let mut page = Page::new(title);
    let (class, mark) = if good { ("good", "✓") } else { ("bad", "✕") };
    page.put(format_args!(
        "<main><p class=\"mark {class}\" aria-hidden=\"true\">{mark}</p><h1>{title}</h1><p role=\"status\">{text} \
         You can close this page.</p><dl><dt>Amount</dt><dd>{}</dd><dt>Payment</dt><dd class=\"id\">{}</dd></dl></main>",
        Esc(&shown::amount(payment.terms.amount)),
        payment.id
    ));
    put_footer(&mut page);
    page
}

/// A page that says one thing.
pub(crate) fn says(title: &'static str, text: &'static str) -> Page {
    let mut page = Page::new(title);
    page.put(format_args!("<main><h1>{title}</h1><p>{text}</p></main>"));
    put_footer(&mut page);
    page
}

/// The merchant's address for the way back, told which payment it is about and where that stands.
pub(crate) fn come_back(payment: &Payment) -> Option<String> {
    let url = payment.terms.return_url.as_deref().filter(|url| is_web(url))?;
    let id = payment.id.to_string();
    Some(with_query(url, &[("payment_id", &id), ("status", payment.status.as_str())]))
}
