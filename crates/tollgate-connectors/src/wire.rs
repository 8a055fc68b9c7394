//! The HTTP exchange as connectors see it: plain values, no client.

use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroizing;

/// The verbs processors use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
}

/// A request to be sent. Its `Debug` shows neither headers nor body: both carry secrets.
pub struct HttpRequest {
    /// Verb.
    pub method: HttpMethod,
    /// Absolute URL.
    pub url: String,
    /// Header names in lower case, and their values.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// Body bytes; may hold a card number for the length of the call.
    pub body: Zeroizing<Vec<u8>>,
}

impl HttpRequest {
    /// A GET without headers.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: HttpMethod::Get, url: url.into(), headers: Vec::new(), body: Zeroizing::default() }
    }

    /// A POST of JSON.
    #[must_use]
    pub fn post_json(url: impl Into<String>, body: Zeroizing<Vec<u8>>) -> Self {
        Self { method: HttpMethod::Post, body, ..Self::get(url) }.header("content-type", "application/json")
    }

    /// A POST of a form.
    #[must_use]
    pub fn post_form(url: impl Into<String>, body: Zeroizing<Vec<u8>>) -> Self {
        Self { method: HttpMethod::Post, body, ..Self::get(url) }
            .header("content-type", "application/x-www-form-urlencoded")
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A complete response.
#[derive(Clone, Copy)]
pub struct HttpResponse<'a> {
    /// Status code.
    pub status: u16,
    /// Body bytes.
    pub body: &'a [u8],
}
