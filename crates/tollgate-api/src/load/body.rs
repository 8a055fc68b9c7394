//! Bodies of requests that were let in: while one is waited for, its request is not worked on.

use super::Load;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tollgate_engine::pressure::{Away, Pressure};

/// A body whose waiting is counted.
#[derive(Debug)]
pub(crate) struct Watched {
    body: Incoming,
    pressure: Option<Arc<Pressure>>,
    away: Option<Away>,
}

impl Watched {
    /// The body of a request that was let in.
    pub(crate) fn new(body: Incoming, load: &Load) -> Self {
        let pressure = load.0.as_ref().map(|inner| Arc::clone(&inner.pressure));
        Self { body, pressure, away: None }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.away = None;
        } else if self.away.is_none() {
            self.away = self.pressure.as_ref().map(Pressure::away);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
