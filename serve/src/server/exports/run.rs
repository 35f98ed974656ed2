//! The work on one export, from an empty folder to its manifest.
//!
//! 1. The document says that it runs. A crash from here on leaves files without
//!    a manifest, which are no export; the process begins it again when it
//!    starts.
//! 2. The folder is emptied of what an earlier attempt left.
//! 3. Rows become files, each put where none was.
//! 4. The document says that it is about to be finished. From here on nobody
//!    takes it back; whoever did so before, or took it over, is met here.
//! 5. Its end is an event, with the manifest's hash.
//! 6. The manifest, last. A crash after it leaves a whole export, which the
//!    next start finds as such.
//! 7. The document says that it is done.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_query::{QueryError, Standing as _};
use cairn_schemas::Position;
use cairn_schemas::export::{Export, ExportAmount, ExportPlace, ExportState};
use cairn_schemas::selector::Among;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::files::{self, FilesError, Finished};
use super::folder::{Folder, FolderError};
use super::rows::Rows;
use super::{Job, files::Files};
use crate::export::manifest::{self, FORM, KIND, MANIFEST, MANIFEST_SUM, Manifest, sha256};
use crate::export::verify::sum_text;
use crate::server::app::Shared;
use crate::server::asking::AskError;
use crate::server::audit::{Act, Caller};
use crate::server::http::error::ApiError;

/// How long an export waits until the events that it is over are committed.
const COMMITTED: Duration = Duration::from_secs(30);

/// Why there is no export at the end of an attempt.
enum Ended {
    /// Taken back, taken over, or the server stops.
    Stopped,
    /// It failed: a code, and the text for people.
    Failed(String, String),
}

impl From<AskError> for Ended {
    fn from(error: AskError) -> Self {
        let hint = error.hint().map(|h| format!("; {h}"));
        let text = format!("{error}{}", hint.unwrap_or_default());
        Self::Failed(error.code().to_owned(), text)
    }
}

impl From<FolderError> for Ended {
    fn from(error: FolderError) -> Self {
        let code = match error {
            FolderError::Refused(_) => "destination_refused",
            FolderError::Unavailable(_) => "destination_unavailable",
            FolderError::Taken(_) => "destination_taken",
        };
        Self::Failed(code.to_owned(), error.to_string())
    }
}

impl From<FilesError> for Ended {
    fn from(error: FilesError) -> Self {
        Self::Failed("invalid_rows".to_owned(), error.to_string())
    }
}

impl From<ApiError> for Ended {
    fn from(error: ApiError) -> Self {
        match error.code() {
            // Somebody else wrote the next version.
            "conflict" | "export_ended" => Self::Stopped,
            code => Self::Failed(code.to_owned(), error.message().to_owned()),
        }
    }
}

/// Works on `job` until it has ended, or `stop`.
pub(super) async fn work(app: Shared, job: Arc<Job>, stop: CancellationToken) {
    let place = tokio::select! {
        () = stop.cancelled() => return,
        place = Arc::clone(&app.exports.running).acquire_owned() => place,
    };
    if place.is_err() || stop.is_cancelled() {
        return;
    }
    let id = job.document().id;
    match attempt(&app, &job, &stop).await {
        Ok(()) => tracing::info!(export = id, "export finished"),
        Err(Ended::Stopped) => {
            let document = job.document();
            // Where the server stops, or another process goes on with it, the
            // files are left to the next attempt.
            if document.state == ExportState::Canceled {
                remove(&app, &document.place).await;
            }
        }
        Err(Ended::Failed(code, message)) => fail(&app, &job, code, message).await,
    }
}

/// Removes what an export wrote.
pub(super) async fn remove(app: &Shared, place: &ExportPlace) {
    let removed = match app.exports.places.open(place).await {
        Ok(folder) => folder.remove().await,
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        tracing::warn!(folder = place.url(), error = %error, "files of an export without a manifest may be left");
    }
}

async fn fail(app: &Shared, job: &Arc<Job>, code: String, message: String) {
    let document = job.document();
    tracing::warn!(export = document.id, code, message, "export failed");
    // First what was written, so that nobody finds it under a failed export.
    remove(app, &document.place).await;
    let error = (code, message);
    let changed = app.exports.change(job, "cairn", |document| {
        if !document.state.is_open() {
            return Err(ApiError::conflict("export_ended", "somebody ended it"));
        }
        document.state = ExportState::Failed;
        document.error = Some(error.clone());
        Ok(())
    });
    if let Err(problem) = changed.await {
        tracing::warn!(
            export = document.id,
            error = problem.message(),
            "the end of an export could not be written down"
        );
    }
    if let Err(problem) = end_event(app, &document, json!({}), Some(error)).await {
        tracing::error!(export = document.id, error = %problem, "the end of an export could not be recorded");
    }
}

