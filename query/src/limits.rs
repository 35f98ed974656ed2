//! How much one query, and all queries together, may take.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// The limits of an engine. Every one can be set; the defaults suit a machine
/// that also takes events in.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Memory for all queries together, in bytes.
    pub memory: usize,
    /// Memory for one query, in bytes.
    pub memory_per_query: usize,
    /// Memory for all queries of one principal, in bytes.
    pub memory_per_principal: usize,
    /// From the call until the last row is taken.
    pub timeout: Duration,
    /// The same for queries that nobody waits for.
    pub background_timeout: Duration,
    /// How many queries run at a time.
    pub concurrent: usize,
    /// How many of these one principal may have.
    pub per_principal: usize,
    /// How many wait for a place, half of them of one principal; more are
    /// turned away.
    pub queue: usize,
    /// The most rows that one query may give.
    pub max_rows: Option<u64>,
    /// The most bytes, as Arrow counts them in memory, that one query may give.
    pub max_bytes: Option<u64>,
    /// Where sorts and aggregations may spill; nowhere when `None`.
    pub spill_dir: Option<PathBuf>,
    /// Temporary disk for all queries together, in bytes.
    pub spill: u64,
    /// Temporary disk for one query, in bytes.
    pub spill_per_query: u64,
    /// Temporary disk for all queries of one principal, in bytes.
    pub spill_per_principal: u64,
    /// Threads for queries, apart from everybody else's.
    pub threads: usize,
    /// The longest statement, in bytes.
    pub max_sql: usize,
    /// Memory for the footers of files, per store, in bytes.
    pub metadata_cache: usize,
    /// Plan without what only makes answers faster, to compare the two.
    #[cfg(test)]
    pub(crate) plain: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            memory_per_query: 384 << 20,
            memory_per_principal: 384 << 20,
            timeout: Duration::from_secs(60),
            background_timeout: Duration::from_secs(3600),
            concurrent: 8,
            per_principal: 6,
            queue: 64,
            max_rows: None,
            max_bytes: None,
            spill_dir: None,
            spill: 4 << 30,
            spill_per_query: 3 << 30,
            spill_per_principal: 3 << 30,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            max_sql: 64 << 10,
            metadata_cache: 64 << 20,
            #[cfg(test)]
            plain: false,
        }
    }
}

impl Limits {
    /// The one place of temporary files.
    pub(crate) fn disk(&self) -> Result<Arc<DiskManager>> {
        let builder = match &self.spill_dir {
            Some(dir) => DiskManagerBuilder::default()
                .with_mode(DiskManagerMode::Directories(vec![dir.clone()]))
                .with_max_temp_directory_size(self.spill),
            None => DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
        };
        Ok(Arc::new(builder.build()?))
    }
}

/// What one query has taken of the memory that all share.
///
/// Within a query, operators that can spill get equal parts of what the others
/// leave: else one sort takes everything, and its neighbour, which has nothing
/// to spill yet, fails for want of room for its first rows.
#[derive(Debug)]
pub(crate) struct QueryPool {
    shared: Arc<dyn MemoryPool>,
    own: FairSpillPool,
    limit: usize,
}

impl QueryPool {
    pub(crate) fn new(shared: Arc<dyn MemoryPool>, limit: usize) -> Self {
        Self {
            shared,
            own: FairSpillPool::new(limit),
            limit,
        }
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query({} of {})", self.reserved(), self.limit)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.shared.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shared.shrink(reservation, shrink);
        self.own.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.own
            .try_grow(reservation, additional)
            // The words never reach the user; they choose the kind of error.
            .map_err(|_| DataFusionError::ResourcesExhausted("memory of one query".into()))?;
        self.shared
            .try_grow(reservation, additional)
            .inspect_err(|_| self.own.shrink(reservation, additional))
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}
