//! From the configuration as it is written to a plan that can be carried out, or to one sentence that
//! names the field that is wrong.

use super::config;
use super::errors::Errors;
use super::placeholder::{Names, Place, Placeholder, named};
use super::reading::Reading;
use super::signing::Signer;
use super::template::{Body, Text};
use super::{Exchange, HmacAuth, HttpRules, LoginPlan, Plan};
use crate::capability::{Capabilities, MethodRule};
use std::collections::BTreeMap;
use std::sync::Arc;
use tollgate_core::card::Secret;
use tollgate_core::currency::Currency;
use tollgate_core::directory;
use tollgate_core::method::MethodFamily;
use tollgate_core::routing::fees::FeeSchedule;

/// A field and what is wrong with it.
pub(super) type Checked<T> = Result<T, String>;

pub(super) fn at<T>(field: &str, result: Result<T, String>) -> Checked<T> {
    result.map_err(|why| format!("{field}: {why}"))
}

pub(super) fn refuse<T>(field: &str, why: &str) -> Checked<T> {
    Err(format!("{field}: {why}"))
}

pub(super) fn check_pointer(field: &str, pointer: &str) -> Checked<()> {
    let escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if pointer.is_empty() || (pointer.starts_with('/') && escaped) {
        return Ok(());
    }
    refuse(field, &format!("`{pointer}` is not a JSON pointer such as \"/payment/status\""))
}

/// The whole account.
pub(super) fn plan(mut account: config::Account) -> Checked<Plan> {
    for (name, method) in std::mem::take(&mut account.written_methods) {
        let family = MethodFamily::ALL.into_iter().find(|family| family.as_str() == name);
        let Some(family) = family else {
            return refuse(&format!("methods.{name}"), "there is no such method");
        };
        account.methods.insert(family, method);
    }
    check_base_url(&account.base_url)?;
    check_names(&account)?;
    let (capabilities, currencies) = capabilities(&account)?;
    let errors = Errors::parse(account.errors.iter());
    let errors = errors.map_err(|(code, why)| format!("errors.{code}: {why}"))?;
    let mut readings = BTreeMap::new();
    for (name, reply) in &account.replies {
        readings.insert(name.clone(), Arc::new(super::readings::reading(name, reply, &currencies)?));
    }
    let compiler = Compiler { account: &account, readings: &readings };
    let charge = compiler.flow("charge", Place::Charge, &account.charge)?;
    let capture = compiler.flow("capture", Place::FollowUp, &account.capture)?;
    let void = compiler.flow("void", Place::FollowUp, &account.void)?;
    let refund = compiler.flow("refund", Place::FollowUp, &account.refund)?;
    let enquire_charge = compiler.flow("enquire_charge", Place::Enquiry, &account.enquire_charge)?;
    let enquire_refund = compiler.flow("enquire_refund", Place::Enquiry, &account.enquire_refund)?;
    let (basic, hmac, login) = compiler.auth()?;
    let webhook = account.webhook.as_ref();
    let webhook = webhook.map(|it| super::inbound::webhook(it, &account.secrets, &readings)).transpose()?;
    let callback = account.callback.as_ref();
    let callback =
        callback.map(|it| super::inbound::callback(it, &account.secrets, &readings)).transpose()?;
    let providers = |family| account.methods.get(&family).map(|it| it.providers.clone()).unwrap_or_default();
    let plan = Plan {
        base_url: account.base_url.trim_end_matches('/').to_owned(),
        method_codes: account.methods.iter().map(|(family, it)| (*family, it.code.clone())).collect(),
        banks: providers(MethodFamily::NetBanking),
        wallets: providers(MethodFamily::Wallet),
        capture_codes: account.capture_codes.as_ref().map(|it| (it.automatic.clone(), it.manual.clone())),
        capabilities,
        currencies,
        basic,
        hmac,
        login,
        charge,
        capture,
        void,
        refund,
        enquire_charge,
        enquire_refund,
        errors,
        webhook,
        callback,
        values: account.values.clone(),
        secrets: account.secrets.clone(),
    };
    super::flows::check(&plan, &account)?;
    Ok(plan)
}

fn check_base_url(url: &str) -> Checked<()> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or("");
    let right = !rest.is_empty()
        && !rest.starts_with('/')
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@{}\"\\".contains(&byte));
    if right {
        return Ok(());
    }
    refuse("base_url", "must be an address such as \"https://api.bank.example\"")
}