/// The event of an export's end.
async fn end_event(
    app: &Shared,
    document: &Export,
    response: serde_json::Value,
    error: Option<(String, String)>,
) -> Result<(), cairn_store::log::LogError> {
    let principal = document.owner.principal();
    let caller = Caller {
        address: document.owner.address.clone(),
        agent: document.owner.agent.clone(),
    };
    let mut act = Act::new("EndExport", false, &principal, &caller);
    act.request = json!({
        "exportId": document.id,
        "format": document.format.as_str(),
        "to": document.place.url(),
        "attempt": document.attempt,
    });
    act.resource = Some(("CAIRN::Export", document.id.clone()));
    act.response = response;
    act.error = error;
    app.audit.record(act).await
}

async fn attempt(app: &Shared, job: &Arc<Job>, stop: &CancellationToken) -> Result<(), Ended> {
    let exports = &app.exports;
    let begun = exports.change(job, "cairn", |document| {
        if !document.state.is_open() || document.node != exports.node {
            return Err(ApiError::conflict("export_ended", "somebody ended it"));
        }
        document.state = ExportState::Running;
        document.attempt += 1;
        Ok(())
    });
    let document = begun.await?;
    job.count(ExportAmount::default());
    stands(app, &document)?;
    let folder = exports.places.open(&document.place).await?;
    if let Some(bytes) = folder.get(MANIFEST).await? {
        // Step 6 was done, and step 7 was not.
        return adopt(app, job, &bytes).await;
    }
    folder.clear().await?;
    let mut rows = tokio::select! {
        () = stop.cancelled() => return Err(Ended::Stopped),
        rows = Rows::open(app, &document) => rows?,
    };
    if document.states.is_none()
        && let Some(states) = rows.states()
    {
        // A later attempt asks about the same, here or in another process.
        let reach = rows.reach();
        tokio::select! {
            () = stop.cancelled() => return Err(Ended::Stopped),
            () = committed(app, &reach) => {}
        }
        exports
            .change(job, "cairn", |document| {
                document.states = Some(states);
                Ok(())
            })
            .await?;
    }
    let (written, left_out) = write(job, stop, &folder, &document, &mut rows).await?;
    finish(app, job, &folder, &rows, written, left_out).await
}

/// Waits until history is committed up to `reach`: what is only in this
/// process's log, no other could go on with. Not for ever: without the bucket
/// of history, exports to elsewhere are made all the same.
async fn committed(app: &Shared, reach: &Position) {
    let flushed = tokio::time::timeout(COMMITTED, app.pipeline.flush(reach.clone())).await;
    if flushed != Ok(true) {
        tracing::warn!(
            "an export is over events that are not committed yet: until they are, no other process can take it over"
        );
    }
}

/// An export belongs to whoever may have its rows.
fn stands(app: &Shared, document: &Export) -> Result<(), Ended> {
    match app.registry.holds(&document.owner.principal()) {
        true => Ok(()),
        false => Err(AskError::Query(QueryError::withdrawn()).into()),
    }
}

async fn write(
    job: &Arc<Job>,
    stop: &CancellationToken,
    folder: &Folder,
    document: &Export,
    rows: &mut Rows,
) -> Result<(Vec<manifest::File>, u64), Ended> {
    let mut files = files::files(document.format, document.neutralise, &rows.schema())?;
    let mut written = Vec::new();
    let mut amount = ExportAmount::default();
    loop {
        // Between files only: a put that is dropped may land later.
        let batch = tokio::select! {
            () = stop.cancelled() => return Err(Ended::Stopped),
            batch = rows.next() => batch,
        };
        let batch = batch.transpose()?;
        let over = batch.is_none();
        let packing = tokio::task::spawn_blocking(move || {
            let done = match &batch {
                Some(batch) => files.batch(batch),
                None => files.end(),
            };
            (files, done)
        });
        let (back, done): (Box<dyn Files>, Result<Vec<Finished>, FilesError>) = packing
            .await
            .map_err(|e| Ended::Failed("internal".to_owned(), e.to_string()))?;
        files = back;
        for Finished { file, bytes } in done? {
            if stop.is_cancelled() {
                return Err(Ended::Stopped);
            }
            folder.put(&file.name, bytes).await?;
            amount.rows += file.rows;
            amount.bytes += file.bytes;
            amount.files += 1;
            job.count(amount);
            written.push(file);
        }
        if over {
            return Ok((written, files.left_out()));
        }
    }
}

