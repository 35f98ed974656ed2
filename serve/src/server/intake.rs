//! What the pipeline is given by the server, and how it begins.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use cairn_ingest::decode::DecodeLimits;
use cairn_ingest::history::History;
use cairn_ingest::judge::{CatchUpError, Judge, MakeJudge, open_index};
use cairn_ingest::pipeline::PipelineError;
use cairn_ingest::seen::SeenOptions;
use cairn_schemas::{Position, keys};
use cairn_store::table::Table;

use super::registry::Registry;
use crate::config::Settings;

/// Opens judges over the data folder's duplicate index.
#[derive(Debug)]
pub(super) struct Judges {
    /// The index's folder.
    folder: PathBuf,
    /// Who is known already.
    registry: Arc<Registry>,
    /// For how many days an event is remembered.
    window_days: u32,
}

impl Judges {
    /// As `settings` say.
    pub(super) fn new(settings: &Settings, registry: &Arc<Registry>) -> Self {
        Self {
            folder: settings.data.dir.join(keys::SEEN_DIR),
            registry: Arc::clone(registry),
            window_days: settings.history.retention_days,
        }
    }
}

#[async_trait]
impl MakeJudge for Judges {
    async fn make(&self, history: &Table, at: &Position) -> Result<Judge, CatchUpError> {
        let options = SeenOptions::default();
        let seen = open_index(&self.folder, options, history, at).await?;
        // The door has refused what is larger than the setting allows; here
        // only the log decides, or a replay under another setting would judge
        // otherwise.
        let limits = DecodeLimits {
            max_event: usize::MAX,
            ..DecodeLimits::default()
        };
        let known = self.registry.known_accounts();
        Ok(Judge::new(seen, known, limits, self.window_days))
    }
}

/// Returns once the pipeline has begun, or with the error that it ended with:
/// who starts a server is told at once what is wrong with its data folder.
pub(super) async fn begun(
    history: &History,
    pipeline: &mut tokio::task::JoinHandle<Result<(), PipelineError>>,
) -> anyhow::Result<()> {
    let mut owned = history.owned();
    tokio::select! {
        begun = owned.wait_for(|owned| !owned.is_empty()) => {
            begun.context("history is gone")?;
            Ok(())
        }
        ended = pipeline => {
            ended?.context("intake cannot begin")?;
            anyhow::bail!("intake ended before it began")
        }
    }
}
