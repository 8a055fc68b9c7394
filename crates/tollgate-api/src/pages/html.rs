//! A page's frame: head, style, script, and the headers that keep everything else out.

use crate::reply;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use std::fmt::{self, Display, Write as _};
use std::sync::LazyLock;

/// The style of all pages.
const STYLE: &str = include_str!("style.css");

/// The script of the checkout's pages.
const SCRIPT: &str = include_str!("checkout.js");

/// Sends the only form of a page.
const SUBMIT: &str = "document.forms[0].submit()";

/// Where the digests of what stands in the pages are allowed from.
static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| source_of(STYLE));
static SCRIPT_SOURCE: LazyLock<String> = LazyLock::new(|| source_of(SCRIPT));
static SUBMIT_SOURCE: LazyLock<String> = LazyLock::new(|| source_of(SUBMIT));

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

fn source_of(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// Text inside HTML, in an element or in a quoted attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Esc<'a>(pub(crate) &'a str);

impl Display for Esc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// The script a page runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// None.
    None,
    /// The checkout's.
    Checkout,
    /// Sends the page's form at once.
    Submit,
}

/// A page to be sent.
#[derive(Debug)]
pub(crate) struct Page {
    title: String,
    head: String,
    /// Attributes of the body that the script reads.
    data: String,
    body: String,
    script: Script,
    /// Where forms may go beside this gateway.
    form_targets: String,
    /// Where the script may send to beside this gateway.
    connects_to: String,
}

impl Page {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            head: String::new(),
            data: String::new(),
            body: String::with_capacity(4 * 1024),
            script: Script::None,
            form_targets: String::new(),
            connects_to: String::new(),
        }
    }

    /// With a script.
    pub(crate) fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// With something for the script to read.
    pub(crate) fn data(mut self, name: &str, value: &str) -> Self {
        // Writing to a String cannot fail, here and below.
        let _ = write!(self.data, " data-{name}=\"{}\"", Esc(value));
        self
    }

    /// With forms that go elsewhere. The browser holds the target's own redirects to the policy too, and
    /// nobody knows a bank's other names: any secure page may follow.
    pub(crate) fn form_target(mut self, origin: &str) -> Self {
        self.form_targets = format!(" {origin} https:");
        self
    }

    /// Goes to another page by itself after some seconds.
    pub(crate) fn refresh(mut self, seconds: u32, url: &str) -> Self {
        let _ = write!(self.head, "<meta http-equiv=\"refresh\" content=\"{seconds};url={}\">", Esc(url));
        self
    }

    /// Loads itself again every few seconds where no script runs.
    pub(crate) fn refresh_without_script(mut self, seconds: u32) -> Self {
        let _ = write!(self.head, "<noscript><meta http-equiv=\"refresh\" content=\"{seconds}\"></noscript>");
        self
    }

    /// Appends HTML; what comes from outside must be wrapped in [`Esc`].
    pub(crate) fn put(&mut self, html: fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(html);
    }

    /// The document.
    fn document(&self) -> String {
        let script = match self.script {
            Script::None => String::new(),
            Script::Checkout => format!("<script>{SCRIPT}</script>"),
            Script::Submit => format!("<script>{SUBMIT}</script>"),
        };
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">\
             <title>{}</title><link rel=\"icon\" href=\"data:,\">{}<style>{STYLE}</style></head>\
             <body{}>{}{script}</body></html>",
            Esc(&self.title),
            self.head,
            self.data,
            self.body,
        )
    }

    /// Lets the page's script talk to another server than this one.
    pub(crate) fn connects_to(mut self, url: &str) -> Self {
        let origin = url::Url::parse(url).map(|url| url.origin().ascii_serialization());
        self.connects_to = origin.map(|origin| format!(" {origin}")).unwrap_or_default();
        self
    }

    fn policy(&self) -> String {
        let script = match self.script {
            Script::None => "'none'",
            Script::Checkout => SCRIPT_SOURCE.as_str(),
            Script::Submit => SUBMIT_SOURCE.as_str(),
        };
        format!(
            "default-src 'none'; script-src {script}; style-src {}; img-src 'self' data:; connect-src 'self'{}; \
             form-action 'self'{}; base-uri 'none'; frame-ancestors 'none'",
            STYLE_SOURCE.as_str(),
            self.connects_to,
            self.form_targets
        )
    }

    /// The reply.
    pub(crate) fn reply(&self, status: StatusCode) -> Response {
        let mut response = reply::bytes_of(status, "text/html; charset=utf-8", self.document());
        guard(&mut response, &self.policy());
        response
    }
}

/// The headers of every page: what may run in it, and that its address is told to nobody.
pub(crate) fn guard(response: &mut Response, policy: &str) {
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        PERMISSIONS_POLICY,
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=()"),
    );
}

/// Sends the browser to another page by GET.
pub(crate) fn see_other(url: &str) -> Response {
    let mut response = reply::bytes_of(StatusCode::SEE_OTHER, "text/plain", "");
    match HeaderValue::from_str(url) {
        Ok(value) => {
            response.headers_mut().insert(http::header::LOCATION, value);
        }
        // Every address that gets here was checked when it came in.
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    guard(&mut response, "default-src 'none'; frame-ancestors 'none'");
    response
}

/// An address with more parameters behind those it has, before its fragment.
pub(crate) fn with_query(url: &str, pairs: &[(&str, &str)]) -> String {
    let (url, fragment) = match url.split_once('#') {
        Some((url, fragment)) => (url, Some(fragment)),
        None => (url, None),
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    let join = match url.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, known)) if known.ends_with('&') => "",
        Some(_) => "&",
    };
    let mut out = format!("{url}{join}{}", query.finish());
    if let Some(fragment) = fragment {
        out.push('#');
        out.push_str(fragment);
    }
    out
}

/// The origin of an absolute http or https address: scheme, host and port.
pub(crate) fn origin_of(url: &str) -> Option<&str> {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| url.starts_with(scheme))?;
    let rest = url.get(scheme.len()..)?;
    let host = rest.split(['/', '?', '#']).next()?;
    let right = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte));
    right.then(|| url.get(..scheme.len() + host.len())).flatten()
}

/// Whether an address leads to a web page: nothing else is ever put into a link or a redirect.
pub(crate) fn is_web(url: &str) -> bool {
    origin_of(url).is_some()
}