fn check_names(account: &config::Account) -> Checked<()> {
    let named = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    for (name, secret) in &account.secrets {
        if secret.expose().is_empty() || !named(name) {
            return refuse(
                &format!("secrets.{name}"),
                "must have a name of letters, digits and _, and a value",
            );
        }
    }
    for (name, value) in &account.values {
        if value.is_empty() || !named(name) {
            return refuse(
                &format!("values.{name}"),
                "must have a name of letters, digits and _, and a value",
            );
        }
    }
    Ok(())
}

fn capabilities(account: &config::Account) -> Checked<(Capabilities, Vec<Currency>)> {
    let mut currencies: Vec<Currency> = Vec::new();
    let mut methods = Vec::new();
    for (family, method) in &account.methods {
        let field = format!("methods.{}", family.as_str());
        let known = match family {
            MethodFamily::Card | MethodFamily::UpiIntent | MethodFamily::UpiQr | MethodFamily::UpiCollect => {
                None
            }
            MethodFamily::Wallet => Some(&directory::WALLETS[..]),
            MethodFamily::NetBanking => Some(&directory::BANKS[..]),
            _ => return refuse(&field, "this method needs a connector in code"),
        };
        match known {
            None if !method.providers.is_empty() => {
                return refuse(&format!("{field}.providers"), "only wallets and banks have providers");
            }
            Some(_) if method.providers.is_empty() => {
                return refuse(&format!("{field}.providers"), "must map our codes to theirs");
            }
            Some(list) => {
                for (ours, theirs) in &method.providers {
                    if directory::find(list, ours).is_none() || theirs.is_empty() {
                        let field = format!("{field}.providers.{ours}");
                        return refuse(&field, "must be a code of the directory, mapped to a code of theirs");
                    }
                }
            }
            None => {}
        }
        if method.code.is_empty() {
            return refuse(&format!("{field}.code"), "must not be empty");
        }
        if method.currencies.is_empty() {
            return refuse(&format!("{field}.currencies"), "must name at least one currency");
        }
        if method.amount_minor_min < 1 || method.amount_minor_max < method.amount_minor_min {
            return refuse(&format!("{field}.amount_minor_min"), "must be from 1 to amount_minor_max");
        }
        if method.fee_percent_bps > 10_000 || method.fee_fixed_minor < 0 {
            return refuse(&format!("{field}.fee_percent_bps"), "a fee is from 0 to 10000, and not negative");
        }
        currencies.extend(method.currencies.iter().copied());
        methods.push(MethodRule {
            family: *family,
            currencies: method.currencies.clone(),
            manual_capture: method.manual_capture,
            amount_minor_min: method.amount_minor_min,
            amount_minor_max: method.amount_minor_max,
            providers: method.providers.keys().cloned().collect(),
            fee: FeeSchedule {
                percent_bps: method.fee_percent_bps,
                fixed_minor: method.fee_fixed_minor,
                cap_minor: None,
            },
        });
    }
    if methods.is_empty() {
        return refuse("methods", "must declare at least one method");
    }
    for country in &account.countries {
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return refuse("countries", "must be ISO 3166-1 codes of two capital letters");
        }
    }
    currencies.sort_unstable();
    currencies.dedup();
    let capabilities = Capabilities {
        methods,
        countries: account.countries.clone(),
        partial_capture: account.partial_capture,
        partial_refund: account.partial_refund,
        ..Capabilities::default()
    };
    Ok((capabilities, currencies))
}

struct Compiler<'c> {
    account: &'c config::Account,
    readings: &'c BTreeMap<String, Arc<Reading>>,
}

