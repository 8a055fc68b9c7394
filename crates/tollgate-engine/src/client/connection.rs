//! One connection, moved along by whoever uses it.

use super::{Answer, RESPONSE_BYTES_MAX};
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::net::TcpStream;
use tokio::task::unconstrained;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

const LOST: &str = "the connection to the processor was lost";
const CUT_OFF: &str = "the processor's answer was cut off";
const TOO_LONG: &str = "the processor's answer is too long";

/// What hyper says of a request that was handed to it.
pub(super) type Sent = Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>>;

/// How an exchange failed. The connection must be dropped after it.
#[derive(Debug)]
pub(super) enum Failed {
    /// Not a byte was sent: here the request is back.
    Unsent(Box<Request<Full<Bytes>>>),
    /// It may have arrived.
    Lost(&'static str),
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
}

/// Moves the bytes; none: the connection has ended. Dropping what has ended answers who still waits for it.
#[derive(Debug)]
struct Driver(Option<http1::Connection<Stream, Full<Bytes>>>);

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if self.0.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
            self.0 = None;
        }
    }
}

impl Connection {
    pub(super) async fn over(stream: Stream) -> hyper::Result<Box<Self>> {
        let (sender, connection) = http1::handshake(stream).await?;
        let mut new = Box::new(Self { sender, driver: Driver(Some(connection)) });
        // It takes a request only after its first look around. An end that shows there shows in the exchange too.
        new.is_usable();
        Ok(new)
    }

    /// Whether the last exchange is over and the server has neither ended the connection nor said anything unasked.
    ///
    /// Nobody is woken by what happens to the connection after this: it may wait in a pool.
    pub(super) fn is_usable(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        // Unconstrained: out of its budget the runtime would say "nothing there" without having looked.
        let look = poll_fn(|cx| {
            self.driver.poll(cx);
            Poll::Ready(())
        });
        let looked = pin!(unconstrained(look)).poll(&mut cx).is_ready();
        looked && self.driver.0.is_some() && self.sender.is_ready()
    }

    /// Hands a request over. It goes out, and is answered, while [`Connection::answer`] is waited for.
    ///
    /// A function of its own, and no part of that future: what is given to a future is kept in it to its end.
    pub(super) fn send(&mut self, request: Request<Full<Bytes>>) -> impl Future<Output = Sent> + use<> {
        self.sender.try_send_request(request)
    }

    /// Sends what was handed over and reads the whole answer.
    pub(super) async fn answer(
        &mut self,
        sent: Pin<&mut impl Future<Output = Sent>>,
    ) -> Result<Answer, Failed> {
        let driver = &mut self.driver;
        let exchange = async {
            let response = sent.await.map_err(|mut error| match error.take_message() {
                // hyper gives a request back only if it has not begun to write it.
                Some(request) => Failed::Unsent(Box::new(request)),
                None => Failed::Lost(LOST),
            })?;
            let (head, body) = response.into_parts();
            let body = read_bounded(body).await.map_err(Failed::Lost)?;
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        let mut exchange = pin!(unconstrained(exchange));
        // The driver alone brings news, so the driver alone wakes this task. The exchange is asked after each of the
        // driver's turns; a waker for it would only wake a task that is awake.
        poll_fn(|cx| {
            driver.poll(cx);
            exchange.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }
}

/// A body up to the limit. The usual single piece is not copied.
async fn read_bounded(mut body: Incoming) -> Result<Bytes, &'static str> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| CUT_OFF)?.into_data() else {
            continue;
        };
        if first.len() + whole.len() + data.len() > RESPONSE_BYTES_MAX {
            return Err(TOO_LONG);
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
