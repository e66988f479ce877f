//! What thresholds are derived from: sizes, limits and relations of single resources.

/// Of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// RDS: `db.t4g.medium`; ElastiCache: `cache.t4g.small`.
    pub class: Option<String>,
    /// RDS: `postgres`, `aurora-mysql`, …; ElastiCache: `redis`, `valkey`, `memcached`.
    pub engine: Option<String>,
    /// RDS: bytes.
    pub allocated_storage: Option<u64>,
    /// RDS: `gp2`, `gp3`, `io1`, …
    pub storage_type: Option<String>,
    /// RDS: the instance that it replicates.
    pub replica_of: Option<String>,
    /// RDS: the cluster that it belongs to.
    pub cluster: Option<String>,
    /// Lambda: seconds.
    pub timeout: Option<u32>,
    /// SQS: ARN of its dead-letter queue.
    pub dead_letter_queue: Option<String>,
}
