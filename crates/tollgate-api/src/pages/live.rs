//! Live state: a stream of server-sent events that says when a session's page is out of date.
//!
//! A stream ends with the session's end, after ten minutes (the browser then asks again), or when the
//! server stops. There is a bounded number of them.

use super::html::guard;
use crate::problem::Problem;
use crate::reply;
use crate::state::AppState;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::channel::{Channel, Sender};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;
use tollgate_core::checkout::CheckoutStatus;
use tollgate_core::id::CheckoutId;
use tollgate_engine::checkout::Checkout;

/// Most streams at once.
pub(crate) const STREAMS_MAX: usize = 4_096;

/// The pause between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The pause between two looks without a notice: how fast the stop of the server is seen.
const LOOK: Duration = Duration::from_secs(1);
/// The pause between two reads without a notice: another process may have written.
const READ: Duration = Duration::from_secs(5);
/// The longest one stream lasts.
const STREAM: Duration = Duration::from_secs(600);

/// Where a session stands, as the page and the stream say it; a page whose text is another is old.
pub(crate) fn state_text(open: &Checkout) -> String {
    let mut text = open.state.status.as_str().to_owned();
    if let Some(payment) = open.payment() {
        text.push(':');
        text.push_str(&payment.id.to_string());
        text.push(':');
        text.push_str(payment.status.as_str());
    }
    text
}

/// Whether nothing more is to come that the page would wait for.
fn is_final(open: &Checkout) -> bool {
    open.state.status != CheckoutStatus::Processing
}

/// The stream of a session. `held` lives as long as it.
pub(crate) fn stream<H: Send + 'static>(
    state: &AppState,
    id: CheckoutId,
    held: H,
) -> Result<Response, Problem> {
    let place = state
        .streams()
        .try_acquire_owned()
        .map_err(|_full| Problem::new(&crate::codes::OVERLOADED).retry_after_s(5))?;
    let (sender, channel) = Channel::<Bytes, Infallible>::new(4);
    let state = state.clone();
    tokio::spawn(async move {
        tell(&state, id, sender).await;
        drop((place, held));
    });
    let mut response = reply::bytes_of(StatusCode::OK, "text/event-stream", Body::new(channel));
    guard(&mut response, "default-src 'none'; frame-ancestors 'none'");
    Ok(response)
}

async fn tell(state: &AppState, id: CheckoutId, mut sender: Sender<Bytes, Infallible>) {
    let engine = state.engine();
    let begun = Instant::now();
    let mut said = String::new();
    let mut beat = begun;
    // The first line tells browsers how soon to ask again after a broken connection.
    if sender.send_data(Bytes::from_static(b"retry: 2000\n\n")).await.is_err() {
        return;
    }
    loop {
        let open = match engine.checkout(id).await {
            Ok(Some(open)) => open,
            // A store's fault: the browser asks again.
            Ok(None) | Err(_) => return,
        };
        let watch = open.state.payment_id.map(|id| engine.watch(id));
        let changed = watch.as_ref().map(tollgate_engine::watch::Watch::changed);
        let text = match engine.checkout(id).await {
            // Read again behind the watch: what changed in between would be missed.
            Ok(Some(open)) => {
                let text = state_text(&open);
                if text != said {
                    if sender.send_data(event(&text)).await.is_err() || is_final(&open) {
                        return;
                    }
                    beat = Instant::now();
                }
                text
            }
            Ok(None) | Err(_) => return,
        };
        said = text;
        let mut changed = std::pin::pin!(async {
            match changed {
                Some(changed) => changed.await,
                None => std::future::pending().await,
            }
        });
        let read_again = Instant::now() + READ;
        loop {
            tokio::select! {
                () = &mut changed => break,
                () = tokio::time::sleep(LOOK) => {}
            }
            if begun.elapsed() >= STREAM || state.lifecycle().is_stopping() {
                return;
            }
            if beat.elapsed() >= HEARTBEAT {
                beat = Instant::now();
                if sender.send_data(Bytes::from_static(b": waiting\n\n")).await.is_err() {
                    return;
                }
            }
            if Instant::now() >= read_again {
                break;
            }
        }
    }
}

fn event(text: &str) -> Bytes {
    Bytes::from(format!("event: state\ndata: {text}\n\n"))
}
