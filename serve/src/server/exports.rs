//! Exports: asked for, worked on, taken back.
//!
//! An export is a document, as all that Cairn keeps of itself is, and a task of
//! the process that works on it. Each step that others may meet is a version of
//! the document, put-if-absent: of a process that was taken for dead and the one
//! that took its export over, and of somebody who takes an export back and the
//! task that is about to finish it, one gets through.
//!
//! - [`places`]: where exports may go
//! - [`folder`]: an export's own folder
//! - [`ask`]: from a request to a statement
//! - [`rows`], [`files`]: from the statement to rows, from rows to files
//! - [`run`]: the work

pub mod ask;
pub mod files;
pub mod folder;
pub mod places;
mod rows;
mod run;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_schemas::control::{ControlKind, Principal, Role};
use cairn_schemas::export::{Export, ExportAmount, ExportOwner, ExportPlace, ExportState};
use cairn_schemas::{Clock, IdSource};
use cairn_store::control::{ControlError, ControlStore, DocumentKey};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::app::{Ambient, Shared};
use super::audit::Caller;
use super::http::error::ApiError;
use crate::export::manifest::MANIFEST;
use ask::Asked;
use places::Places;

/// Exports that one principal may have open.
const OPEN: usize = 20;

/// One export.
#[derive(Debug)]
pub struct Job {
    document: RwLock<Export>,
    /// Held while a version is written.
    changing: tokio::sync::Mutex<()>,
    /// What the task that works on it has written so far.
    rows: AtomicU64,
    bytes: AtomicU64,
    files: AtomicU64,
    /// Ends the task that works on it here.
    stop: Mutex<CancellationToken>,
}

impl Job {
    fn new(document: Export, stop: CancellationToken) -> Self {
        Self {
            document: RwLock::new(document),
            changing: tokio::sync::Mutex::new(()),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            files: AtomicU64::new(0),
            stop: Mutex::new(stop),
        }
    }

    /// As it stands.
    pub fn document(&self) -> Export {
        self.document.read().clone()
    }

    /// What was written so far; what it amounted to, once it is done.
    pub fn amount(&self) -> ExportAmount {
        let document = self.document.read();
        if document.state == ExportState::Done {
            return document.amount;
        }
        ExportAmount {
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            files: self.files.load(Ordering::Relaxed),
        }
    }

