//! The customer's browser, as small as it can be: follows redirects, submits forms, and decides on the
//! simulated bank's page.

use crate::support::{Reply, Rig};
use serde_json::Value;
use std::time::Duration;

/// What the customer does on the bank's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Approve,
    Reject,
}

/// Most pages of one flow.
const PAGES_MAX: usize = 12;

/// Follows a payment's next action until the browser is sent back to the shop; returns that address.
pub(crate) fn follow(rig: &Rig, action: &Value, decision: Decision) -> String {
    let mut next = match action["type"].as_str() {
        Some("redirect") => (action["url"].as_str().unwrap().to_owned(), None),
        // The gateway's own page carries the form or the bank's document.
        _ => (rig.url(action["page"].as_str().unwrap()), None),
    };
    for _ in 0..PAGES_MAX {
        let (url, form) = next;
        if url.starts_with("https://shop.example/") {
            return url;
        }
        let page = open(&url, form.as_deref());
        next = match page.status {
            301..=303 | 307 | 308 => (join(&url, page.header("location").unwrap()), None),
            200 => submit(&url, std::str::from_utf8(&page.body).unwrap(), decision),
            status => panic!("{url}: {status} {}", String::from_utf8_lossy(&page.body)),
        };
    }
    panic!("the browser was sent around for too long");
}

fn open(url: &str, form: Option<&str>) -> Reply {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let verb = if form.is_some() { "POST" } else { "GET" };
    let request = ureq::http::Request::builder()
        .method(verb)
        .uri(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "text/html");
    let sent = match form {
        Some(form) => agent.run(request.body(form.to_owned()).unwrap()),
        None => agent.run(request.body(()).unwrap()),
    };
    let mut response = sent.unwrap_or_else(|error| panic!("{url}: {error}"));
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let status = response.status().as_u16();
    let body = response.body_mut().read_to_vec().unwrap();
    Reply { status, headers, body }
}

/// Submits the page's first form: the bank's with the customer's decision, any other as it stands.
fn submit(url: &str, page: &str, decision: Decision) -> (String, Option<String>) {
    let form = page.split("<form").nth(1).unwrap_or_else(|| panic!("{url}: a page without a form: {page}"));
    let (head, rest) = form.split_once('>').unwrap();
    let inside = rest.split("</form").next().unwrap();
    let target = attribute(head, "action").map_or_else(|| url.to_owned(), |action| join(url, &action));
    let mut fields = Vec::new();
    for input in inside.split("<input").skip(1) {
        let tag = input.split_once('>').unwrap().0;
        if let Some(name) = attribute(tag, "name") {
            fields.push((name, attribute(tag, "value").unwrap_or_default()));
        }
    }
    if inside.contains("decision") {
        let word = if decision == Decision::Approve { "approve" } else { "reject" };
        fields.push(("decision".to_owned(), word.to_owned()));
    }
    let body: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    if attribute(head, "method").is_some_and(|method| method.eq_ignore_ascii_case("get")) {
        let separator = if target.contains('?') { '&' } else { '?' };
        return (format!("{target}{separator}{}", body.join("&")), None);
    }
    (target, Some(body.join("&")))
}

/// The value of an attribute, quoted or bare.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}="))?;
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
        _ => rest.split([' ', '>', '/']).next()?,
    };
    let plain = value.replace("&quot;", "\"").replace("&#39;", "'").replace("&#x27;", "'");
    Some(plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

/// An address as a page names it, made whole.
fn join(base: &str, address: &str) -> String {
    if address.contains("://") {
        return address.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap();
    let host = rest.split(['/', '?']).next().unwrap();
    assert!(address.starts_with('/'), "a relative address: {address}");
    format!("{scheme}://{host}{address}")
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
