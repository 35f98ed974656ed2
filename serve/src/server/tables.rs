//! The query engine, and the tables that it may ask.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_ingest::history::History;
use cairn_query::{Engine, Limits};
use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, TrailName};
use cairn_store::table::TableError;
use cairn_store::view::{
    Moment, PastError, TableName, TableSnapshot, TableVersion, Tables, ViewError,
};

use super::app::{Ambient, size};
use super::registry::Registry;
use super::system_tables;
use super::trails::TrailSet;
use super::watermarks::Watermarks;
use crate::config::Settings;

/// The engines of questions and of exports: alike but for their limits.
#[derive(Debug)]
pub(super) struct Engines {
    pub(super) queries: Arc<Engine>,
    pub(super) exports: Arc<Engine>,
}

pub(super) fn make_engines(
    settings: &Settings,
    history: &Arc<History>,
    trails: &Arc<TrailSet>,
    registry: &Arc<Registry>,
    watermarks: &Arc<Watermarks>,
    ambient: &Ambient,
) -> anyhow::Result<Engines> {
    let spill_dir = super::spill::fresh_folder(settings)?;
    let tables: Arc<dyn Tables> = Arc::new(AllTables {
        history: Arc::clone(history),
        trails: Arc::clone(trails),
    });
    let make = |limits: Limits| -> anyhow::Result<Arc<Engine>> {
        let limits = Limits {
            spill_dir: spill_dir.clone(),
            ..limits
        };
        let system = system_tables::all(history, trails, registry, watermarks);
        let standing = Arc::clone(registry) as Arc<dyn cairn_query::Standing>;
        let (tables, clock) = (Arc::clone(&tables), Arc::clone(&ambient.clock));
        let engine = Engine::new(tables, system, limits, clock, standing)?;
        Ok(Arc::new(engine))
    };
    Ok(Engines {
        queries: make(query_limits(settings))?,
        exports: make(export_limits(settings))?,
    })
}

fn query_limits(settings: &Settings) -> Limits {
    let (query, defaults) = (&settings.query, Limits::default());
    Limits {
        memory: size(query.memory_bytes),
        memory_per_query: size(query.query_memory()),
        memory_per_principal: size(query.principal_memory()),
        timeout: query.timeout,
        // No longer than the files stay that it reads.
        background_timeout: settings
            .queries
            .timeout
            .min(settings.history.vacuum_grace)
            .max(query.timeout),
        concurrent: query.max_concurrent as usize,
        per_principal: query.principal_places() as usize,
        queue: query.max_waiting as usize,
        max_rows: (query.max_rows > 0).then(|| query.max_rows.into()),
        max_bytes: (query.max_result_bytes > 0).then_some(query.max_result_bytes),
        spill: query.spill_bytes,
        spill_per_query: query.query_spill(),
        spill_per_principal: query.principal_spill(),
        threads: match query.threads {
            0 => defaults.threads,
            n => n as usize,
        },
        ..defaults
    }
}

/// An export may take long, but not longer than the files stay that it reads,
/// and may be as large as its answer is.
fn export_limits(settings: &Settings) -> Limits {
    let export = &settings.export;
    Limits {
        memory: size(export.memory_bytes),
        memory_per_query: size(export.memory_bytes),
        memory_per_principal: size(export.memory_bytes),
        timeout: export.timeout.min(settings.history.vacuum_grace),
        concurrent: export.max_concurrent as usize,
        // Exports wait for their turn before they ask.
        per_principal: export.max_concurrent as usize,
        max_rows: None,
        max_bytes: None,
        ..query_limits(settings)
    }
}

/// Every table, for the query engine.
#[derive(Debug)]
struct AllTables {
    history: Arc<History>,
    trails: Arc<TrailSet>,
}

#[async_trait]
impl Tables for AllTables {
    async fn names(&self, readable: &Among<AccountId>) -> Vec<TableName> {
        let trails = match readable {
            // Without a look into the trails: one that is just being changed
            // keeps nobody waiting who may know of it anyway.
            Among::All => self.trails.folded_names(),
            Among::Only(_) => self.trails.names_visible_to(readable).await,
        };
        let trails = trails
            .iter()
            .filter_map(|n| TrailName::new(n).ok())
            .map(TableName::Trail);
        [TableName::History, TableName::Quarantine]
            .into_iter()
            .chain(trails)
            .collect()
    }

    async fn snapshot(&self, table: &TableName) -> Result<Option<TableSnapshot>, ViewError> {
        match table {
            TableName::History => Ok(Some(self.history.snapshot())),
            TableName::Quarantine => Ok(Some(self.history.quarantine_snapshot())),
            TableName::Trail(name) => {
                let Ok(follower) = self.trails.find(name.as_str()) else {
                    return Ok(None);
                };
                let snapshot = follower.snapshot().await;
                snapshot.map(Some).map_err(|reason| ViewError {
                    table: table.clone(),
                    reason,
                })
            }
        }
    }

    async fn past(
        &self,
        table: &TableName,
        moment: Moment,
    ) -> Result<Option<TableVersion>, PastError> {
        let unreadable = |reason: String| ViewError {
            table: table.clone(),
            reason,
        };
        let follower;
        let files = match table {
            TableName::History => self.history.table(),
            TableName::Quarantine => self.history.quarantine(),
            TableName::Trail(name) => {
                let Ok(found) = self.trails.find(name.as_str()) else {
                    return Ok(None);
                };
                follower = found;
                let opened = follower.table_or_open().await;
                opened.map_err(|e| unreadable(e.to_string()))?
            }
        };
        match files.past(moment).await {
            Ok(version) => Ok(Some(version)),
            Err(TableError::Refused { reason, .. }) => Err(PastError::Refused(reason)),
            Err(error) => Err(unreadable(error.to_string()).into()),
        }
    }
}
