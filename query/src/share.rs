//! What all queries of one principal take together of the memory and of the
//! temporary disk: so that one auditor, or one program gone wrong, never takes
//! everything from the others.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;

use crate::limits::Limits;

/// What all queries of one principal take together.
#[derive(Debug)]
pub(crate) struct Share {
    /// In bytes, for [`SharePool`].
    memory: GreedyMemoryPool,
    memory_limit: usize,
    spill: Arc<Quota>,
    spill_per_query: u64,
}

impl Share {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            memory: GreedyMemoryPool::new(limits.memory_per_principal),
            memory_limit: limits.memory_per_principal,
            spill: Quota::new(limits.spill_per_principal),
            spill_per_query: limits.spill_per_query,
        })
    }

    /// The temporary files of one query, counted.
    pub(crate) fn disk(&self, shared: &Arc<DiskManager>) -> Result<Arc<DiskManager>> {
        if !shared.tmp_files_enabled() {
            return Ok(Arc::clone(shared));
        }
        let files = CountedFiles {
            shared: Arc::clone(shared),
            quotas: [Quota::new(self.spill_per_query), Arc::clone(&self.spill)],
        };
        let builder =
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Custom(Arc::new(files)));
        Ok(Arc::new(builder.build()?))
    }
}

/// The memory of one principal's queries, within that of all.
#[derive(Debug)]
pub(crate) struct SharePool {
    share: Arc<Share>,
    all: Arc<dyn MemoryPool>,
}

impl SharePool {
    pub(crate) fn new(share: Arc<Share>, all: Arc<dyn MemoryPool>) -> Self {
        Self { share, all }
    }
}

impl fmt::Display for SharePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.share.memory_limit;
        write!(f, "principal({} of {limit})", self.reserved())
    }
}

impl MemoryPool for SharePool {
    fn name(&self) -> &str {
        "principal"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.share.memory.register(consumer);
        self.all.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.share.memory.unregister(consumer);
        self.all.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.share.memory.grow(reservation, additional);
        self.all.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.all.shrink(reservation, shrink);
        self.share.memory.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.share
            .memory
            .try_grow(reservation, additional)
            // The words never reach the user; they choose the kind of error.
            .map_err(|_| DataFusionError::ResourcesExhausted("memory of a principal".into()))?;
        self.all
            .try_grow(reservation, additional)
            .inspect_err(|_| self.share.memory.shrink(reservation, additional))
    }

    fn reserved(&self) -> usize {
        self.share.memory.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.share.memory_limit)
    }
}

/// So many bytes of temporary files, and no more.
#[derive(Debug)]
struct Quota {
    used: AtomicU64,
    limit: u64,
}

impl Quota {
    fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            limit,
        })
    }

    fn take(&self, bytes: u64) -> bool {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            });
        taken.is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Files in the folder that all share, counted for one query and its principal.
struct CountedFiles {
    shared: Arc<DiskManager>,
    quotas: [Arc<Quota>; 2],
}

impl TempFileFactory for CountedFiles {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>> {
        Ok(Arc::new(CountedFile {
            inner: self.shared.create_tmp_file(description)?,
            taken: Arc::new(Taken {
                quotas: self.quotas.clone(),
                bytes: AtomicU64::new(0),
            }),
        }))
    }
}

/// What one file has taken; given back with its last user.
struct Taken {
    quotas: [Arc<Quota>; 2],
    bytes: AtomicU64,
}

impl Taken {
    fn take(&self, bytes: u64) -> io::Result<()> {
        let [query, principal] = &self.quotas;
        if !query.take(bytes) {
            return Err(io::Error::other(crate::error::NO_SPILL_LEFT));
        }
        if !principal.take(bytes) {
            query.give_back(bytes);
            return Err(io::Error::other(crate::error::NO_SPILL_LEFT));
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.quotas.iter().for_each(|q| q.give_back(bytes));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.quotas.iter().for_each(|q| q.give_back(bytes));
    }
}

struct CountedFile {
    inner: Arc<dyn SpillFile>,
    taken: Arc<Taken>,
}

impl SpillFile for CountedFile {
    fn path(&self) -> Option<&Path> {
        self.inner.path()
    }

    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        self.inner.read_stream()
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(CountedWriter {
            inner: self.inner.open_writer()?,
            taken: Arc::clone(&self.taken),
        }))
    }
}

struct CountedWriter {
    inner: Box<dyn SpillWriter>,
    taken: Arc<Taken>,
}

impl Write for CountedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let asked = bytes.len() as u64;
        self.taken.take(asked)?;
        let written = self.inner.write(bytes);
        let kept = *written.as_ref().unwrap_or(&0) as u64;
        self.taken.give_back(asked - kept.min(asked));
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl SpillWriter for CountedWriter {
    fn finish(&mut self) -> Result<()> {
        self.inner.finish()
    }
}

#[cfg(test)]
mod tests;
