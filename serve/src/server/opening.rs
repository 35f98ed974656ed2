//! The parts that lie on disk or in a bucket, opened in the order in which
//! they can be trusted: the log says where it ends, the tables what of it is
//! committed, and the duplicate index is brought up to that place.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use cairn_ingest::history::{History, Standing};
use cairn_schemas::{Partition, keys};
use cairn_store::log::{EmbeddedLog, LogOptions};
use cairn_store::objects::Opened;
use cairn_store::table::{Table, TableSpec};

use super::app::{Ambient, FOLLOWER_BYTES, size};
use crate::config::Settings;

/// The URL of the server's own object store.
pub(super) fn store_url(settings: &Settings) -> anyhow::Result<String> {
    if let Some(url) = &settings.store.url {
        return Ok(url.clone());
    }
    let dir = &settings.data.dir;
    let folder = dir.join(keys::STORE_DIR);
    match url::Url::from_file_path(&folder) {
        Ok(url) => Ok(url.to_string()),
        Err(()) => anyhow::bail!("the data folder {} is no absolute path", dir.display()),
    }
}

/// Opens the embedded log below `dir`; reads and checks all of it.
pub(crate) async fn open_log(dir: &Path, settings: &Settings) -> anyhow::Result<EmbeddedLog> {
    let options = LogOptions {
        segment_bytes: settings.log.segment_bytes,
        // A body is appended as a whole, so the largest one has to fit.
        max_frame_bytes: size(settings.server.max_decompressed_bytes) + (32 << 20),
        ..LogOptions::default()
    };
    let dir = dir.join(keys::LOG_DIR);
    let opened = tokio::task::spawn_blocking(move || EmbeddedLog::open(&dir, options)).await?;
    Ok(opened?)
}

pub(super) async fn open_history(
    root: &Opened,
    ambient: &Ambient,
    outlined: bool,
) -> anyhow::Result<History> {
    let options = &ambient.tables;
    let open = async |key: &str, spec: TableSpec| -> anyhow::Result<Arc<Table>> {
        let opened = root.at(key);
        let (clock, ids) = (Arc::clone(&ambient.clock), Arc::clone(&ambient.ids));
        let table = Table::open_or_create(&opened, spec, options.clone(), clock, ids).await;
        Ok(Arc::new(
            table.with_context(|| format!("cannot open the table {key}"))?,
        ))
    };
    let spec = TableSpec::events("history").outlined(outlined);
    let table = open(keys::HISTORY, spec).await?;
    let quarantine = open(keys::QUARANTINE, TableSpec::quarantine()).await?;
    Ok(History::new(table, quarantine, FOLLOWER_BYTES))
}

/// Where the pipeline reads on. A log that begins after that place has lost
/// records, and one that ends before it would give offsets out twice: both
/// are refused.
pub(super) fn check_log(log: &EmbeddedLog, own: &Partition, at: &Standing) -> anyhow::Result<i64> {
    let committed = at.history.of(own);
    let (start, end) = (log.start(), log.end());
    anyhow::ensure!(
        start <= committed,
        "the log begins at offset {start}, but history is committed only up to {committed}: \
         records between are missing. Restore the folder log/ from a backup"
    );
    anyhow::ensure!(
        end >= committed,
        "the log ends at offset {end}, but history is committed up to {committed}: the folder log/ \
         is older than the tables. Restore log/ and store/ from the same backup"
    );
    let quarantined = at.quarantine.of(own);
    anyhow::ensure!(
        end >= quarantined,
        "the log ends at offset {end}, but quarantine reaches up to {quarantined}: the folder log/ is \
         older than the tables. Restore log/ and store/ from the same backup"
    );
    Ok(committed)
}
