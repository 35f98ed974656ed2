//! Two sources as one: a process's own log, and what it shares with others.

use std::collections::BTreeSet;

use async_trait::async_trait;
use cairn_schemas::{Partition, Position};

use super::{Source, SourceError, Taken};

/// Gives out what either has, in turn while both have something.
#[derive(Debug)]
pub struct Joined {
    embedded: Box<dyn Source>,
    other: Box<dyn Source>,
    /// Whose turn it is to be asked first.
    other_first: bool,
    /// One of them said so, and nothing comes until the next begin.
    changed: bool,
}

impl Joined {
    /// Both, which have no partition in common.
    pub fn new(embedded: Box<dyn Source>, other: Box<dyn Source>) -> Self {
        Self {
            embedded,
            other,
            other_first: false,
            changed: true,
        }
    }
}

#[async_trait]
impl Source for Joined {
    async fn begin(&mut self, committed: &Position) -> Result<BTreeSet<Partition>, SourceError> {
        // Said until both have begun: one that has not gives nothing.
        self.changed = true;
        let mut owned = self.embedded.begin(committed).await?;
        owned.extend(self.other.begin(committed).await?);
        self.changed = false;
        Ok(owned)
    }

    async fn next(&mut self, max_bytes: usize) -> Result<Taken, SourceError> {
        if self.changed {
            return Ok(Taken::Changed);
        }
        let (first, second) = match self.other_first {
            true => (&mut self.other, &mut self.embedded),
            false => (&mut self.embedded, &mut self.other),
        };
        // Whoever loses the race is dropped, which loses nothing.
        let (taken, was_first) = tokio::select! {
            biased;
            taken = first.next(max_bytes) => (taken?, true),
            taken = second.next(max_bytes) => (taken?, false),
        };
        // The one that gave is asked last the next time.
        self.other_first ^= was_first;
        self.changed = matches!(taken, Taken::Changed);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
