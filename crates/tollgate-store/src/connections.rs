//! How a store's connections to its databases do.

/// How a pool does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStatistics {
    /// Connections there are.
    pub connections: u32,
    /// Of these, unused.
    pub idle: u32,
    /// Who waits for one now.
    pub waiting: u32,
    /// Connections made so far.
    pub made: u64,
    /// How often one was wanted.
    pub wanted: u64,
    /// How often it had to be waited for.
    pub waited: u64,
    /// How often that took too long.
    pub timed_out: u64,
    /// How long was waited altogether, in milliseconds.
    pub waited_ms: u64,
    /// Connections closed because they were broken.
    pub broken: u64,
}

/// How a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Whether reads may go to it.
    pub is_serving: bool,
    /// How far it is behind, in milliseconds; none: not known.
    pub lag_ms: Option<u64>,
    /// Reads it has answered.
    pub reads: u64,
    /// How often it was left out because it failed.
    pub ejected: u64,
}

/// One pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolReport {
    /// `primary`, or `replica-1` and so on, in the order of the configuration.
    pub name: String,
    /// How it does.
    pub statistics: PoolStatistics,
    /// How the replica behind it does; none: it is the primary.
    pub replica: Option<ReplicaStatus>,
}
