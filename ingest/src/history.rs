//! History as the rest of Cairn sees it: the committed table, the newest rows
//! in memory, and quarantine beside them.
//!
//! One pipeline writes; any number of readers take snapshots. A snapshot's
//! file list names the position that it reaches, and memory adds exactly what
//! lies beyond that position, so the two meet without a gap or an overlap
//! whenever they are read.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use cairn_schemas::columns;
use cairn_schemas::{Partition, Position};
use cairn_store::table::{Listing, Table, TableError};
use cairn_store::view::TableSnapshot;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::recent::{Recent, Stretch};

/// See the module's documentation.
#[derive(Debug)]
pub struct History {
    table: Arc<Table>,
    quarantine: Arc<Table>,
    recent: Mutex<Recent>,
    committed: watch::Sender<Position>,
    /// The partitions that this process reads now.
    owned: watch::Sender<Arc<BTreeSet<Partition>>>,
    /// Where the commits since the last success would have reached: one of them
    /// may have landed although it failed, and then the table says so later.
    attempted: Mutex<Vec<Position>>,
    /// How many bytes of committed rows may stay for followers.
    follower_bytes: usize,
}

impl History {
    /// Over two open tables. Nothing is in memory yet.
    pub fn new(table: Arc<Table>, quarantine: Arc<Table>, follower_bytes: usize) -> Self {
        let at = table.position();
        let recent = Mutex::new(Recent::new(at.clone()));
        Self {
            table,
            quarantine,
            recent,
            committed: watch::Sender::new(at),
            owned: watch::Sender::default(),
            attempted: Mutex::default(),
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
    pub fn own(&self, partitions: BTreeSet<Partition>) {
        self.owned.send_replace(Arc::new(partitions));
    }

    /// Commits everything that is open. Returns the position that files reach
    /// now. Called by the pipeline alone.
    ///
    /// 1. Quarantine's rows and the position, in one commit of that table. A
    ///    crash here leaves quarantine ahead of history: the replay meets the
    ///    same records again, and [`Self::quarantine_rows`] leaves out those
    ///    below quarantine's own position.
    /// 2. History's rows and the position, in one commit. A crash here leaves
    ///    nothing to do.
    /// 3. Memory learns of it. A crash here is as one after step 2.
    pub async fn commit(&self) -> Result<Position, TableError> {
        let (open, to) = self.recent.lock().seal();
        self.commit_quarantine(&open, &to).await?;
        let rows: Vec<RecordBatch> = open
            .into_iter()
            .map(|s| s.rows)
            .filter(|r| r.num_rows() > 0)
            .collect();
        let from = self.committed();
        let mut reached = to.clone();
        if !from.reaches(&to) {
            match self.table.commit(rows, &from, &to).await {
                Ok(_) => {}
                // An earlier try landed after all. What came in since
                // is still open and goes with the next commit.
                Err(TableError::Conflict { at }) if self.attempted.lock().contains(&at) => {
                    reached = at;
                }
                Err(error) => {
                    let mut attempted = self.attempted.lock();
                    if attempted.last() != Some(&to) {
                        attempted.push(to);
                    }
                    return Err(error);
                }
            }
        }
        self.attempted.lock().clear();
        self.recent.lock().committed(&reached);
        self.committed.send_replace(reached.clone());
        Ok(reached)
    }

    async fn commit_quarantine(&self, open: &[Stretch], to: &Position) -> Result<(), TableError> {
        loop {
            let refused = self.quarantine_rows(open);
            if refused.is_empty() {
                return Ok(());
            }
            let from = self.quarantine.position();
            match self.quarantine.commit(refused, &from, to).await {
                Ok(_) => return Ok(()),
                // An earlier try landed after all: look again at what is left.
                Err(TableError::Conflict { at }) if at != from => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The quarantined rows of `stretches` that its table does not hold yet.
    fn quarantine_rows(&self, stretches: &[Stretch]) -> Vec<RecordBatch> {
        let there = self.quarantine.position();
        stretches.iter().filter_map(|s| beyond(&there, s)).collect()
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

    /// Every event up to now.
    pub fn snapshot(&self) -> TableSnapshot {
        loop {
            let (listing, position) = self.table.files_at();
            // Rows are released only after a listing that holds them is out;
            // if that happened since the line above, a newer one is there now.
            if let Some(fresh) = self.since(&position) {
                let fresh = fresh
                    .into_iter()
                    .map(|s| s.rows)
                    .filter(|r| r.num_rows() > 0);
                return view(&self.table, &listing, fresh.collect());
            }
        }
    }

    /// Everything quarantined up to now.
    pub fn quarantine_snapshot(&self) -> TableSnapshot {
        // Both under the lock: a row must not leave memory between the two.
        let recent = self.recent.lock();
        let (listing, position) = self.quarantine.files_at();
        let fresh = recent.held().filter_map(|s| beyond(&position, s)).collect();
        view(&self.quarantine, &listing, fresh)
    }
}

/// A table's files and fresh rows as one.
pub(crate) fn view(table: &Table, listing: &Listing, fresh: Vec<RecordBatch>) -> TableSnapshot {
    TableSnapshot {
        schema: Arc::clone(table.schema()),
        store: Arc::clone(table.store()),
        store_url: table.store_url().clone(),
        version: listing.version,
        files: Arc::clone(&listing.files),
        fresh,
    }
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
