//! The page on which the customer chooses how to pay.

use super::html::{Esc, Page, Script, is_web};
use super::shown;
use crate::card_port;
use tollgate_core::bnpl::{self, Applicant, BnplKind, BnplPlan};
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::currency::Currency;
use tollgate_core::directory::{BANKS, BNPL_LENDERS, find};
use tollgate_core::emi::{self, EmiPlan};
use tollgate_core::method::{MethodFamily, upi_collect_allowed};
use tollgate_core::money::Money;
use tollgate_core::transition::PaymentStatus;
use tollgate_engine::checkout::Checkout;
use tollgate_engine::offers::Offer;

/// What was chosen cannot be done, in words for the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The method is not offered, or not for this amount.
    NotOffered,
    /// A field is missing or wrong.
    NotUnderstood,
    /// The card was not kept long enough, or used before.
    CardGone,
    /// Too much is under way.
    Busy,
}

impl Notice {
    const fn text(self) -> &'static str {
        match self {
            Self::NotOffered => "This way to pay is not available here. Please choose another.",
            Self::NotUnderstood => "Something is missing. Please check what you entered.",
            Self::CardGone => "Please enter the card again.",
            Self::Busy => "There is much going on right now. Please try again in a moment.",
        }
    }
}

/// What the page is made of beside the session.
#[derive(Debug)]
pub(crate) struct Choices<'a> {
    pub(crate) offers: &'a [Offer],
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) notice: Option<Notice>,
    /// Today, in days since 1970-01-01.
    pub(crate) today: u32,
    /// The grant with which the page's script puts a card into the vault.
    pub(crate) card_session: &'a str,
    /// Where the vault's card port is, if not on this server.
    pub(crate) card_url: Option<&'a str>,
}

/// The head that all pages of a session share: who is paid how much for what.
pub(crate) fn put_header(page: &mut Page, open: &Checkout) {
    let session = &open.session;
    page.put(format_args!(
        "<header><p class=\"to\">Pay <strong>{}</strong></p><p class=\"amount\">{}</p>",
        Esc(&open.merchant.name),
        Esc(&shown::amount(session.amount))
    ));
    if let Some(description) = &session.description {
        page.put(format_args!("<p class=\"for\">{}</p>", Esc(description)));
    }
    if let Some(mandate) = &session.mandate {
        let max = Money::new(mandate.amount_minor_max, session.amount.currency);
        page.put(format_args!(
            "<p class=\"for\">You also allow {} to debit up to {} {} until {}.</p>",
            Esc(&open.merchant.name),
            Esc(&shown::amount(max)),
            frequency(mandate.frequency),
            Esc(&shown::at(mandate.ends_at_ms))
        ));
    }
    page.put(format_args!("</header>"));
}

const fn frequency(frequency: tollgate_core::mandate::MandateFrequency) -> &'static str {
    use tollgate_core::mandate::MandateFrequency as F;
    match frequency {
        F::AsPresented => "whenever a payment is due",
        F::Daily => "a day",
        F::Weekly => "a week",
        F::Monthly => "a month",
        F::Quarterly => "a quarter",
        F::Yearly => "a year",
    }
}

/// The foot that all pages of a session share.
pub(crate) fn put_footer(page: &mut Page) {
    page.put(format_args!("<footer><p>Payment page by Tollgate. Card details go straight to the vault, never through the shop.</p></footer>"));
}

