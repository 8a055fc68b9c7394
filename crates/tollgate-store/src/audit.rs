//! Auditing a store.