async fn finish(
    app: &Shared,
    job: &Arc<Job>,
    folder: &Folder,
    rows: &Rows,
    written: Vec<manifest::File>,
    left_out: u64,
) -> Result<(), Ended> {
    let exports = &app.exports;
    let attempt = job.document().attempt;
    let finishing = exports.change(job, "cairn", |document| {
        let mine = document.state == ExportState::Running
            && document.attempt == attempt
            && document.node == exports.node;
        if !mine {
            return Err(ApiError::conflict("export_ended", "somebody ended it"));
        }
        document.state = ExportState::Finishing;
        Ok(())
    });
    let document = finishing.await?;
    // The last word on whether these rows may be had.
    stands(app, &document)?;
    let manifest = manifest_of(app, &document, rows, written, left_out);
    let internal = |e: serde_json::Error| Ended::Failed("internal".to_owned(), e.to_string());
    let bytes = manifest.to_bytes().map_err(internal)?;
    let sum = sha256(&bytes);
    let amount = amount_of(&manifest);
    let response = json!({
        "rows": amount.rows,
        "files": amount.files,
        "bytes": amount.bytes,
        "leftOut": left_out,
        "manifestSha256": sum,
    });
    let recorded = end_event(app, &document, response, None).await;
    recorded.map_err(|e| Ended::Failed("unavailable".to_owned(), e.to_string()))?;
    let sum_bytes = Bytes::from(sum_text(&sum));
    folder.put(MANIFEST_SUM, sum_bytes).await?;
    folder.put(MANIFEST, Bytes::from(bytes)).await?;
    done(app, job, amount, sum).await
}

fn amount_of(manifest: &Manifest) -> ExportAmount {
    ExportAmount {
        rows: manifest.rows,
        bytes: manifest.files.iter().map(|f| f.bytes).sum(),
        files: manifest.files.len() as u64,
    }
}

/// Says that the export is done. It is, whether or not this can be written
/// down now: the manifest is there.
async fn done(
    app: &Shared,
    job: &Arc<Job>,
    amount: ExportAmount,
    sum: String,
) -> Result<(), Ended> {
    let changed = app.exports.change(job, "cairn", |document| {
        document.state = ExportState::Done;
        document.amount = amount;
        document.manifest_sha256 = Some(sum);
        Ok(())
    });
    if let Err(error) = changed.await {
        let id = job.document().id;
        tracing::warn!(
            export = id,
            error = error.message(),
            "an export is finished, and that could not be written down"
        );
    }
    Ok(())
}

/// Takes an export for done whose manifest is there.
async fn adopt(app: &Shared, job: &Arc<Job>, bytes: &[u8]) -> Result<(), Ended> {
    let id = job.document().id;
    match Manifest::from_bytes(bytes) {
        Ok(manifest) if manifest.id == id => {
            done(app, job, amount_of(&manifest), sha256(bytes)).await
        }
        _ => Err(FolderError::Taken(MANIFEST.to_owned()).into()),
    }
}

fn manifest_of(
    app: &Shared,
    document: &Export,
    rows: &Rows,
    files: Vec<manifest::File>,
    left_out: u64,
) -> Manifest {
    let organization = app.registry.organization();
    let accounts = |among: &Among<cairn_schemas::AccountId>| match among {
        Among::All => None,
        Among::Only(set) => Some(set.iter().map(ToString::to_string).collect()),
    };
    let csv = document.format == cairn_schemas::export::ExportFormat::Csv;
    Manifest {
        kind: KIND.to_owned(),
        form: FORM,
        cairn: env!("CARGO_PKG_VERSION").to_owned(),
        id: document.id.clone(),
        created: document.created.to_rfc3339(),
        as_of: rows.begun().to_rfc3339(),
        finished: app.clock.now().to_rfc3339(),
        organization: manifest::Organization {
            name: organization.name,
            management_account: organization.management_account.to_string(),
        },
        principal: manifest::Principal {
            id: document.owner.id.clone(),
            name: document.owner.name.clone(),
            role: document.owner.role.as_str().to_owned(),
            accounts: accounts(&document.owner.accounts),
            withheld: document.owner.withheld.columns().into_iter().collect(),
        },
        question: manifest::Question {
            sql: document.sql.clone(),
            filter: document.filter.as_ref().map(|filter| manifest::Filter {
                accounts: (!filter.accounts.is_empty())
                    .then(|| filter.accounts.iter().map(ToString::to_string).collect()),
                from: filter.from.map(|t| t.to_rfc3339()),
                until: filter.until.map(|t| t.to_rfc3339()),
                trail: filter.trail.as_ref().map(ToString::to_string),
            }),
        },
        tables: rows.tables(),
        format: document.format.as_str().to_owned(),
        options: manifest::Options {
            compression: files::compression(document.format).to_owned(),
            neutralised: csv.then_some(document.neutralise),
        },
        columns: rows
            .schema()
            .fields()
            .iter()
            .map(|field| manifest::Column {
                name: field.name().clone(),
                kind: field.data_type().to_string(),
            })
            .collect(),
        rows: files.iter().map(|f| f.rows).sum(),
        left_out,
        files,
    }
}