impl Compiler<'_> {
    fn names(&self, carried: Vec<String>) -> Names<'_> {
        Names { values: &self.account.values, secrets: &self.account.secrets, carried }
    }

    fn flow(&self, operation: &str, place: Place, exchanges: &[config::Exchange]) -> Checked<Vec<Exchange>> {
        let mut flow = Vec::with_capacity(exchanges.len());
        let mut carried: Vec<String> = Vec::new();
        for (index, exchange) in exchanges.iter().enumerate() {
            let field = format!("{operation}[{index}]");
            flow.push(self.exchange(&field, operation, place, exchange, &carried)?);
            carried.extend(exchange.carry.keys().cloned());
        }
        Ok(flow)
    }

    fn exchange(
        &self,
        field: &str,
        operation: &str,
        place: Place,
        exchange: &config::Exchange,
        carried: &[String],
    ) -> Checked<Exchange> {
        let names = self.names(carried.to_vec());
        let path = path(&format!("{field}.path"), &exchange.path, place, &names)?;
        let body = Body::parse(exchange.json.as_deref(), exchange.form.as_deref(), place, &names);
        let body = body.map_err(|(part, why)| format!("{field}.{part}: {why}"))?;
        let mut headers = Vec::new();
        for (part, declared) in
            [("headers".to_owned(), &self.account.headers), (format!("{field}.headers"), &exchange.headers)]
        {
            for (name, value) in declared {
                headers.push(self.header(&format!("{part}.{name}"), name, value, place, &names)?);
            }
        }
        let Some(reading) = self.readings.get(&exchange.reply) else {
            return refuse(&format!("{field}.reply"), &format!("there is no `replies.{}`", exchange.reply));
        };
        let echo = match exchange.echo.as_deref() {
            None if matches!(operation, "charge" | "refund" | "enquire_refund") => Placeholder::Reference,
            None => Placeholder::ChargeReference,
            Some(name) => at(&format!("{field}.echo"), named(name, place, &names))?,
        };
        let is_known =
            echo.is_reference() || matches!(echo, Placeholder::ProcessorPaymentId | Placeholder::Carry(_));
        if !is_known {
            return refuse(&format!("{field}.echo"), "must be a reference, or an id that was asked with");
        }
        for (name, pointer) in &exchange.carry {
            check_pointer(&format!("{field}.carry.{name}"), pointer)?;
        }
        if !exchange.methods.is_empty() && place != Place::Charge {
            return refuse(&format!("{field}.methods"), "only charges differ by their method");
        }
        if let Some(strange) = exchange.methods.iter().find(|it| !self.account.methods.contains_key(it)) {
            let why = format!("`{}` is not among `methods`", strange.as_str());
            return refuse(&format!("{field}.methods"), &why);
        }
        let (http, http_field) = match &exchange.http {
            Some(http) => (http, format!("{field}.http")),
            None => (&self.account.http, "http".to_owned()),
        };
        Ok(Exchange {
            families: exchange.methods.clone(),
            method: exchange.method,
            path,
            body,
            headers,
            moves_money: exchange.moves_money && place != Place::Enquiry,
            reading: Arc::clone(reading),
            echo,
            carry: exchange.carry.iter().map(|(name, it)| (name.clone(), it.clone())).collect(),
            http: http_rules(&http_field, http)?,
        })
    }

    fn header(
        &self,
        field: &str,
        name: &str,
        value: &str,
        place: Place,
        names: &Names<'_>,
    ) -> Checked<(String, Text)> {
        check_header(field, name)?;
        let auth = &self.account.auth;
        if name == "authorization" && (auth.basic.is_some() || auth.login.is_some()) {
            return refuse(field, "`auth` writes this header already");
        }
        let text = at(field, Text::parse(value, place, names))?;
        if text.placeholders().any(Placeholder::is_card) {
            return refuse(field, "card data must not be in a header");
        }
        Ok((name.to_owned(), text))
    }

    fn secret(&self, field: &str, name: &str) -> Checked<&Secret> {
        secret(&self.account.secrets, field, name)
    }

    #[expect(clippy::type_complexity, reason = "the three schemes there are")]
    fn auth(&self) -> Checked<(Option<(Text, Text)>, Option<HmacAuth>, Option<LoginPlan>)> {
        let auth = &self.account.auth;
        let names = self.names(Vec::new());
        if auth.basic.is_some() && auth.login.is_some() {
            return refuse("auth.basic", "`auth.login` writes the same header");
        }
        let basic = auth.basic.as_ref().map(|it| self.basic("auth.basic", it, &names)).transpose()?;
        let hmac = match &auth.hmac {
            None => None,
            Some(hmac) => {
                check_header("auth.hmac.header", &hmac.header)?;
                let signed = at("auth.hmac.signed", Text::parse(&hmac.signed, Place::Signed, &names))?;
                let key = self.secret("auth.hmac.secret", &hmac.secret)?;
                let signer = Signer::new(hmac.algorithm, key, hmac.encoding, &hmac.prefix);
                Some(HmacAuth { header: hmac.header.clone(), signer, signed })
            }
        };
        let login = auth.login.as_ref().map(|it| self.login(it, &names)).transpose()?;
        let proves = |text: &str| text.contains("secrets.");
        let exchanges = self.account.charge.iter();
        let in_body = exchanges.filter_map(|it| it.json.as_deref()).any(proves)
            || self.account.charge.iter().flat_map(|it| it.form.iter().flatten()).any(|(_, it)| proves(it));
        let in_header = self.account.headers.values().any(|it| proves(it));
        if basic.is_none() && hmac.is_none() && login.is_none() && !in_header && !in_body {
            return refuse("auth", "nothing proves to the processor who asks");
        }
        Ok((basic, hmac, login))
    }

    fn basic(&self, field: &str, basic: &config::Basic, names: &Names<'_>) -> Checked<(Text, Text)> {
        let read =
            |part: &str, text: &str| at(&format!("{field}.{part}"), Text::parse(text, Place::Login, names));
        Ok((read("username", &basic.username)?, read("password", &basic.password)?))
    }

    fn login(&self, login: &config::Login, names: &Names<'_>) -> Checked<LoginPlan> {
        let body = Body::parse(login.json.as_deref(), login.form.as_deref(), Place::Login, names);
        let body = body.map_err(|(part, why)| format!("auth.login.{part}: {why}"))?;
        let mut headers = Vec::new();
        for (name, value) in &login.headers {
            let field = format!("auth.login.headers.{name}");
            check_header(&field, name)?;
            headers.push((name.clone(), at(&field, Text::parse(value, Place::Login, names))?));
        }
        let basic = login.basic.as_ref().map(|it| self.basic("auth.login.basic", it, names)).transpose()?;
        check_pointer("auth.login.token", &login.token)?;
        if let Some(pointer) = &login.expires_s {
            check_pointer("auth.login.expires_s", pointer)?;
        }
        if login.expires_s.is_none() && login.lives_s.is_none() {
            return refuse(
                "auth.login.expires_s",
                "either this or `lives_s` must say how long a login is good",
            );
        }
        if !login.prefix.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return refuse("auth.login.prefix", "must be plain ASCII");
        }
        Ok(LoginPlan {
            method: login.method,
            path: path("auth.login.path", &login.path, Place::Login, names)?,
            headers,
            basic,
            body,
            token: login.token.clone(),
            prefix: login.prefix.clone(),
            expires_s: login.expires_s.clone(),
            lives_s: login.lives_s,
        })
    }
}

