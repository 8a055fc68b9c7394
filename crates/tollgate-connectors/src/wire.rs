//! The HTTP exchange as connectors see it: plain values, no client.

use std::fmt;

/// The two verbs processors use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// GET.
    Get,
    /// POST.
    Post,
}

/// A request to be sent. Its `Debug` shows neither headers nor body: both carry secrets.
pub struct HttpRequest {
    /// Verb.
    pub method: HttpMethod,
    /// Absolute URL.
    pub url: String,
    /// Header names in lower case, and their values.
    pub headers: Vec<(&'static str, String)>,
    /// Body bytes; may hold a card number for the length of the call.
    pub body: zeroize::Zeroizing<Vec<u8>>,
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
