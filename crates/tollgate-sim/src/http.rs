//! Small HTTP helpers of the simulators.

use crate::books::{BookTotals, Books};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The longest request body that is read.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Entries of the books that go into one piece of the listing.
const ENTRIES_A_PIECE: usize = 500;

pub(crate) type Response = http::Response<ReplyBody>;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
pub(crate) struct HangUp;

/// A reply's body: short and known, or the books as a stream.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    Whole(Full<Bytes>),
    Books(BooksStream),
}

/// The books, piece by piece: an auditor can read millions of entries without holding them twice.
#[derive(Debug)]
pub(crate) struct BooksStream {
    books: Arc<Books>,
    next: Option<(usize, usize)>,
    totals: BookTotals,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Books(stream) => Poll::Ready(stream.piece().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Books(stream) => stream.next.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Books(_) => SizeHint::default(),
        }
    }
}

impl BooksStream {
    fn piece(&mut self) -> Option<Bytes> {
        let mut out = Vec::with_capacity(256 * 1024);
        while let Some(from) = self.next {
            self.next = self.books.list_into(from, ENTRIES_A_PIECE, &mut self.totals, &mut out);
            if out.len() >= 128 * 1024 {
                break;
            }
        }
        (!out.is_empty()).then(|| Bytes::from(out))
    }
}

pub(crate) fn books_reply(books: Arc<Books>) -> Response {
    let stream = BooksStream { books, next: Some((0, 0)), totals: BookTotals::default() };
    let mut response = http::Response::new(ReplyBody::Books(stream));
    set_type(&mut response, "application/x-ndjson");
    response
}

pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Response {
    reply(status, "application/json", body)
}

pub(crate) fn reply(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = http::Response::new(ReplyBody::Whole(Full::new(body.into())));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    set_type(&mut response, content_type);
    response
}

fn set_type(response: &mut Response, content_type: &'static str) {
    let value = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert(http::header::CONTENT_TYPE, value);
}

/// Sends a browser elsewhere, by GET.
pub(crate) fn see_other(url: &str) -> Response {
    let mut response = reply(303, "text/plain", "");
    match http::HeaderValue::from_str(url) {
        Ok(value) => drop(response.headers_mut().insert(http::header::LOCATION, value)),
        Err(_) => *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

/// A page that posts a form to another site at once, as processors' pages do; with a button for
/// browsers that run no scripts.
pub(crate) fn form_page(url: &str, fields: &[(&str, &str)]) -> Response {
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Returning</title>\
         <form id=back method=post action=\"{}\">",
        escaped(url)
    );
    for (name, value) in fields {
        page.push_str(&format!(
            "<input type=hidden name=\"{}\" value=\"{}\">",
            escaped(name),
            escaped(value)
        ));
    }
    page.push_str(
        "<button>Back to the shop</button></form><script>document.forms[0].submit()</script></html>",
    );
    reply(200, "text/html; charset=utf-8", page)
}

/// Text inside an HTML attribute.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The whole body of a request; `None` when it is too long or was not sent completely.
pub(crate) async fn whole(body: Incoming) -> Option<Bytes> {
    let limited = Limited::new(body, REQUEST_BYTES_MAX);
    limited.collect().await.ok().map(http_body_util::Collected::to_bytes)
}

/// A JSON string literal.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The value of a query parameter, unescaped.
pub(crate) fn query(uri: &http::Uri, name: &str) -> Option<String> {
    form_field(uri.query().unwrap_or("").as_bytes(), name)
}

/// The value of a field of a form, unescaped; the first, if there are several.
pub(crate) fn form_field(form: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(form).ok()?;
    let (_, value) =
        text.split('&').filter_map(|pair| pair.split_once('=')).find(|(field, _)| *field == name)?;
    unescaped(value)
}

fn unescaped(text: &str) -> Option<String> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                out.push(u8::try_from(high * 16 + low).ok()?);
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// Appends `name=value` to a form.
pub(crate) fn push_field(form: &mut String, name: &str, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if !form.is_empty() {
        form.push('&');
    }
    form.push_str(name);
    form.push('=');
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                form.push(char::from(byte));
            }
            b' ' => form.push('+'),
            _ => {
                form.push('%');
                form.push(char::from(HEX[usize::from(byte >> 4)]));
                form.push(char::from(HEX[usize::from(byte & 0xF)]));
            }
        }
    }
}