pub(super) fn secret<'s>(
    secrets: &'s BTreeMap<String, Secret>,
    field: &str,
    name: &str,
) -> Checked<&'s Secret> {
    secrets.get(name).ok_or_else(|| format!("{field}: `{name}` is not declared in `secrets`"))
}

pub(super) fn check_header(field: &str, name: &str) -> Checked<()> {
    const OURS: &[&str] = &["host", "content-length", "content-type", "connection", "transfer-encoding"];
    let right = !name.is_empty()
        && name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-_".contains(&it));
    if !right || OURS.contains(&name) {
        return refuse(field, "must be a header's name in lower case, and none that the request sets itself");
    }
    Ok(())
}

fn path(field: &str, path: &str, place: Place, names: &Names<'_>) -> Checked<Text> {
    let text = at(field, Text::parse(path, place, names))?;
    if text.placeholders().any(|it| it.is_card() || it.is_secret() || *it == Placeholder::Vpa) {
        return refuse(field, "card data, secrets and the customer's address must not be in a URL");
    }
    let literals = path.replace("{{", "").replace("}}", "");
    let right = path.starts_with('/')
        && literals.bytes().all(|byte| byte.is_ascii_graphic() && !b"#{}\"\\<>".contains(&byte));
    if !right {
        return refuse(field, "must begin with / and be a path, perhaps with a query");
    }
    Ok(text)
}

fn http_rules(field: &str, http: &config::Http) -> Checked<HttpRules> {
    for status in &http.reply {
        if !(200..=499).contains(status) || http.not_taken.contains(status) {
            return refuse(
                &format!("{field}.reply"),
                &format!("{status} must be from 200 to 499, and not also in `not_taken`"),
            );
        }
    }
    for status in &http.not_taken {
        if !(400..=499).contains(status) || matches!(status, 408 | 409) {
            return refuse(
                &format!("{field}.not_taken"),
                &format!("{status} proves nothing: only 400 to 499 without 408 and 409 can"),
            );
        }
    }
    for status in &http.not_found {
        if !(400..=499).contains(status) {
            return refuse(&format!("{field}.not_found"), &format!("{status} must be from 400 to 499"));
        }
    }
    for (name, pointer) in [("failure_code", &http.failure_code), ("failure_message", &http.failure_message)]
    {
        if let Some(pointer) = pointer {
            check_pointer(&format!("{field}.{name}"), pointer)?;
        }
    }
    Ok(HttpRules {
        reply: http.reply.clone(),
        not_taken: http.not_taken.clone(),
        not_found: http.not_found.clone(),
        failure_code: http.failure_code.clone(),
        failure_message: http.failure_message.clone(),
    })
}
