//! The demo shop of `tollgate dev`: something to pay for.

use super::html::{Esc, Page};
use super::shown;
use tollgate_core::currency::Currency;
use tollgate_core::money::Money;
use tollgate_core::payment::Payment;

/// Something to buy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Good {
    /// Its name in forms.
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    about: &'static str,
    pub(crate) price: Money,
}

/// What the shop sells.
pub(crate) const GOODS: [Good; 4] = [
    Good {
        code: "tea",
        name: "Assam tea, 250 g",
        about: "Second flush, loose leaf.",
        price: Money::new(34_900, Currency::INR),
    },
    Good {
        code: "lamp",
        name: "Brass desk lamp",
        about: "Warm light, two-metre cord.",
        price: Money::new(499_900, Currency::INR),
    },
    Good {
        code: "bicycle",
        name: "City bicycle",
        about: "Seven gears; large enough for instalments.",
        price: Money::new(2_399_900, Currency::INR),
    },
    Good {
        code: "book",
        name: "A book, sent abroad",
        about: "Priced in dollars: by card.",
        price: Money::new(1_900, Currency::USD),
    },
];

/// The shop.
pub(crate) fn shop() -> Page {
    let mut page = Page::new("Demo shop");
    page.put(format_args!(
        "<header><p class=\"to\"><strong>Demo shop</strong></p><p class=\"for\">Nothing here is real: the payments go \
         to simulated processors.</p></header><main><h1>Choose something to pay for</h1><ul class=\"goods\">"
    ));
    for good in GOODS {
        page.put(format_args!(
            "<li><div><strong>{}</strong><small>{}</small></div><form method=\"post\" action=\"/demo/pay\">\
             <button name=\"good\" value=\"{}\" aria-label=\"Pay {price} for {}\">Pay {price}</button></form></li>",
            Esc(good.name),
            Esc(good.about),
            good.code,
            Esc(good.name),
            price = Esc(&shown::amount(good.price)),
        ));
    }
    page.put(format_args!("</ul></main>"));
    put_test_instruments(&mut page);
    page
}

/// What to type to see a refusal: the simulators decide by the instrument.
fn put_test_instruments(page: &mut Page) {
    page.put(format_args!(
        "<aside class=\"hints\"><h2>To try</h2><table><thead><tr><th>Card</th><th>What happens</th></tr></thead><tbody>\
         <tr><td>4111 1111 1111 1111</td><td>paid</td></tr>\
         <tr><td>4000 0000 0000 0002</td><td>declined</td></tr>\
         <tr><td>4000 0000 0000 9995</td><td>not enough money</td></tr>\
         <tr><td>4000 0000 0000 3220</td><td>a page of the bank</td></tr></tbody></table>\
         <p>Any later expiry date and any security code. UPI addresses: <code>success@upi</code>, \
         <code>declined@upi</code>.</p></aside>"
    ));
}

/// The receipt.
pub(crate) fn receipt(payment: &Payment) -> Page {
    let mut page = Page::new("Receipt: Demo shop");
    page.put(format_args!(
        "<header><p class=\"to\"><strong>Demo shop</strong></p></header><main><h1>Receipt</h1><dl><dt>For</dt><dd>{}</dd>\
         <dt>Amount</dt><dd>{}</dd><dt>Paid with</dt><dd>{}</dd><dt>Status</dt><dd>{}</dd>\
         <dt>Processor</dt><dd>{}</dd><dt>Payment</dt><dd class=\"id\">{}</dd></dl>\
         <p><a class=\"main\" href=\"/demo\">Back to the shop</a></p></main>",
        Esc(payment.terms.description.as_deref().unwrap_or("Something")),
        Esc(&shown::amount(payment.terms.amount)),
        Esc(&shown::instrument(&payment.terms.instrument)),
        payment.status.as_str().replace('_', " "),
        Esc(payment.processor.as_str()),
        payment.id
    ));
    page
}
