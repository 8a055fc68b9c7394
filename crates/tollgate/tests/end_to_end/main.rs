//! End to end: the real binary as gateway, simulators, vault and command, each a process of its own.
//!
//! One program for all of them: linking each file by itself took longer than running it. A part runs by its name:
//! `cargo test -p tollgate --test end_to_end chaos::`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop where they fail")]

mod access;
mod api;
mod audit;
mod bad_input;
mod batch;
mod chaos;
mod crash;
mod crossing;
mod data_subjects;
mod events;
mod fraud;
mod jobs;
mod leaks;
mod overload;
mod own_accounts;
mod partner_profile;
mod partners;
mod plan;
mod postgres;
mod races;
mod reconcile;
mod redis;
mod routing;
mod scrubbing;
mod shards;
mod support;
mod threat_model;
mod unknown;
mod versions;
mod webhooks_out;