    fn count(&self, amount: ExportAmount) {
        self.rows.store(amount.rows, Ordering::Relaxed);
        self.bytes.store(amount.bytes, Ordering::Relaxed);
        self.files.store(amount.files, Ordering::Relaxed);
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Exports {
    control: ControlStore,
    places: Places,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    /// What this process is called in documents.
    node: String,
    jobs: RwLock<BTreeMap<String, Arc<Job>>>,
    running: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Exports {
    /// Reads the documents. Nothing is worked on before [`Exports::begin`].
    pub async fn open(
        control: ControlStore,
        places: Places,
        ambient: &Ambient,
        node: String,
        at_once: usize,
        stop: CancellationToken,
    ) -> Result<Self, ControlError> {
        let exports = Self {
            control,
            places,
            clock: Arc::clone(&ambient.clock),
            ids: Arc::clone(&ambient.ids),
            node,
            jobs: RwLock::default(),
            running: Arc::new(Semaphore::new(at_once)),
            stop,
        };
        exports.refresh(&exports.control.keys().await?).await?;
        Ok(exports)
    }

    /// The allowed places.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Goes on with what this process had not finished when it ended.
    pub fn begin(&self, app: &Shared) {
        for job in self.all() {
            let document = job.document();
            if document.state.is_open() && document.node == self.node {
                tracing::info!(
                    export = document.id,
                    "an export that was cut off is begun again"
                );
                self.spawn(app, &job);
            }
        }
    }

    /// Every export, the newest first.
    fn all(&self) -> Vec<Arc<Job>> {
        let mut all: Vec<Arc<Job>> = self.jobs.read().values().cloned().collect();
        all.sort_by_key(|job| std::cmp::Reverse(job.document.read().created));
        all
    }

    /// The exports that `principal` may know of: their own, and an
    /// administrator all.
    pub fn visible_to(&self, principal: &Principal) -> Vec<Arc<Job>> {
        let mut all = self.all();
        all.retain(|job| may_see(principal, &job.document.read()));
        all
    }

    /// The export `id`. One that `principal` may not know of is not there.
    pub fn find(&self, principal: &Principal, id: &str) -> Result<Arc<Job>, ApiError> {
        let job = self.jobs.read().get(id).cloned();
        job.filter(|job| may_see(principal, &job.document.read()))
            .ok_or_else(|| {
                let id: String = id.chars().take(64).collect();
                ApiError::not_found(format!("there is no export {id:?}"))
                    .hint("`cairn export list` shows yours")
            })
    }

    /// Takes in what others changed, by the keys of all documents.
    pub async fn refresh(&self, keys: &[DocumentKey]) -> Result<(), ControlError> {
        let mut newest: BTreeMap<&str, &DocumentKey> = BTreeMap::new();
        for key in keys.iter().filter(|k| k.kind == ControlKind::Export) {
            newest.insert(&key.id, key);
        }
        let mut failed = None;
        for (id, key) in newest {
            let known = self.jobs.read().get(id).cloned();
            if known.is_some_and(|job| job.document.read().version >= key.version) {
                continue;
            }
            match self.control.get::<Export>(key).await {
                Ok(document) => self.learn(document),
                // One that cannot be read keeps nobody from the others.
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// A version that another process wrote. Whoever works on it here stops.
    fn learn(&self, document: Export) {
        let mut jobs = self.jobs.write();
        let Some(job) = jobs.get(&document.id) else {
            let id = document.id.clone();
            jobs.insert(id, Arc::new(Job::new(document, self.stop.child_token())));
            return;
        };
        let mut known = job.document.write();
        if known.version < document.version {
            // One's own version may be met here before memory has it.
            let elsewhere = document.node != self.node;
            if elsewhere || document.state == ExportState::Canceled {
                job.stop.lock().cancel();
            }
            *known = document;
        }
    }

    /// Writes the next version of a document, as `change` makes it of the last.
    /// `None` from `change` means that it may not be made.
    async fn change(
        &self,
        job: &Job,
        by: &str,
        change: impl FnOnce(&mut Export) -> Result<(), ApiError>,
    ) -> Result<Export, ApiError> {
        let _one_at_a_time = job.changing.lock().await;
        let mut next = job.document();
        change(&mut next)?;
        next.version += 1;
        next.at = self.clock.now();
        by.clone_into(&mut next.by);
        let put = self
            .control
            .put(ControlKind::Export, &next.id, next.version, &next)
            .await;
        if let Err(ControlError::Conflict { .. }) = &put {
            let keys = self.control.versions(ControlKind::Export, &next.id).await?;
            if let Some(newest) = keys.last() {
                self.learn(self.control.get(newest).await?);
            }
        }
        put?;
        *job.document.write() = next.clone();
        Ok(next)
    }

    /// Makes an export's first version. `asked` was checked.
    pub async fn create(
        &self,
        app: &Shared,
        id: String,
        owner: &Principal,
        caller: &Caller,
        asked: Asked,
    ) -> Result<Arc<Job>, ApiError> {
        let open = self.all().into_iter().filter(|job| {
            let document = job.document.read();
            document.owner.id == owner.id && document.state.is_open()
        });
        if open.count() >= OPEN {
            return Err(ApiError::new(
                axum::http::StatusCode::TOO_MANY_REQUESTS,
                "busy",
                format!("{OPEN} exports of this token are not finished yet"),
            )
            .hint("wait until some are, or take one back with `cairn export cancel`"));
        }
        let now = self.clock.now();
        let document = Export {
            version: 1,
            at: now,
            by: owner.id.clone(),
            id: id.clone(),
            created: asked.created,
            owner: ExportOwner {
                id: owner.id.clone(),
                name: name_of(app, &owner.id),
                role: owner.role,
                accounts: owner.accounts.clone(),
                withheld: owner.withheld.clone(),
                address: caller.address.clone(),
                agent: caller.agent.clone(),
            },
            sql: asked.sql,
            filter: asked.filter,
            format: asked.format,
            neutralise: asked.neutralise,
            place: asked.place,
            state: ExportState::Queued,
            node: self.node.clone(),
            attempt: 0,
            states: None,
            amount: ExportAmount::default(),
            manifest_sha256: None,
            error: None,
        };
        self.control
            .put(ControlKind::Export, &id, 1, &document)
            .await?;
        let job = Arc::new(Job::new(document, self.stop.child_token()));
        self.jobs.write().insert(id, Arc::clone(&job));
        self.spawn(app, &job);
        Ok(job)
    }

    /// A new export's id.
    pub fn new_id(&self) -> String {
        self.ids.hex128()
    }

    /// Whether a manifest lies there.
    async fn is_whole(&self, place: &ExportPlace) -> bool {
        match self.places.open(place).await {
            Ok(folder) => matches!(folder.get(MANIFEST).await, Ok(Some(_))),
            Err(_) => false,
        }
    }

    fn spawn(&self, app: &Shared, job: &Arc<Job>) {
        let stop = self.stop.child_token();
        *job.stop.lock() = stop.clone();
        tokio::spawn(run::work(Arc::clone(app), Arc::clone(job), stop));
    }

    /// Takes an export back. What was written goes.
    pub async fn cancel(&self, app: &Shared, job: &Arc<Job>, by: &str) -> Result<(), ApiError> {
        let mut was = ExportState::Queued;
        let changed = self.change(job, by, |document| {
            was = document.state;
            match document.state {
                ExportState::Queued | ExportState::Running | ExportState::Failed => {
                    document.state = ExportState::Canceled;
                    Ok(())
                }
                state => Err(ApiError::conflict(
                    "export_ended",
                    format!("the export is {} and cannot be taken back", state.as_str()),
                )),
            }
        });
        let changed = changed.await?;
        job.stop.lock().cancel();
        if was != ExportState::Running || changed.node != self.node {
            // Nobody works on it who would do this.
            let (app, place) = (Arc::clone(app), changed.place);
            tokio::spawn(async move { run::remove(&app, &place).await });
        }
        Ok(())
    }

    /// Begins an export again that failed, or that a process which is gone had
    /// begun. Whether it is gone nobody can know: so what is taken over goes into
    /// a folder of its own, where a process that only stood still writes nothing
    /// and removes nothing.
    pub async fn resume(&self, app: &Shared, job: &Arc<Job>, by: &str) -> Result<(), ApiError> {
        let node = self.node.clone();
        let whole = self.is_whole(&job.document().place).await;
        let mut left = None;
        let changed = self.change(job, by, |document| {
            let elsewhere = document.state.is_open() && document.node != node;
            if document.state != ExportState::Failed && !elsewhere {
                return Err(ApiError::conflict(
                    "export_not_resumable",
                    format!("the export is {}", document.state.as_str()),
                )
                .hint("one that failed can be resumed, and one whose process is gone"));
            }
            // What is whole already only has to be found.
            if elsewhere && !whole {
                let next = moved(document);
                let before = std::mem::replace(&mut document.place, next);
                // Its manifest may be about to come: then the files stay, or it
                // would come without them.
                left = (document.state != ExportState::Finishing).then_some(before);
            }
            document.state = ExportState::Queued;
            document.node = node;
            document.error = None;
            Ok(())
        });
        changed.await?;
        if let Some(place) = left {
            let app = Arc::clone(app);
            tokio::spawn(async move { run::remove(&app, &place).await });
        }
        job.count(ExportAmount::default());
        self.spawn(app, job);
        Ok(())
    }
}

/// A folder beside the one that an export has, for its next version alone.
fn moved(document: &Export) -> ExportPlace {
    let before = document.place.folder.rsplit_once('/');
    let parent = before.map_or("", |(parent, _)| parent);
    ExportPlace {
        folder: format!("{parent}/{}-{}", document.id, document.version + 1),
        ..document.place.clone()
    }
}

fn may_see(principal: &Principal, document: &Export) -> bool {
    principal.role == Role::Admin || document.owner.id == principal.id
}

/// What people call the token `id`.
fn name_of(app: &Shared, id: &str) -> Option<String> {
    let tokens = app.registry.tokens().into_iter();
    tokens.filter(|t| t.id.as_str() == id).find_map(|t| t.name)
}
