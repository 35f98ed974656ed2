//! History as the rest of Cairn sees it: the committed table, the newest rows
//! in memory, and quarantine beside them.
//!
//! One pipeline of this process writes; any number of readers take snapshots. A
//! snapshot's file list names the position that it reaches, and memory adds
//! exactly what lies beyond that position, so the two meet without a gap or an
//! overlap whenever they are read. That holds also while others commit to the
//! same tables: their partitions are not in memory, and of one that was lost
//! and still is, only what lies beyond the files is added.
//!
//! **No event is shown twice**, also where two processes hold copies of it at
//! once. Readers are given the newest list whose rows the judge *knows*: as long
//! as it has not learned what another process committed, that is not shown here,
//! and what is open here is. Once it has, either none of the rows repeats one
//! that is open, and the new list is shown, or the incarnation ends, and what
//! was open is judged again. So lists are taken in by the pipeline, in the order
//! in which it learns; a process that only looks ([`History::refresh`]) tells it
//! that there is something to learn. Before its first incarnation memory is
//! empty, and the newest list is shown as it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use cairn_schemas::columns;
use cairn_schemas::{Partition, Position};
use cairn_store::table::{Listing, Table, TableError};
use cairn_store::view::TableSnapshot;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::recent::{Recent, Stretch};

mod claim;
mod commit;

pub use claim::Standing;
use commit::Batch;
pub use commit::Outcome;

/// A list of the table's files, and where it stands.
pub(crate) type Stand = (Arc<Listing>, Position);

/// What readers see, all of one moment.
#[derive(Debug)]
struct Memory {
    recent: Recent,
    /// The files that readers see: a list whose rows the judge knows.
    shown: Stand,
    /// The rows below are known to the judge: its own commits and those of
    /// others that it has read. Never behind `shown`.
    learned: Position,
    /// Whether an incarnation has begun: from then on it decides what is shown.
    begun: bool,
}