/// The page.
pub(crate) fn page(open: &Checkout, choices: &Choices<'_>) -> Page {
    let session = &open.session;
    let mut page = Page::new(format!("Pay {}", open.merchant.name)).script(Script::Checkout);
    put_header(&mut page, open);
    page.put(format_args!("<main><h1>How would you like to pay?</h1>"));
    put_notice(&mut page, open, choices.notice);
    let token = session.token().expose();
    let card_url = format!("{}{}", choices.card_url.unwrap_or_default(), card_port::PATH);
    if let Some(url) = choices.card_url {
        page = page.connects_to(url);
    }
    let form = Form {
        token: &token,
        card_session: choices.card_session,
        card_url: &card_url,
        amount: shown::amount(session.amount),
        currency: session.amount.currency,
    };
    let is_phone = choices.user_agent.is_some_and(is_phone);
    let offers = choices.offers;
    let offer = |family| offers.iter().find(|offer| offer.family == family);
    let collect = offer(MethodFamily::UpiCollect)
        .filter(|_| upi_collect_allowed(open.merchant.mcc.as_deref(), choices.user_agent));
    let upi = Upi {
        intent: offer(MethodFamily::UpiIntent).is_some(),
        qr: offer(MethodFamily::UpiQr).is_some(),
        collect: collect.is_some(),
        is_phone,
    };
    if upi.intent || upi.qr || upi.collect {
        form.upi(&mut page, &upi);
    }
    if offer(MethodFamily::Card).is_some() {
        form.card(&mut page, "card", "Card", "Credit, debit or prepaid", &[]);
    }
    if let Some(offer) = offer(MethodFamily::Wallet) {
        form.wallets(&mut page, offer);
    }
    if let Some(offer) = offer(MethodFamily::NetBanking) {
        form.banks(&mut page, offer);
    }
    if let Some(offer) = offer(MethodFamily::Bnpl) {
        form.later(&mut page, &bnpl_plans(session, offer, choices.today));
    }
    if let Some(offer) = offer(MethodFamily::Emi) {
        let plans = emi_plans(session, offer);
        if !plans.is_empty() {
            form.card(&mut page, "emi", "Monthly instalments", "EMI on a credit card", &plans);
        }
    }
    if let Some(url) = session.cancel_url.as_deref().filter(|url| is_web(url)) {
        page.put(format_args!(
            "<p class=\"leave\"><a href=\"{}\">Back to {} without paying</a></p>",
            Esc(url),
            Esc(&open.merchant.name)
        ));
    }
    page.put(format_args!("</main>"));
    put_footer(&mut page);
    page
}

/// What went wrong before: with the request, else with the last payment.
fn put_notice(page: &mut Page, open: &Checkout, notice: Option<Notice>) {
    if let Some(notice) = notice {
        page.put(format_args!("<p class=\"notice bad\" role=\"alert\">{}</p>", notice.text()));
        return;
    }
    let Some(last) = open.payments.last() else { return };
    let (title, why) = match last.status {
        PaymentStatus::Declined | PaymentStatus::Failed => {
            ("The payment was not made.", shown::failure(last.failure.as_ref()))
        }
        PaymentStatus::Cancelled => ("The payment was cancelled.", ""),
        PaymentStatus::Expired => ("The time for the payment was over.", ""),
        _ => return,
    };
    page.put(format_args!(
        "<p class=\"notice bad\" role=\"alert\"><strong>{title}</strong> {why} No money was taken. \
         Try again or choose another way to pay.</p>"
    ));
}

/// The ways of UPI that are open.
struct Upi {
    intent: bool,
    qr: bool,
    collect: bool,
    is_phone: bool,
}

/// The forms of one session.
struct Form<'a> {
    token: &'a str,
    card_session: &'a str,
    card_url: &'a str,
    amount: String,
    currency: Currency,
}

