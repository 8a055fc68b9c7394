//! One file a command.

pub(crate) mod admin;
pub(crate) mod api_versions;
pub(crate) mod audit;
pub(crate) mod chaos;
pub(crate) mod data_subject;
pub(crate) mod dev;
pub(crate) mod events;
pub(crate) mod fraud;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod load_webhooks;
pub(crate) mod migrate;
pub(crate) mod partitions;
pub(crate) mod partner;
pub(crate) mod plan;
pub(crate) mod reconcile;
pub(crate) mod report;
pub(crate) mod serve;
pub(crate) mod shards;
pub(crate) mod simulate;
pub(crate) mod vault;
pub(crate) mod verify;