impl Memory {
    /// Shows `stand` if the judge knows all of it, and memory reaches back to it.
    fn show(&mut self, stand: Stand) -> bool {
        let known = self.learned.reaches(&stand.1);
        if known && stand.1.reaches(&self.shown.1) {
            self.shown = stand;
        }
        known
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct History {
    table: Arc<Table>,
    quarantine: Arc<Table>,
    memory: Mutex<Memory>,
    committed: watch::Sender<Position>,
    /// The partitions that this process reads now.
    owned: watch::Sender<Arc<BTreeSet<Partition>>>,
    /// Others have committed what the judge does not know.
    moved: Notify,
    /// The batch on its way into the table.
    batch: tokio::sync::Mutex<Option<Batch>>,
    /// By which start this process may commit; see [`claim`].
    claim: claim::Claim,
    /// How many bytes of committed rows may stay for followers.
    follower_bytes: usize,
}

impl History {
    /// Over two open tables. Nothing is in memory yet.
    pub fn new(table: Arc<Table>, quarantine: Arc<Table>, follower_bytes: usize) -> Self {
        let shown = table.files_at();
        let at = shown.1.clone();
        let whole = whole(&at, &table.pledged(), &quarantine.position());
        let memory = Memory {
            recent: Recent::new(at.of_records()),
            shown,
            learned: at,
            begun: false,
        };
        Self {
            table,
            quarantine,
            memory: Mutex::new(memory),
            moved: Notify::new(),
            committed: watch::Sender::new(whole.of_records()),
            owned: watch::Sender::default(),
            batch: tokio::sync::Mutex::default(),
            claim: claim::Claim::default(),
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
        self.memory.lock().recent.push(stretch);
    }

    /// Rows and bytes that are not in files yet.
    pub fn open_size(&self) -> (usize, usize) {
        self.memory.lock().recent.open_size()
    }

    /// Everything below was judged and is visible.
    pub fn head(&self) -> Position {
        self.memory.lock().recent.head().clone()
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
        self.memory.lock().recent.own(partitions.clone());
        self.owned.send_replace(Arc::new(partitions));
    }

    /// Looks what others have committed, and returns the position that is shown
    /// here now. What is new is shown as soon as the pipeline has learned it.
    pub async fn refresh(&self) -> Result<Position, TableError> {
        self.refresh_tables().await?;
        if !self.memory.lock().begun {
            let stand = self.table.files_at();
            self.keep_pledges().await?;
            let mut memory = self.memory.lock();
            // Unless one has begun meanwhile, which looked for itself.
            if !memory.begun {
                memory.learned.merge(&stand.1);
                self.take_in(&mut memory, stand);
            }
        }
        Ok(self.committed())
    }

    /// [`Self::refresh`] for the pipeline, which learns what it finds.
    pub(crate) async fn refresh_tables(&self) -> Result<(), TableError> {
        self.quarantine.refresh().await?;
        self.table.refresh().await?;
        self.claim.is_lost(&self.table.position());
        self.look();
        Ok(())
    }

    /// Shows the table's newest list where its rows are known; else tells the
    /// pipeline to learn them.
    fn look(&self) {
        let stand = self.table.files_at();
        if !self.memory.lock().show(stand) {
            self.moved.notify_one();
        }
    }

    /// Returns when others have committed what the judge does not know, once for
    /// each time that this was seen. For the pipeline.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// What the judge has to learn next; `None` where it knows everything, or
    /// where this process's own commits have to be cleared up before.
    pub(crate) fn unlearned(&self) -> Option<Stand> {
        let stand = self.table.files_at();
        let mut memory = self.memory.lock();
        (!memory.show(stand.clone())).then_some(stand)
    }

    /// Whether another process moved a partition that this one reads. Of a batch
    /// whose commit failed that is not known: it may have landed.
    pub(crate) fn is_overtaken(&self, at: &Position) -> bool {
        let memory = self.memory.lock();
        memory.recent.is_overtaken(&memory.learned, at)
    }

    /// Whether a batch is on its way, or its fate open.
    pub(crate) fn is_committing(&self) -> bool {
        self.batch.try_lock().map_or(true, |batch| batch.is_some())
    }

    fn take_in(&self, memory: &mut Memory, stand: Stand) {
        memory.recent.others_at(&stand.1.of_records());
        memory.show(stand);
        // Under the lock: a follower that learns of the position finds memory
        // in step with it.
        self.publish(memory.recent.committed_position());
    }

    fn publish(&self, committed: &Position) {
        self.committed.send_if_modified(|known| {
            let moved = !known.reaches(committed);
            known.merge(committed);
            moved
        });
    }

    /// Begins an incarnation at `stand`, which the judge knows: memory is empty,
    /// and what was open is let go. Called by the pipeline alone, while no commit
    /// is under way.
    pub(crate) async fn begin(&self, stand: Stand) {
        *self.batch.lock().await = None;
        let at = stand.1.clone();
        {
            let mut memory = self.memory.lock();
            memory.recent = Recent::new(at.of_records());
            memory.learned = at.clone();
            memory.shown = stand;
            memory.begun = true;
            self.publish(&at.of_records());
        }
        // Others may have gone on since.
        self.look();
    }

    /// The position whose rows the judge knows; commits continue from it.
    pub(crate) fn learned(&self) -> Position {
        self.memory.lock().learned.clone()
    }

    /// States that the judge knows the rows of others in `stand`: they are shown
    /// from now on.
    pub(crate) fn learned_up_to(&self, stand: Stand) {
        let mut memory = self.memory.lock();
        // An own commit may have ended since.
        memory.learned.merge(&stand.1);
        self.take_in(&mut memory, stand);
        drop(memory);
        self.look();
    }

    /// Lets go of rows that every follower has passed. `passed` is the least
    /// position of the active followers, `None` when there is none.
    pub fn release(&self, passed: Option<&Position>) {
        let mut memory = self.memory.lock();
        let Memory { recent, shown, .. } = &mut *memory;
        recent.release(passed, self.follower_bytes, &shown.1);
    }

    /// The newest rows from `from` on; `None` when memory does not reach back
    /// so far.
    pub fn since(&self, from: &Position) -> Option<Vec<Stretch>> {
        self.memory.lock().recent.since(from)
    }

    /// The newest rows of one partition from `from` on, as far as memory holds
    /// them without a gap.
    pub fn run_of(&self, partition: &Partition, from: i64) -> Vec<Stretch> {
        self.memory.lock().recent.run_of(partition, from)
    }

    /// [`Self::run_of`], as far as it is committed. Both are looked at in one
    /// moment: between two, an incarnation may end, and another process commit
    /// the same records otherwise.
    pub fn committed_run_of(&self, partition: &Partition, from: i64) -> Vec<Stretch> {
        self.memory.lock().recent.committed_run_of(partition, from)
    }

    /// Every event up to now.
    pub fn snapshot(&self) -> TableSnapshot {
        let stand = self.table.files_at();
        let mut memory = self.memory.lock();
        memory.show(stand);
        let (listing, position) = &memory.shown;
        let held = memory.recent.since(position);
        let held = held.expect("memory lets go only of what the shown files hold");
        let mut reach = position.clone();
        for stretch in &held {
            reach.advance(&stretch.partition, stretch.next);
        }
        let fresh = held.into_iter().map(|s| s.rows);
        let fresh = fresh.filter(|r| r.num_rows() > 0).collect();
        view(&self.table, listing, fresh, &reach.of_records())
    }

    /// Everything quarantined up to now.
    pub fn quarantine_snapshot(&self) -> TableSnapshot {
        // Both under the lock: a row must not leave memory between the two.
        let memory = self.memory.lock();
        let (listing, position) = self.quarantine.files_at();
        let held = memory.recent.held();
        let fresh = held.filter_map(|s| beyond(&position, s)).collect();
        // Its own position counts only partitions that had something refused.
        let mut reach = memory.recent.head().clone();
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
