//! `[query]`: limits on SQL.

use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// `[query]`: limits on SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Memory of all queries together.
    pub memory_bytes: u64,
    /// Memory of one query; 0 is three quarters of all.
    pub memory_per_query: u64,
    /// Memory of all queries of one principal; 0 is three quarters of all.
    pub memory_per_principal: u64,
    /// The longest a query may run.
    pub timeout: Duration,
    /// Queries at once; those beyond wait, then get `429`.
    pub max_concurrent: u32,
    /// Queries of one principal at once; 0 is three quarters of all.
    pub max_concurrent_per_principal: u32,
    /// Queries that wait for a place.
    pub max_waiting: u32,
    /// The most rows that one query gives; 0 is no limit.
    pub max_rows: u32,
    /// The most bytes that one query gives; 0 is no limit.
    pub max_result_bytes: u64,
    /// Threads that run queries; 0 is one for each core.
    pub threads: u32,
    /// Where sorts and aggregations that outgrow the memory go; in the data folder
    /// where nothing is said.
    pub spill_dir: Option<PathBuf>,
    /// The most that may lie there; 0 forbids spilling.
    pub spill_bytes: u64,
    /// The most of it that one query may take; 0 is three quarters of all.
    pub spill_bytes_per_query: u64,
    /// The most of it that one principal may take; 0 is three quarters of all.
    pub spill_bytes_per_principal: u64,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            memory_bytes: 512 * MIB,
            memory_per_query: 0,
            memory_per_principal: 0,
            timeout: Duration::from_secs(60),
            max_concurrent: 8,
            max_concurrent_per_principal: 0,
            max_waiting: 64,
            max_rows: 0,
            max_result_bytes: 0,
            threads: 0,
            spill_dir: None,
            spill_bytes: 4096 * MIB,
            spill_bytes_per_query: 0,
            spill_bytes_per_principal: 0,
        }
    }
}

/// What was said, or three quarters of all where nothing was.
fn share(said: u64, all: u64) -> u64 {
    match said {
        0 => all - all / 4,
        said => said.min(all),
    }
}

impl Query {
    /// Memory for one query, in bytes.
    pub fn query_memory(&self) -> u64 {
        share(self.memory_per_query, self.memory_bytes)
    }

    /// Memory for one principal, in bytes.
    pub fn principal_memory(&self) -> u64 {
        share(self.memory_per_principal, self.memory_bytes)
    }

    /// Temporary disk for one query, in bytes.
    pub fn query_spill(&self) -> u64 {
        share(self.spill_bytes_per_query, self.spill_bytes)
    }

    /// Temporary disk for one principal, in bytes.
    pub fn principal_spill(&self) -> u64 {
        share(self.spill_bytes_per_principal, self.spill_bytes)
    }

    /// Queries of one principal at once.
    pub fn principal_places(&self) -> u32 {
        match self.max_concurrent_per_principal {
            0 => (self.max_concurrent - self.max_concurrent.div_ceil(4)).max(1),
            said => said.min(self.max_concurrent),
        }
    }
}
