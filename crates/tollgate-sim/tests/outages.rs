//! Processors that refuse connections, that lie, and that are slow and do it all the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "a test may stop where it stands"
)]

mod common;

use common::*;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tollgate_connectors::{Charge, Operation};
use tollgate_core::method::{CaptureMode, Instrument};
use tollgate_core::outcome::Outcome;
use tollgate_sim::books::BookStatus;

/// Those that answer a charge at once, so that they can lie about it.
const DIRECT: [&str; 4] = ["razorpay", "payu", "stripe", "examplebank"];

fn paid<'a>(reference: &'a str, instrument: Instrument<'a>, capture: CaptureMode) -> Operation<'a> {
    Operation::Charge(Charge {
        return_url: Some("http://127.0.0.1:9/return"),
        ..charge(reference, instrument, capture)
    })
}

#[tokio::test]
async fn a_closed_door_refuses_and_opens_again_at_the_same_port() {
    let running = tollgate_sim::server::serve(options(), std::future::pending()).await.unwrap();
    let (_, address) = running.places().find(|(name, _)| *name == "razorpay").unwrap();
    let (_, handle) = running.handles().find(|(name, _)| *name == "razorpay").unwrap();
    let (_, other) = running.places().find(|(name, _)| *name == "payu").unwrap();
    let idle = TcpStream::connect(address).await.unwrap();
    for turn in 0..3 {
        let begun = Instant::now();
        handle.refuse_for(Duration::from_millis(200)).unwrap();
        // What was waiting to be accepted when the door closed is reset.
        let is_refused = |end: std::io::Result<TcpStream>| {
            end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
        };
        while !is_refused(TcpStream::connect(address).await) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(begun.elapsed() < Duration::from_millis(190), "turn {turn}: it is still open");
        }
        TcpStream::connect(other).await.unwrap();
        while TcpStream::connect(address).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(5), "turn {turn}: it stays closed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(begun.elapsed() >= Duration::from_millis(195), "turn {turn}: it opened too early");
    }
    // A connection from before is at its end.
    let mut byte = [0];
    idle.readable().await.unwrap();
    // Closed, or reset where it was never accepted.
    assert!(matches!(idle.try_read(&mut byte), Ok(0) | Err(_)));
    assert!(handle.refuse_for(Duration::from_secs(301)).is_err());
}

#[tokio::test]
async fn the_door_is_closed_over_http_too() {
    let world = start(options()).await;
    let url = &world.processor("stripe").url;
    assert_eq!(world.http("POST", &format!("{url}/sim/refuse/x"), "").await.0, 400);
    assert_eq!(world.http("POST", &format!("{url}/sim/refuse/300001"), "").await.0, 400);
    assert_eq!(world.http("POST", &format!("{url}/sim/refuse/150"), "").await.0, 200);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let address = url.strip_prefix("http://").unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(world.http("GET", &format!("{url}/sim/faults"), "").await.0, 200);
}

#[tokio::test]
async fn lies_about_charges_are_not_believed() {
    let world = start(options()).await;
    let visa = card("4111111111111111");
    for name in DIRECT {
        let processor = world.processor(name);
        let connector = processor.connector.as_ref();
        let truth = paid("truth", Instrument::Card(&visa), CaptureMode::Automatic);
        let told = world.run(connector, &truth).await;
        assert!(matches!(told, Outcome::Captured { amount_minor: 10_050, .. }), "{name}: {told:?}");
        world.set_faults(&processor.url, r#"{"lying":1}"#).await;
        for number in 0..12 {
            let reference = format!("lie-{number}");
            let capture = if number % 2 == 0 { CaptureMode::Automatic } else { CaptureMode::Manual };
            let outcome = world.run(connector, &paid(&reference, Instrument::Card(&visa), capture)).await;
            // Another amount is for the engine to see.
            let believed = matches!(
                outcome,
                Outcome::Captured { amount_minor: 10_050, .. }
                    | Outcome::Authorized { amount_minor: 10_050, .. }
                    | Outcome::Declined(_)
            );
            assert!(!believed, "{name}: {outcome:?}");
            let book = world.book(&processor.url, &reference).await;
            let status = book.map(|book| book.status);
            assert!(matches!(status, None | Some(BookStatus::Created)), "{name}: {status:?}");
            let enquiry = Operation::EnquireCharge { charge: handle(&reference) };
            world.set_faults(&processor.url, "{}").await;
            assert_eq!(world.run(connector, &enquiry).await, Outcome::NotFound, "{name}");
            world.set_faults(&processor.url, r#"{"lying":1}"#).await;
        }
    }
}

#[tokio::test]
async fn lies_about_captures_releases_and_refunds_are_not_believed() {
    let world = start(options()).await;
    let visa = card("4111111111111111");
    for name in DIRECT {
        let processor = world.processor(name);
        let connector = processor.connector.as_ref();
        let capture =
            |of, reference| Operation::Capture { charge: handle(of), reference, amount: inr(10_050) };
        let void = |of, reference| Operation::Void { charge: handle(of), reference };
        let refund = |of, reference| Operation::Refund { charge: handle(of), reference, amount: inr(4_000) };
        for reference in ["first", "second", "third", "fourth"] {
            world.run(connector, &paid(reference, Instrument::Card(&visa), CaptureMode::Manual)).await;
        }
        // Something to tell lies with.
        world.run(connector, &capture("first", "capture-1")).await;
        let refunded = world.run(connector, &refund("first", "refund-reference-1")).await;
        assert!(matches!(refunded, Outcome::Refunded { .. }), "{name}: {refunded:?}");
        world.run(connector, &void("second", "void-1")).await;

        world.set_faults(&processor.url, r#"{"lying":1}"#).await;
        let outcome = world.run(connector, &capture("third", "capture-2")).await;
        assert!(!matches!(outcome, Outcome::Captured { .. }), "{name}: {outcome:?}");
        let outcome = world.run(connector, &refund("first", "refund-reference-2")).await;
        assert!(!matches!(outcome, Outcome::Refunded { .. }), "{name}: {outcome:?}");
        // Razorpay knows no release: an authorized payment is left to lapse.
        if name != "razorpay" {
            let outcome = world.run(connector, &void("fourth", "void-2")).await;
            assert!(!matches!(outcome, Outcome::Voided), "{name}: {outcome:?}");
        }
        for (reference, status, refunded_minor) in [
            ("first", BookStatus::Captured, 4_000),
            ("third", BookStatus::Authorized, 0),
            ("fourth", BookStatus::Authorized, 0),
        ] {
            let book = world.book(&processor.url, reference).await.unwrap();
            assert_eq!((book.status, book.refunded_minor), (status, refunded_minor), "{name} {reference}");
        }
    }
}

#[tokio::test]
async fn a_slow_processor_does_what_nobody_waits_for_any_more() {
    let world = start(options()).await;
    let payu = world.processor("payu");
    world.set_faults(&payu.url, r#"{"latency":{"kind":"constant","ms":700}}"#).await;
    let visa = card("4111111111111111");
    let charge = paid("late", Instrument::Card(&visa), CaptureMode::Automatic);
    let outcome = world.run(payu.connector.as_ref(), &charge).await;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    assert!(world.book(&payu.url, "late").await.is_none(), "it was not slow");
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(world.book(&payu.url, "late").await.unwrap().captured_minor, 10_050);
}
