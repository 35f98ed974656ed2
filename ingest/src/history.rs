//! History as the rest of Cairn sees it: the committed table, the newest rows
//! in memory, and quarantine beside them.
//!
//! One pipeline of this process writes; any number of readers take snapshots. A
//! snapshot's file list names the position that it reaches, and memory adds
//! exactly what lies beyond that position, so the two meet without a gap or an
//! overlap whenever they are read. That holds also while others commit to the
//! same tables: their partitions are not in memory, and of one that was lost
//! and still is, only what lies beyond the files is added.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use cairn_schemas::columns;
use cairn_schemas::{Partition, Position};
use cairn_store::table::{Condition, Listing, Pledge, Prepared, Table, TableError};
use cairn_store::view::TableSnapshot;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::recent::{Recent, Stretch};

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
struct Batch {
    stretches: Vec<Stretch>,
    /// Where they bring their partitions.
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

/// See the module's documentation.
#[derive(Debug)]
pub struct History {
    table: Arc<Table>,
    quarantine: Arc<Table>,
    recent: Mutex<Recent>,
    committed: watch::Sender<Position>,
    /// The partitions that this process reads now.
    owned: watch::Sender<Arc<BTreeSet<Partition>>>,
    /// The rows below are known to the judge. Its own commits and those of
    /// others that it has read.
    learned: Mutex<Position>,
    /// The batch on its way into the table.
    batch: tokio::sync::Mutex<Option<Batch>>,
    /// How many bytes of committed rows may stay for followers.
    follower_bytes: usize,
}

impl History {
    /// Over two open tables. Nothing is in memory yet.
    pub fn new(table: Arc<Table>, quarantine: Arc<Table>, follower_bytes: usize) -> Self {
        let at = table.position();
        let recent = Mutex::new(Recent::new(at.clone()));
        let whole = whole(&at, &table.pledged(), &quarantine.position());
        Self {
            table,
            quarantine,
            recent,
            learned: Mutex::new(at),
            committed: watch::Sender::new(whole),
            owned: watch::Sender::default(),
            batch: tokio::sync::Mutex::default(),
            follower_bytes,
        }
    }

    /// The table of events.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The table of what could not become an event.
    pub fn quarantine(&self) -> &Arc<Table> {
        &self.quarantine
    }

    /// Adds rows that were just judged; they are visible on return.
    pub fn push(&self, stretch: Stretch) {
        self.recent.lock().push(stretch);
    }

    /// Rows and bytes that are not in files yet.
    pub fn open_size(&self) -> (usize, usize) {
        self.recent.lock().open_size()
    }

    /// Everything below was judged and is visible.
    pub fn head(&self) -> Position {
        self.recent.lock().head().clone()
    }

    /// Everything below lies in files.
    pub fn committed(&self) -> Position {
        self.committed.borrow().clone()
    }

    /// Tells when the committed position moves.
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.committed.subscribe()
    }

    /// The partitions that this process reads and commits; empty until the
    /// pipeline begins. Set anew whenever it begins.
    pub fn owned(&self) -> watch::Receiver<Arc<BTreeSet<Partition>>> {
        self.owned.subscribe()
    }

    /// States what this process reads from now on. Called by the pipeline alone.
    pub(crate) fn own(&self, partitions: BTreeSet<Partition>) {
        self.recent.lock().own(partitions.clone());
        self.owned.send_replace(Arc::new(partitions));
    }

    /// Takes in what others have committed. Returns the position that files
    /// reach now, as far as this process knows.
    pub async fn refresh(&self) -> Result<Position, TableError> {
        self.refresh_tables().await?;
        let at = self.table.position();
        self.keep_pledges().await?;
        self.others_at(&at);
        Ok(self.committed())
    }

    /// [`Self::refresh`] for the pipeline, which looks at the tables itself.
    pub(crate) async fn refresh_tables(&self) -> Result<(), TableError> {
        self.quarantine.refresh().await?;
        self.table.refresh().await?;
        Ok(())
    }

    fn others_at(&self, at: &Position) {
        let mut recent = self.recent.lock();
        recent.others_at(at);
        // Under the lock: a follower that learns of the position finds memory
        // in step with it.
        self.publish(recent.committed_position());
    }

    fn publish(&self, committed: &Position) {
        self.committed.send_if_modified(|known| {
            let moved = !known.reaches(committed);
            known.merge(committed);
            moved
        });
    }

    /// Begins an incarnation at `at`, where the table stands as far as the judge
    /// knows: memory is empty, and what was open is let go. Called by the
    /// pipeline alone, while no commit is under way.
    pub(crate) async fn begin(&self, at: &Position) {
        *self.batch.lock().await = None;
        *self.learned.lock() = at.clone();
        let mut recent = self.recent.lock();
        *recent = Recent::new(at.clone());
        self.publish(at);
    }

