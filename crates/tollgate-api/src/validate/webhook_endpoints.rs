//! Wishes for webhook endpoints.

use super::any_text;
use crate::input::webhook_endpoints::{EndpointBody, ReplayBody, RotateBody};
use crate::problem::Problem;
use crate::query::moment_ms;
use tollgate_core::webhook::filter::{EventFilter, FilterError};
use tollgate_core::webhook::signing::{OVERLAP_MS_DEFAULT, OVERLAP_MS_MAX};
use tollgate_engine::webhooks::{EndpointWish, ReplayWish, check_url};
use tollgate_store::jobs::DELIVERIES_KEPT_MS;

const HOUR_MS: u64 = 3_600_000;

/// Checks what an endpoint is to be.
pub(crate) fn endpoint(body: EndpointBody<'_>, allow_private: bool) -> Result<EndpointWish, Problem> {
    let url = body.url.ok_or_else(|| Problem::field("/url", "is required"))?;
    check_url(url.as_str(), allow_private).map_err(|why| Problem::field("/url", why))?;
    let events = match &body.events {
        None => EventFilter::read(["*"]),
        Some(events) => EventFilter::read(events.iter().map(|text| text.as_str())),
    };
    let events = events.map_err(|error| match error {
        FilterError::Count => Problem::field("/events", error.to_string()),
        FilterError::Unknown { place } => Problem::field(format!("/events/{place}"), error.to_string()),
    })?;
    Ok(EndpointWish {
        url: url.0.into_owned(),
        description: any_text(body.description, "/description", 255)?,
        events,
        is_enabled: body.enabled.unwrap_or(true),
        is_ordered: body.ordered.unwrap_or(false),
    })
}

/// Checks how long two secrets are to be good at once, in milliseconds.
pub(crate) fn overlap_ms(body: &RotateBody) -> Result<u64, Problem> {
    let wanted = body.overlap_hours.map_or(OVERLAP_MS_DEFAULT, |hours| u64::from(hours.0) * HOUR_MS);
    if wanted > OVERLAP_MS_MAX {
        return Err(Problem::field("/overlap_hours", "must be from 0 to 168"));
    }
    Ok(wanted)
}

/// Checks which events are to be sent again.
pub(crate) fn replay(body: &ReplayBody<'_>, now_ms: u64) -> Result<ReplayWish, Problem> {
    let rule = "must be an RFC 3339 date and time such as 2026-01-31T12:00:00Z";
    let moment =
        |text: &str, pointer: &'static str| moment_ms(text).ok_or_else(|| Problem::field(pointer, rule));
    let from = body.from.as_ref().ok_or_else(|| Problem::field("/from", "is required"))?;
    let from_ms = moment(from.as_str(), "/from")?;
    if from_ms.saturating_add(DELIVERIES_KEPT_MS) < now_ms {
        return Err(Problem::field("/from", "must be within the last 30 days"));
    }
    let to_ms = body.to.as_ref().map_or(Ok(now_ms), |to| moment(to.as_str(), "/to"))?;
    if to_ms <= from_ms {
        return Err(Problem::field("/to", "must be after `from`"));
    }
    Ok(ReplayWish { from_ms, to_ms })
}
