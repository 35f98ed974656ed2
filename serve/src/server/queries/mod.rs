//! Queries that nobody waits for: started by one call, asked after by others,
//! their rows kept for a while in the data folder.
//!
//! One folder each, `queries/<id>/`, with `about.json` and the rows as Arrow's
//! stream format. `about.json` is written before the query runs and anew when
//! it is over; what still says that it runs when a server starts is lost with
//! the server that ran it, and says so from then on.
//!
//! Whose it is decides at every call: a query is there for the token that
//! started it and for nobody else, and its rows only as long as that token
//! still may read all that it could read then.

mod about;
mod rows;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_query::{QueryError, Question, Standing as _};
use cairn_schemas::time::SECOND;
use cairn_schemas::{Clock, IdSource, Micros};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::app::Shared;
use super::asking::{self, AskError, Asker};
pub use about::{About, Outcome, State};
pub use rows::{Part, read};
use rows::{ROWS, Writer};

/// The folder in the data folder.
const FOLDER: &str = "queries";
/// How many of one token may wait and run.
const EACH: usize = 16;
/// How often what has been kept long enough is looked for.
const TIDY: Duration = Duration::from_secs(30);

/// Why a query cannot be started or had.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// There is none of that id that is the caller's.
    #[error("there is no query {0:?} of yours; it may have been removed after its time")]
    NotFound(String),
    /// Too many of the caller's wait and run.
    #[error("{EACH} of your queries wait and run already")]
    Busy,
    /// It has no rows, for it did not end well or at all.
    #[error("the query has no results: it is {0}")]
    NoRows(&'static str),
    /// The token may read less than when it asked.
    #[error("the token may read less now than when it asked, so it does not get these results")]
    Withdrawn,
    /// The folder cannot be read or written.
    #[error("the folder for results: {0}")]
    Io(#[from] std::io::Error),
}

#[derive(Debug)]
struct Kept {
    about: About,
    /// While it waits or runs.
    task: Option<AbortHandle>,
}

/// Every query that is kept.
#[derive(Debug)]
pub struct Queries {
    folder: PathBuf,
    all: Mutex<BTreeMap<String, Kept>>,
    running: Arc<Semaphore>,
    /// Bytes of all results.
    bytes: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Queries {
    /// Reads what an earlier run left.
    pub fn open(
        settings: &crate::config::Settings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> std::io::Result<Self> {
        let folder = settings.data.dir.join(FOLDER);
        std::fs::create_dir_all(&folder)?;
        let mut all = BTreeMap::new();
        let mut bytes = 0;
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let Some(mut about) = About::read(&path) else {
                // Nothing tells whose it is, so it is nobody's.
                std::fs::remove_dir_all(&path)?;
                continue;
            };
            if about.outcome.is_none() {
                about.outcome = Some(Outcome::lost(clock.now()));
                about.write(&path)?;
                let _ = std::fs::remove_file(path.join(ROWS));
            }
            bytes += about.bytes();
            all.insert(about.id.clone(), Kept { about, task: None });
        }
        Ok(Self {
            folder,
            all: Mutex::new(all),
            running: Arc::new(Semaphore::new(settings.queries.max_concurrent as usize)),
            bytes: Arc::new(AtomicU64::new(bytes)),
            clock,
            ids,
        })
    }

    /// The queries of the caller, the newest first.
    pub fn of(&self, asker: &Asker) -> Vec<About> {
        let all = self.all.lock();
        let own = all.values().map(|kept| &kept.about);
        let mut own: Vec<About> = own.filter(|a| a.is_of(asker)).cloned().collect();
        own.sort_by_key(|about| std::cmp::Reverse(about.started));
        own
    }

    /// One of them.
    pub fn get(&self, asker: &Asker, id: &str) -> Result<About, KeptError> {
        let all = self.all.lock();
        let about = all.get(id).map(|kept| &kept.about);
        let own = about.filter(|about| about.is_of(asker)).cloned();
        own.ok_or_else(|| KeptError::NotFound(id.to_owned()))
    }

    /// Where its rows lie, if the caller may still have them.
    pub fn rows_of(&self, app: &Shared, asker: &Asker, id: &str) -> Result<PathBuf, KeptError> {
        let about = self.get(asker, id)?;
        if !app.registry.holds(&about.principal()) {
            return Err(KeptError::Withdrawn);
        }
        match about.state() {
            State::Done => Ok(self.folder.join(&about.id).join(ROWS)),
            other => Err(KeptError::NoRows(other.as_str())),
        }
    }

    /// Starts a query. Whether it is one at all was seen already.
    pub fn start(
        self: &Arc<Self>,
        app: &Shared,
        asker: Asker,
        question: Question,
    ) -> Result<About, KeptError> {
        let about = About::new(self.ids.hex128(), &asker, &question, self.clock.now());
        let path = self.folder.join(&about.id);
        let mut all = self.all.lock();
        let busy = all
            .values()
            .filter(|kept| kept.about.outcome.is_none() && kept.about.is_of(&asker));
        if busy.count() >= EACH {
            return Err(KeptError::Busy);
        }
        // (1) The folder and what it is about. A crash after it leaves a query
        // that is lost, and says so.
        std::fs::create_dir(&path)?;
        about.write(&path)?;
        let (queries, app, id) = (Arc::clone(self), Arc::clone(app), about.id.clone());
        let task = tokio::spawn(async move {
            let outcome = queries.run(&app, asker, question, &path).await;
            queries.ended(&id, outcome);
        });
        let kept = Kept {
            about: about.clone(),
            task: Some(task.abort_handle()),
        };
        all.insert(about.id.clone(), kept);
        Ok(about)
    }

    /// (2) The rows, then (3) the outcome. A crash between the two leaves a
    /// query that is lost; its rows go at the next start.
    async fn run(
        &self,
        app: &Shared,
        asker: Asker,
        question: Question,
        path: &std::path::Path,
    ) -> Outcome {
        let Ok(_place) = Arc::clone(&self.running).acquire_owned().await else {
            return Outcome::lost(self.clock.now());
        };
        let most = app.settings.queries.max_bytes;
        match self.written(app, asker, question, path, most).await {
            Ok((rows, bytes, versions)) => Outcome::done(self.clock.now(), rows, bytes, versions),
            Err(error) => {
                if let Err(error) = std::fs::remove_file(path.join(ROWS)) {
                    tracing::debug!(error = %error, "no rows to remove");
                }
                Outcome::failed(self.clock.now(), &error)
            }
        }
    }

    async fn written(
        &self,
        app: &Shared,
        asker: Asker,
        question: Question,
        path: &std::path::Path,
        most: u64,
    ) -> Result<(u64, u64, serde_json::Value), AskError> {
        let mut answer = asking::ask(app, asker, question).await?;
        let versions = answer.states().clone();
        let unwritten =
            |e: std::io::Error| QueryError::unavailable(format!("the results cannot be kept: {e}"));
        let mut taken = Taken::new(Arc::clone(&self.bytes));
        let mut writer = match Writer::create(path, &answer.schema()).await {
            Ok(writer) => writer,
            Err(error) => {
                let error = unwritten(error);
                answer.fail(&error).await;
                return Err(error.into());
            }
        };
        while let Some(batch) = answer.next().await {
            let written = writer.write(&batch?).await.map_err(unwritten);
            let room = written.and_then(|bytes| match taken.take(bytes, most) {
                true => Ok(()),
                false => Err(asking::no_room(most)),
            });
            if let Err(error) = room {
                answer.fail(&error).await;
                return Err(error.into());
            }
        }
        let more = writer.finish().await.map_err(unwritten)?;
        if !taken.take(more, most) {
            return Err(asking::no_room(most).into());
        }
        Ok((answer.row_count(), taken.keep(), versions))
    }

    fn ended(&self, id: &str, outcome: Outcome) {
        let mut all = self.all.lock();
        let Some(kept) = all.get_mut(id) else {
            return;
        };
        kept.task = None;
        kept.about.outcome = Some(outcome);
        if let Err(error) = kept.about.write(&self.folder.join(id)) {
            tracing::warn!(query = id, error = %error, "the outcome of a query could not be written");
        }
    }

    /// Ends a query that waits or runs, and removes one that is over.
    pub fn cancel(&self, asker: &Asker, id: &str) -> Result<State, KeptError> {
        let about = self.get(asker, id)?;
        let task = self
            .all
            .lock()
            .get_mut(id)
            .and_then(|kept| kept.task.take());
        match task {
            Some(task) => {
                // Dropping the answer stops the query and records it.
                task.abort();
                self.ended(id, Outcome::canceled(self.clock.now()));
                let _ = std::fs::remove_file(self.folder.join(id).join(ROWS));
            }
            None => self.remove(id, about.bytes())?,
        }
        Ok(about.state())
    }

    fn remove(&self, id: &str, bytes: u64) -> std::io::Result<()> {
        std::fs::remove_dir_all(self.folder.join(id))?;
        if self.all.lock().remove(id).is_some() {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    fn tidy(&self, keep: Duration) {
        let keep = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX / SECOND) * SECOND;
        let before = Micros(self.clock.now().0.saturating_sub(keep));
        let over = |kept: &Kept| {
            let ended = kept.about.outcome.as_ref()?.ended;
            (ended < before).then(|| (kept.about.id.clone(), kept.about.bytes()))
        };
        let old: Vec<(String, u64)> = self.all.lock().values().filter_map(over).collect();
        for (id, bytes) in old {
            if let Err(error) = self.remove(&id, bytes) {
                tracing::warn!(query = id, error = %error, "old results could not be removed");
            }
        }
    }
}

/// Removes what has been kept long enough, again and again.
pub async fn keep_up(app: Shared, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TIDY) => app.queries.tidy(app.settings.queries.keep),
        }
    }
}

/// What a query takes of the room for results; given back where its rows do
/// not stay.
#[derive(Debug)]
struct Taken {
    all: Arc<AtomicU64>,
    own: u64,
}

impl Taken {
    fn new(all: Arc<AtomicU64>) -> Self {
        Self { all, own: 0 }
    }

    fn take(&mut self, bytes: u64, most: u64) -> bool {
        self.own += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed) + bytes <= most
    }

    fn keep(mut self) -> u64 {
        std::mem::take(&mut self.own)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
