//! `GET /api/v1/partners/{id}/export`: everything that is kept of a partner, streamed as JSON lines.

use super::find;
use crate::partners::export::export;
use crate::platform::Platform;
use crate::problem::{PlatformProblems, Problem};
use crate::reply;
use crate::routes::path::InPath;
use crate::state::AppState;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Frame;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_core::id::PartnerId;
use tollgate_engine::EngineError;
use tollgate_store::commit::{Admin, Told};

/// Bytes that go out at once.
const PART_BYTES: usize = 64 * 1024;

/// Parts that wait for the caller.
const PARTS_MAX: usize = 4;

/// How long the caller may leave them waiting.
const STALL_MAX: Duration = Duration::from_secs(60);

/// The pause before the next look whether there is room.
const PAUSE: Duration = Duration::from_millis(5);

/// Export a partner
///
/// JSON lines, as `tollgate partner export` writes them. What fails on the way breaks the reply off: the last line is then not whole.
#[utoipa::path(
    get,
    path = "/api/v1/partners/{id}/export",
    tag = "Partners",
    operation_id = "export_partner",
    params(("id" = String, Path, description = "The partner's id.")),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson", description = "The partner, its merchants, their payments and audit records."),
        PlatformProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn export_partner(
    State(state): State<AppState>,
    platform: Platform,
    InPath(id): InPath<PartnerId>,
) -> Result<Response, Problem> {
    let partner = find(&state, id).await?;
    let store = Arc::clone(state.engine().store());
    // That it is given out is told first.
    let told = Told {
        action: "partner.exported",
        kind: "partner",
        id: partner.id.to_string(),
        merchant_id: None,
        said: serde_json::json!({}),
    };
    let by = platform.by(state.engine().now_ms());
    store.administer(Admin::Told(Box::new(told)), by).await.map_err(EngineError::from)?;
    let (sender, channel) = Channel::new(PARTS_MAX);
    let runtime = tokio::runtime::Handle::current();
    // A thread that may wait for the caller: nothing is gathered beyond the few parts that wait.
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(PART_BYTES, Parts(sender));
        if let Err(error) = runtime.block_on(export(store.as_ref(), &partner, &mut out)) {
            tracing::warn!(%error, partner = %partner.id, "an export broke off");
            // The caller learns that the end is missing.
            let (Parts(sender), _) = out.into_parts();
            sender.abort(io::Error::other("the export broke off"));
        }
    });
    Ok(reply::bytes_of(StatusCode::OK, "application/x-ndjson", Body::new(channel)))
}

/// Hands parts on, and waits while the caller has not taken those before.
struct Parts(Sender<Bytes, io::Error>);

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let begun = Instant::now();
        let mut part = Frame::data(Bytes::copy_from_slice(bytes));
        while let Err(back) = self.0.try_send(part) {
            // It is full, or the caller has gone.
            if begun.elapsed() > STALL_MAX {
                return Err(io::ErrorKind::TimedOut.into());
            }
            part = back;
            std::thread::sleep(PAUSE);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