    /// The position whose rows the judge knows; commits continue from it.
    pub(crate) fn learned(&self) -> Position {
        self.learned.lock().clone()
    }

    /// States that the judge knows the rows of others up to `at`.
    pub(crate) fn learned_up_to(&self, at: &Position) {
        *self.learned.lock() = at.clone();
        self.others_at(at);
    }

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
                let (stretches, _) = self.recent.lock().seal();
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
        *self.learned.lock() = to.clone();
        let mut recent = self.recent.lock();
        recent.committed(&batch.to);
        self.publish(&to);
        drop(recent);
        *slot = None;
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
        let done =
            self.table
                .publish_pledging(prepared, &from, &to, Condition::Whole, pledge);
        match done.await {
            Ok(_) => Ok(Outcome::Committed(to)),
            Err(TableError::Conflict { at }) => {
                let overtaken = self.recent.lock().is_overtaken(&from, &at);
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

    /// Lets go of rows that every follower has passed. `passed` is the least
    /// position of the active followers, `None` when there is none.
    pub fn release(&self, passed: Option<&Position>) {
        self.recent.lock().release(passed, self.follower_bytes);
    }

    /// The newest rows from `from` on; `None` when memory does not reach back
    /// so far.
    pub fn since(&self, from: &Position) -> Option<Vec<Stretch>> {
        self.recent.lock().since(from)
    }

    /// The newest rows of one partition from `from` on, as far as memory holds
    /// them without a gap.
    pub fn run_of(&self, partition: &Partition, from: i64) -> Vec<Stretch> {
        self.recent.lock().run_of(partition, from)
    }

    /// [`Self::run_of`], as far as it is committed. Both are looked at in one
    /// moment: between two, an incarnation may end, and another process commit
    /// the same records otherwise.
    pub fn committed_run_of(&self, partition: &Partition, from: i64) -> Vec<Stretch> {
        self.recent.lock().committed_run_of(partition, from)
    }

    /// Every event up to now.
    pub fn snapshot(&self) -> TableSnapshot {
        loop {
            let (listing, position) = self.table.files_at();
            // Rows are released only after a listing that holds them is out;
            // if that happened since the line above, a newer one is there now.
            if let Some(fresh) = self.since(&position) {
                let mut reach = position;
                for stretch in &fresh {
                    reach.advance(&stretch.partition, stretch.next);
                }
                let fresh = fresh
                    .into_iter()
                    .map(|s| s.rows)
                    .filter(|r| r.num_rows() > 0);
                return view(&self.table, &listing, fresh.collect(), &reach);
            }
        }
    }

    /// Everything quarantined up to now.
    pub fn quarantine_snapshot(&self) -> TableSnapshot {
        // Both under the lock: a row must not leave memory between the two.
        let recent = self.recent.lock();
        let (listing, position) = self.quarantine.files_at();
        let fresh = recent.held().filter_map(|s| beyond(&position, s)).collect();
        // Its own position counts only partitions that had something refused.
        let mut reach = recent.head().clone();
        reach.merge(&position);
        view(&self.quarantine, &listing, fresh, &reach)
    }
}

/// A table's files and fresh rows as one.
pub(crate) fn view(
    table: &Table,
    listing: &Listing,
    fresh: Vec<RecordBatch>,
    reach: &Position,
) -> TableSnapshot {
    TableSnapshot {
        schema: Arc::clone(table.schema()),
        store: Arc::clone(table.store()),
        store_url: table.store_url().clone(),
        version: listing.version,
        files: Arc::clone(&listing.files),
        fresh,
        reach: reach.of_records(),
        expired: listing.expired,
    }
}

/// `at`, but in the partitions where quarantine has not listed what was pledged
/// no further than it has: until then only it is whole.
fn whole(at: &Position, pledged: &Position, kept: &Position) -> Position {
    let mut whole = at.clone();
    for (partition, next) in &pledged.0 {
        if kept.of(partition) < *next {
            whole.0.insert(partition.clone(), kept.of(partition));
        }
    }
    whole
}

/// The quarantined rows of `stretch` that lie beyond `position`. A stretch may
/// straddle the place after a crash between steps 1 and 2, so rows are asked
/// one by one.
fn beyond(position: &Position, stretch: &Stretch) -> Option<RecordBatch> {
    let rows = &stretch.quarantined;
    let at = position.of(&stretch.partition);
    if rows.num_rows() == 0 || stretch.next <= at {
        return None;
    }
    if stretch.first >= at {
        return Some(rows.clone());
    }
    let index = columns::quarantine_schema().index_of("log_offset").ok()?;
    let offsets = rows.column(index).as_primitive_opt::<Int64Type>()?;
    let from = offsets.values().partition_point(|o| *o < at);
    let left = rows.slice(from, rows.num_rows() - from);
    (left.num_rows() > 0).then_some(left)
}
