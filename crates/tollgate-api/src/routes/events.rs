//! `GET /api/v1/events`: what happened, in the order in which it was committed.

use crate::auth::Caller;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use crate::views::event::EventView;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tollgate_store::query::LIMIT_MAX;
use utoipa::ToSchema;

/// Events of a page when the caller does not say.
const LIMIT_DEFAULT: usize = 100;

/// Sequence numbers fit a JSON number that every client reads exactly.
const SEQUENCE_MAX: u64 = 9_007_199_254_740_991;

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventList)]
pub(crate) struct EventListView<'a> {
    /// The events, oldest first.
    data: Vec<EventView<'a>>,
    /// Whether there are more already.
    has_more: bool,
    /// What to send as `after` for what comes next.
    next_after: u64,
}

/// List events
///
/// Oldest first, after the sequence number `after`. To follow the log, ask again with `next_after`; nothing is missed.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "Events",
    operation_id = "list_events",
    params(
        ("after" = Option<u64>, Query, minimum = 0, maximum = 9007199254740991_u64, nullable = false,
            description = "Only events after this sequence number; from the beginning if not given."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, nullable = false,
            description = "Events wanted, 100 if not given.")
    ),
    responses((status = 200, body = EventListView, description = "A page of events."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_events(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &["after", "limit"])?;
    let after = params.number("after", 0..=SEQUENCE_MAX)?.unwrap_or(0);
    let limit = params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let store = state.engine().store();
    let events = store.events(caller.id(), after, limit).await?;
    let next_after = events.last().map_or(after, |event| event.sequence);
    let has_more = events.len() >= limit && !store.events(caller.id(), next_after, 1).await?.is_empty();
    let view = EventListView {
        data: events.iter().map(|event| EventView::new(event, None)).collect(),
        has_more,
        next_after,
    };
    reply::json(StatusCode::OK, &view)
}
