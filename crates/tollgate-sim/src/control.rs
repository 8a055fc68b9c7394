//! The control endpoint under `/sim`: faults, books, and the customer's decisions.

use crate::desk::Desk;
use crate::fault::{FaultProfile, ProfileError};
use crate::http::{Response, books_reply, json, quoted, reply};
use bytes::Bytes;
use http::Method;
use std::sync::Arc;
use std::time::Duration;

/// What the control endpoint asks of a simulator.
pub(crate) enum Request<'a> {
    /// Answered already.
    Answered(Response),
    /// The customer of a pending payment approves or refuses.
    Decide {
        /// The payment's reference.
        reference: &'a str,
        /// What the customer does.
        approve: bool,
        /// Whether the customer's browser waits for a page: then the answer sends it back to where it
        /// came from, as the processor would.
        browser: bool,
    },
    /// The processor returns an authorized payment that nobody captured.
    Lapse {
        /// The payment's reference.
        reference: &'a str,
    },
}

pub(crate) fn read<'a>(desk: &Desk, method: &Method, path: &'a str, body: &Bytes) -> Request<'a> {
    let rest = path.strip_prefix("/sim/").unwrap_or("");
    let (verb, reference) = rest.split_once('/').unwrap_or((rest, ""));
    let answer = match (method, verb) {
        (&Method::GET, "books") => books_reply(Arc::clone(&desk.books)),
        (&Method::GET, "faults") => profile_reply(&desk.profile()),
        (&Method::PUT, "faults") => set_faults(desk, body),
        (&Method::POST, "reset") => match desk.books.reset() {
            Ok(()) => {
                desk.handle().put(FaultProfile::default());
                json(200, r#"{"reset":true}"#)
            }
            Err(_) => problem(500, "the journal could not be written"),
        },
        (&Method::POST, "refuse") => refuse(desk, reference),
        (&Method::POST, "approve") => return Request::Decide { reference, approve: true, browser: false },
        (&Method::POST, "reject") => return Request::Decide { reference, approve: false, browser: false },
        (&Method::POST, "lapse") => return Request::Lapse { reference },
        (&Method::GET, "challenge") => challenge_page(reference),
        (&Method::POST, "challenge") => {
            let approve = crate::http::form_field(body, "decision").as_deref() == Some("approve");
            return Request::Decide { reference, approve, browser: true };
        }
        _ => problem(404, "no such control"),
    };
    Request::Answered(answer)
}

fn set_faults(desk: &Desk, body: &Bytes) -> Response {
    let profile: FaultProfile = match serde_json::from_slice(body) {
        Ok(profile) => profile,
        Err(error) => return problem(400, &error.to_string()),
    };
    if let Err(error) = desk.handle().set_faults(profile) {
        return problem(400, &error.to_string());
    }
    profile_reply(&desk.profile())
}

fn refuse(desk: &Desk, ms: &str) -> Response {
    match ms.parse().map_err(|_| ProfileError::Time).and_then(|ms| {
        let time = Duration::from_millis(ms);
        desk.handle().refuse_for(time)
    }) {
        Ok(()) => json(200, format!(r#"{{"refuses_ms":{ms}}}"#)),
        Err(error) => problem(400, &error.to_string()),
    }
}

fn profile_reply(profile: &FaultProfile) -> Response {
    serde_json::to_vec(profile)
        .map_or_else(|_| problem(500, "the profile cannot be written"), |body| json(200, body))
}

pub(crate) fn problem(status: u16, detail: &str) -> Response {
    json(status, format!(r#"{{"error":{}}}"#, quoted(detail)))
}

/// The page a bank would show.
fn challenge_page(reference: &str) -> Response {
    let right = reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !right {
        return problem(404, "no such payment");
    }
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Simulated bank</title>\
         <h1>Simulated bank</h1><p>Payment {reference}</p>\
         <form method=post action=\"/sim/challenge/{reference}\">\
         <button name=decision value=approve>Approve</button> \
         <button name=decision value=reject>Reject</button></form></html>"
    );
    reply(200, "text/html; charset=utf-8", page)
}