impl Form<'_> {
    fn open(&self, page: &mut Page, method: &str) {
        page.put(format_args!(
            "<form method=\"post\" action=\"/checkout/{}/pay\"><input type=\"hidden\" name=\"method\" value=\"{method}\">",
            self.token
        ));
    }

    /// Begins the section of a method. One is open at a time, without any script.
    fn section(&self, page: &mut Page, id: &str, title: &str, hint: &str, is_open: bool) {
        page.put(format_args!(
            "<details name=\"method\" id=\"m-{id}\"{}><summary><span><strong>{title}</strong>\
             <small>{}</small></span></summary><div class=\"inside\">",
            if is_open { " open" } else { "" },
            Esc(hint)
        ));
    }

    fn pay_button(&self, page: &mut Page) {
        page.put(format_args!("<button class=\"main\">Pay {}</button>", Esc(&self.amount)));
    }

    fn upi(&self, page: &mut Page, upi: &Upi) {
        self.section(page, "upi", "UPI", "Any UPI app", true);
        // The link works on the phone it is opened on; the code is for another device.
        let app = upi.intent.then_some(("upi_intent", "Open a UPI app"));
        let code = upi.qr.then_some(("upi_qr", "Show a QR code"));
        let ways = if upi.is_phone { [app, code] } else { [code, app] };
        for (place, (method, text)) in ways.into_iter().flatten().enumerate() {
            let class = if place == 0 { " class=\"main\"" } else { "" };
            self.open(page, method);
            page.put(format_args!("<button{class}>{text}</button></form>"));
        }
        if upi.collect {
            self.open(page, "upi_collect");
            page.put(format_args!(
                "<label for=\"vpa\">Or be asked in your app: your UPI address</label>\
                 <input id=\"vpa\" name=\"vpa\" required inputmode=\"email\" autocapitalize=\"none\" autocomplete=\"off\" \
                 spellcheck=\"false\" maxlength=\"165\" pattern=\"[A-Za-z0-9._\\-]+@[A-Za-z][A-Za-z0-9]+\" \
                 placeholder=\"name@bank\" title=\"A UPI address such as name@bank\">\
                 <button>Send a request</button></form>"
            ));
        }
        page.put(format_args!("</div></details>"));
    }

    /// Card fields. They have no names: no form can send them, only the script, to the vault alone.
    fn card(&self, page: &mut Page, method: &str, title: &str, hint: &str, plans: &[EmiPlan]) {
        self.section(page, method, title, hint, false);
        page.put(format_args!(
            "<noscript><p class=\"notice\">Cards need JavaScript: their digits go straight to the vault, never \
             through this form. Please allow it for this page or choose another way to pay.</p></noscript>"
        ));
        page.put(format_args!(
            "<form method=\"post\" action=\"/checkout/{0}/pay\" data-card data-session=\"{1}\" data-cards=\"{2}\" novalidate>\
             <input type=\"hidden\" name=\"method\" value=\"{method}\"><input type=\"hidden\" name=\"token\">",
            self.token,
            Esc(self.card_session),
            Esc(self.card_url),
        ));
        if !plans.is_empty() {
            page.put(format_args!("<label for=\"plan\">Bank and number of instalments</label><select id=\"plan\" name=\"plan\" required>"));
            for plan in plans {
                self.put_plan(page, plan);
            }
            page.put(format_args!("</select>"));
        }
        let fields: [(&str, &str, &str); 4] = [
            (
                "number",
                "Card number",
                "inputmode=\"numeric\" autocomplete=\"cc-number\" maxlength=\"23\" placeholder=\"1234 1234 1234 1234\"",
            ),
            (
                "expiry",
                "Expiry date",
                "inputmode=\"numeric\" autocomplete=\"cc-exp\" maxlength=\"7\" placeholder=\"MM / YY\"",
            ),
            (
                "cvc",
                "Security code",
                "inputmode=\"numeric\" autocomplete=\"cc-csc\" maxlength=\"4\" placeholder=\"CVC\"",
            ),
            ("name", "Name on the card", "autocomplete=\"cc-name\" maxlength=\"128\""),
        ];
        page.put(format_args!("<div class=\"fields\">"));
        for (name, label, attributes) in fields {
            page.put(format_args!(
                "<div class=\"f-{name}\"><label for=\"{method}-{name}\">{label}</label>\
                 <input id=\"{method}-{name}\" data-field=\"{name}\" aria-describedby=\"{method}-{name}-error\" {attributes}>\
                 <p class=\"error\" id=\"{method}-{name}-error\"></p></div>"
            ));
        }
        page.put(format_args!(
            "</div><p class=\"error\" data-error role=\"alert\"></p>\
             <button class=\"main\" disabled>Pay {}</button></form></div></details>",
            Esc(&self.amount)
        ));
    }

    fn put_plan(&self, page: &mut Page, plan: &EmiPlan) {
        let money = |minor| Money::new(minor, self.currency);
        let bank = find(&BANKS, &plan.bank);
        page.put(format_args!(
            "<option value=\"{}:{}\">{}: {} × {} at {} a year, {} interest</option>",
            Esc(&plan.bank),
            plan.tenure_months,
            Esc(bank.map_or(plan.bank.as_str(), |bank| bank.name)),
            plan.tenure_months,
            Esc(&shown::amount(money(plan.instalment_minor))),
            shown::rate(plan.annual_rate_bps),
            Esc(&shown::amount(money(plan.interest_minor))),
        ));
    }

    fn wallets(&self, page: &mut Page, offer: &Offer) {
        self.section(page, "wallet", "Wallet", &names(offer), false);
        self.open(page, "wallet");
        page.put(format_args!("<div class=\"choices\" role=\"group\" aria-label=\"Wallets\">"));
        for wallet in &offer.providers {
            page.put(format_args!(
                "<button name=\"provider\" value=\"{}\">{}</button>",
                Esc(wallet.code),
                Esc(wallet.name)
            ));
        }
        page.put(format_args!("</div></form></div></details>"));
    }

    fn banks(&self, page: &mut Page, offer: &Offer) {
        self.section(page, "net_banking", "Net banking", &names(offer), false);
        self.open(page, "net_banking");
        page.put(format_args!(
            "<label for=\"bank\">Your bank</label><select id=\"bank\" name=\"provider\" required>\
             <option value=\"\">Choose your bank</option>"
        ));
        for bank in &offer.providers {
            page.put(format_args!("<option value=\"{}\">{}</option>", Esc(bank.code), Esc(bank.name)));
        }
        page.put(format_args!("</select>"));
        self.pay_button(page);
        page.put(format_args!("</form></div></details>"));
    }

    fn later(&self, page: &mut Page, plans: &[BnplPlan]) {
        if plans.is_empty() {
            return;
        }
        self.section(page, "bnpl", "Pay later", "With a lender’s approval", false);
        self.open(page, "bnpl");
        page.put(format_args!("<fieldset><legend>Plan</legend>"));
        for plan in plans {
            let lender = find(&BNPL_LENDERS, &plan.provider);
            let lender = lender.map_or(plan.provider.as_str(), |lender| lender.name);
            page.put(format_args!(
                "<label class=\"plan\"><input type=\"radio\" name=\"plan\" value=\"{}:{}\" required> <span><strong>{}, {}</strong>\
                 <small>",
                Esc(&plan.provider),
                plan.kind.as_str(),
                Esc(lender),
                match plan.kind {
                    BnplKind::PayLater => "pay later",
                    BnplKind::PayIn3 => "three parts",
                }
            ));
            self.put_schedule(page, plan);
            page.put(format_args!("</small></span></label>"));
        }
        page.put(format_args!("</fieldset>"));
        self.pay_button(page);
        page.put(format_args!("</form></div></details>"));
    }

    fn put_schedule(&self, page: &mut Page, plan: &BnplPlan) {
        for (place, part) in plan.schedule.iter().enumerate() {
            let join = if place == 0 { "" } else { ", " };
            let amount = shown::amount(Money::new(part.amount_minor, self.currency));
            page.put(format_args!("{join}{} on {}", Esc(&amount), shown::day(part.due_day)));
        }
    }
}

