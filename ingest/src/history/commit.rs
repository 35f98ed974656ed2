//! From rows in memory to rows in files: one entry of history decides for both
//! tables.

use std::time::Duration;

use arrow::array::RecordBatch;
use cairn_schemas::Position;
use cairn_store::table::{Condition, Pledge, Prepared, TableError};
use tokio::time::Instant;

use super::{History, beyond};
use crate::recent::Stretch;

/// What became of a commit.
#[derive(Debug)]
pub enum Outcome {
    /// Everything below lies in files.
    Committed(Position),
    /// Others have committed and the table stands here. Their rows have to be
    /// learned before the commit is tried again.
    Behind(Position),
    /// Another process took records that this one took for its own, or it
    /// cannot be known what became of the batch. What is open has to be let go.
    Overtaken,
}

/// A batch whose fate is open for so long is let go: its files might be taken
/// for orphans some day.
const TOO_OLD: Duration = Duration::from_secs(12 * 3600);

/// Rows on their way into the table.
#[derive(Debug)]
pub(super) struct Batch {
    stretches: Vec<Stretch>,
    /// Where they bring their partitions, with the marks of what was read.
    to: Position,
    prepared: Option<Prepared>,
    /// The rows of quarantine, once they lie there: nothing, where none of the
    /// records was refused.
    refused: Option<Option<Refused>>,
    /// Where history stands with the batch, once it is there.
    landed: Option<Position>,
    since: Instant,
}

/// The refused rows of a batch, as files of quarantine.
#[derive(Debug)]
struct Refused {
    prepared: Prepared,
    pledge: Pledge,
}

impl Batch {
    fn new(stretches: Vec<Stretch>) -> Self {
        let mut to = Position::default();
        for stretch in &stretches {
            to.advance(&stretch.partition, stretch.next);
            if let Some(mark) = stretch.mark {
                mark.note(&mut to, &stretch.partition);
            }
        }
        Self {
            stretches,
            to,
            prepared: None,
            refused: None,
            landed: None,
            since: Instant::now(),
        }
    }

    fn rows(&self) -> Vec<RecordBatch> {
        let rows = self.stretches.iter().map(|s| s.rows.clone());
        rows.filter(|r| r.num_rows() > 0).collect()
    }
}

impl History {
    /// Commits what is open. Called by the pipeline alone.
    ///
    /// A batch that failed is tried again as it is, until it is known what
    /// became of it: rows that came in since wait for the next one.
    ///
    /// What became of each record, a row of history or of quarantine, is decided
    /// by **one** entry, history's: it moves the position past the record, and
    /// holds a [`Pledge`] of the rows that quarantine has to list.
    ///
    /// 1. What others have pledged is kept ([`Self::keep_pledges`]), so that no
    ///    more than one pledge is ever open.
    /// 2. The rows of both become files. A crash here leaves orphans.
    /// 3. History's files, its position and the pledge, in one entry. Before it
    ///    nothing is decided, and whoever reads the records next may judge them
    ///    otherwise; after it everything is. A crash here leaves a pledge open.
    /// 4. Quarantine lists its files. A crash here leaves nothing to do.
    /// 5. Memory learns of it, and everybody else: a position that is told as
    ///    committed is that of both tables.
    pub async fn commit(&self) -> Result<Outcome, TableError> {
        let mut slot = self.batch.lock().await;
        let batch = match &mut *slot {
            Some(batch) => batch,
            None => {
                let (stretches, _) = self.memory.lock().recent.seal();
                if stretches.is_empty() {
                    return Ok(Outcome::Committed(self.learned()));
                }
                slot.insert(Batch::new(stretches))
            }
        };
        let to = match &batch.landed {
            Some(to) => to.clone(),
            None => match self.decide(batch).await? {
                Outcome::Committed(to) => batch.landed.insert(to).clone(),
                other => return Ok(other),
            },
        };
        if let Some(Some(refused)) = &batch.refused {
            let made = Some(&refused.prepared);
            self.quarantine.keep(&refused.pledge, made).await?;
        }
        {
            let mut memory = self.memory.lock();
            // What was learned meanwhile stays known.
            memory.learned.merge(&to);
            memory.recent.committed(&batch.to.of_records());
            self.publish(&to.of_records());
        }
        *slot = None;
        self.look();
        Ok(Outcome::Committed(to))
    }

    /// Steps 1 to 3 of [`Self::commit`].
    async fn decide(&self, batch: &mut Batch) -> Result<Outcome, TableError> {
        let refused = batch.refused.as_ref().and_then(Option::as_ref);
        let old = batch.prepared.iter().any(|p| self.table.is_too_old(p))
            || refused.is_some_and(|r| self.quarantine.is_too_old(&r.prepared));
        if old || batch.since.elapsed() > TOO_OLD {
            return Ok(Outcome::Overtaken);
        }
        self.keep_pledges().await?;
        if batch.refused.is_none() {
            batch.refused = Some(self.prepare_refused(&batch.stretches).await?);
        }
        let prepared = match batch.prepared.take() {
            Some(prepared) => prepared,
            None => self.table.prepare(batch.rows()).await?,
        };
        let prepared = &*batch.prepared.insert(prepared);
        let pledge = batch.refused.iter().flatten().map(|r| &r.pledge).next();
        let from = self.learned();
        let mut to = from.clone();
        to.merge(&batch.to);
        let done = self
            .table
            .publish_pledging(prepared, &from, &to, Condition::Whole, pledge);
        match done.await {
            Ok(_) => Ok(Outcome::Committed(to)),
            Err(TableError::Conflict { at }) => {
                let overtaken =
                    self.claim.is_lost(&at) || self.memory.lock().recent.is_overtaken(&from, &at);
                Ok(match overtaken || !at.reaches(&from) {
                    true => Outcome::Overtaken,
                    false => Outcome::Behind(at),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the refused rows of `open` into files of quarantine that nothing
    /// lists yet.
    async fn prepare_refused(&self, open: &[Stretch]) -> Result<Option<Refused>, TableError> {
        let there = self.quarantine.position();
        let mut rows = Vec::new();
        let (mut from, mut to) = (Position::default(), Position::default());
        for stretch in open {
            // Only a Cairn from before pledges left quarantine ahead of history.
            let Some(beyond) = beyond(&there, stretch) else {
                continue;
            };
            let p = &stretch.partition;
            rows.push(beyond);
            from.advance(p, there.of(p));
            to.advance(p, stretch.next);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let prepared = self.quarantine.prepare(rows).await?;
        let pledge = self.quarantine.pledge(&prepared, &from, &to)?;
        Ok(Some(Refused { prepared, pledge }))
    }

    /// Has quarantine list what history's commits have pledged it, whoever made
    /// them: the process may have died in between.
    pub(crate) async fn keep_pledges(&self) -> Result<(), TableError> {
        let pledged = self.table.pledged();
        if self.quarantine.position().reaches(&pledged) {
            return Ok(());
        }
        self.quarantine.refresh().await?;
        let kept = self.quarantine.position();
        for pledge in self.table.pledges_beyond(&kept).await? {
            self.quarantine.keep(&pledge, None).await?;
        }
        Ok(())
    }
}
