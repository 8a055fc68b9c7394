//! `GET /api/v1/routing/events`: what happened to the processors.

use crate::auth::Caller;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use crate::views::routing::NoticeView;
use crate::views::text::Shown;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tollgate_core::id::EventId;
use utoipa::ToSchema;

/// Events of a page when the caller does not say.
const LIMIT_DEFAULT: usize = 100;

/// Most events of a page.
const LIMIT_MAX: usize = 1_000;

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingEventList)]
pub(crate) struct EventListView<'a> {
    /// The events, oldest first.
    data: Vec<NoticeView<'a>>,
    /// Whether there are more already.
    has_more: bool,
    /// What to send as `after` for what comes next; absent while nothing has happened.
    #[schema(value_type = Option<String>, pattern = "^evt_[0-9A-Za-z]{22}$")]
    next_after: Option<Shown<EventId>>,
}

/// List routing events
///
/// Changes of the circuit breakers of processors that your account may use, oldest first, after the event `after`. They are
/// kept for a while. To follow them, ask again with `next_after`.
#[utoipa::path(
    get,
    path = "/api/v1/routing/events",
    tag = "Routing",
    operation_id = "list_routing_events",
    params(
        ("after" = Option<String>, Query, pattern = "^evt_[0-9A-Za-z]{22}$", nullable = false,
            description = "Only events after this one; from the oldest kept if not given."),
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
    let after: Option<EventId> =
        params.read("after", "is not a cursor of this list", |text| text.parse().ok())?;
    let limit = params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let mut page = state.engine().notices_for(&caller.merchant, after, limit + 1).await?;
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next_after = page.last().map(|last| last.id).or(after).map(Shown);
    let data = page.iter().filter_map(NoticeView::new).collect();
    reply::json(StatusCode::OK, &EventListView { data, has_more, next_after })
}