/// The first few names of a method's providers.
fn names(offer: &Offer) -> String {
    let first: Vec<&str> = offer.providers.iter().take(3).map(|entry| entry.name).collect();
    let more = if offer.providers.len() > first.len() { " and others" } else { "" };
    format!("{}{more}", first.join(", "))
}

/// Whether a browser says that it runs on a phone.
pub(crate) fn is_phone(user_agent: &str) -> bool {
    ["Android", "iPhone", "Mobile"].iter().any(|sign| user_agent.contains(sign))
}

/// The plans of lenders who are offered and come into question for this customer.
pub(crate) fn bnpl_plans(session: &CheckoutSession, offer: &Offer, today: u32) -> Vec<BnplPlan> {
    let applicant = Applicant {
        amount: session.amount,
        has_phone: session.customer.phone.is_some(),
        has_email: session.customer.email.is_some(),
    };
    let offered = |lender: &&bnpl::BnplLender| offer.providers.iter().any(|entry| entry.code == lender.code);
    bnpl::LENDERS
        .iter()
        .filter(offered)
        .flat_map(|lender| {
            lender
                .kinds
                .iter()
                .filter_map(|kind| lender.plan(*kind, &applicant, today).ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The instalment plans of banks that are offered.
pub(crate) fn emi_plans(session: &CheckoutSession, offer: &Offer) -> Vec<EmiPlan> {
    let offered = |plan: &EmiPlan| offer.providers.iter().any(|entry| entry.code == plan.bank);
    emi::offers(session.amount, None).filter(offered).collect()
}
