//! What the pipeline tells the rest of the server.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use cairn_ingest::judge::Judged;
use cairn_ingest::pipeline::Observer;
use cairn_ingest::verdict::Verdict;
use cairn_schemas::control::Principal;
use cairn_schemas::{AccountId, Clock, Micros, Position};
use cairn_store::table::TableError;
use tokio::sync::mpsc;

use super::audit::{Act, Audit, Caller};
use super::metrics::Metrics;
use super::registry::Registry;
use super::watermarks::Times;

/// What the pipeline tells goes into metrics, and new accounts to the registry.
#[derive(Debug)]
pub(super) struct Observing {
    pub(super) metrics: Arc<Metrics>,
    pub(super) times: Arc<Times>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) accounts: mpsc::UnboundedSender<(AccountId, String)>,
}

impl Observer for Observing {
    fn judged(&self, judged: &Judged) {
        let (mut accepted, mut duplicate) = (0, 0);
        for (_, verdict) in &judged.verdicts {
            match verdict {
                Verdict::Accepted { .. } => accepted += 1,
                Verdict::Duplicate { .. } => duplicate += 1,
                Verdict::Refused { code, .. } => {
                    self.metrics
                        .records
                        .with_label_values(&["quarantined"])
                        .inc();
                    self.metrics.quarantined.with_label_values(&[code]).inc();
                }
            }
        }
        self.metrics
            .records
            .with_label_values(&["accepted"])
            .inc_by(accepted);
        self.metrics
            .records
            .with_label_values(&["duplicate"])
            .inc_by(duplicate);
        self.metrics.conflicts.inc_by(judged.conflicts);
        self.noticed(&judged.stretch.rows);
        let stretch = &judged.stretch;
        let produced = newest_time(&stretch.rows);
        let came = produced.map_or(judged.received, Micros);
        self.times.judged(&stretch.partition, stretch.next, came);
        if let Some(produced) = produced {
            let took = (self.clock.now().0 - produced).max(0);
            self.metrics
                .kafka
                .visible_seconds
                .observe(took as f64 / 1e6);
        }
        for account in &judged.new_accounts {
            // The receiver lives as long as the server; after it nobody counts.
            let _ = self.accounts.send((account.clone(), judged.sender.clone()));
        }
    }

    fn committed(&self, position: &Position, took: Duration) {
        self.times.committed(position);
        self.metrics.commits.with_label_values(&["ok"]).inc();
        self.metrics.commit_seconds.observe(took.as_secs_f64());
        self.metrics.last_commit.set(self.clock.now().0 / 1_000_000);
    }

    fn commit_failed(&self, error: &TableError) {
        self.metrics.commits.with_label_values(&["failed"]).inc();
        tracing::warn!(error = %error, "commit to history failed, trying again");
    }
}

impl Observing {
    /// Counts what had to be derived, or is not there for a trail to ask about.
    fn noticed(&self, rows: &RecordBatch) {
        let noticed = &self.metrics.noticed;
        if let Some(regions) = rows.column_by_name("region") {
            let missing = regions.null_count() as u64;
            noticed
                .with_label_values(&["region_missing"])
                .inc_by(missing);
        }
        let flags = rows
            .column_by_name("flags")
            .and_then(|f| f.as_list_opt::<i32>());
        let names = flags.and_then(|f| f.values().as_string_opt::<i32>());
        for name in names.iter().flat_map(|n| n.iter().flatten()) {
            noticed.with_label_values(&[name]).inc();
        }
    }
}

/// The timestamp of the newest record that has one.
fn newest_time(rows: &RecordBatch) -> Option<i64> {
    let times = rows.column_by_name("log_time")?;
    let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
    times.iter().next_back().flatten()
}

/// Adds the accounts that intake met to the organization. A document that
/// cannot be written now is written when the account is met after a restart.
pub(super) async fn register_accounts(
    registry: Arc<Registry>,
    audit: Audit,
    mut found: mpsc::UnboundedReceiver<(AccountId, String)>,
) {
    let (principal, caller) = (Principal::cairn(), Caller::default());
    while let Some((account, sender)) = found.recv().await {
        // Another process may have met it first.
        if registry.knows(&account) {
            continue;
        }
        let mut act = Act::new("AddAccount", true, &principal, &caller);
        act.request = serde_json::json!({"accountId": account, "firstEventFrom": sender});
        act.resource = Some(("CAIRN::Account", account.to_string()));
        if let Err(error) = audit.record(act).await {
            tracing::warn!(error = %error, "a new account could not be recorded");
            continue;
        }
        if let Err(error) = registry.add_account(&sender, account, None, true).await {
            tracing::warn!(error = %error, "a new account could not be written down");
        }
    }
}
