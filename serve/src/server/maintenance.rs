//! What keeps tables in shape while the server runs: small files become large
//! ones, old files go, the log lets go of what is committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_schemas::{Partition, Position};
use cairn_store::table::{CompactPolicy, CompactReport, Table, TableError, VacuumGrace};
use tokio_util::sync::CancellationToken;

use super::app::Shared;

/// Follows history's commits: trims the log and frees memory that no follower
/// needs.
pub async fn tidy(app: Shared, stop: CancellationToken) {
    let mut committed = app.history.subscribe();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = committed.changed() => if changed.is_err() { return },
        }
        let below = app.history.committed().of(&app.partition);
        if let Some(reader) = app.kafka.as_ref().and_then(|k| k.reader.as_ref()) {
            reader.report(&app.history.committed());
        }
        if let Err(error) = app.log.trim(below).await {
            tracing::warn!(error = %error, "the log could not be trimmed");
        }
        let needed = app.trails.needed_from().await;
        app.history.release(needed.as_ref());
    }
}

/// Compacts, expires and vacuums every table, again and again.
pub async fn keep_up(app: Shared, stop: CancellationToken) {
    let mut turn = Turn::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(app.settings.history.compaction_interval) => {}
        }
        app.worm.refresh().await;
        let (at, owned) = (
            app.history.committed(),
            app.history.owned().borrow().clone(),
        );
        if app.shared && !turn.is_mine(&at, &owned) {
            continue;
        }
        round(&app, &stop).await;
    }
}

async fn round(app: &Shared, stop: &CancellationToken) {
    let days = Some(app.settings.history.retention_days);
    keep_table(app, app.history.table(), days, stop).await;
    keep_table(app, app.history.quarantine(), days, stop).await;
    for follower in app.trails.all() {
        let days = follower.trail().read().await.latest().retention_days;
        if let Some(table) = follower.table() {
            keep_table(app, table, days, stop).await;
        }
    }
}

/// Whose turn it is to tidy the tables, where several processes could. It is
/// safe if two do at once: one of them is told that it was overtaken. So this
/// only spares work: whoever owns the first of the partitions in which history
/// went on since the last look does it for all, and each for itself where none
/// did.
#[derive(Debug, Default)]
struct Turn {
    before: Option<Position>,
}

impl Turn {
    fn is_mine(&mut self, at: &Position, owned: &BTreeSet<Partition>) -> bool {
        let Some(before) = self.before.replace(at.clone()) else {
            return false;
        };
        let mut moved = at.0.iter().filter(|(p, next)| before.of(p) < **next);
        moved.next().is_none_or(|(first, _)| owned.contains(first))
    }
}

async fn keep_table(app: &Shared, table: &Arc<Table>, days: Option<u32>, stop: &CancellationToken) {
    if stop.is_cancelled() {
        return;
    }
    if let Err(error) = keep(app, table, days).await {
        tracing::warn!(table = table.name(), error = %error, "table maintenance failed, trying again later");
    }
}

async fn keep(app: &Shared, table: &Table, days: Option<u32>) -> Result<(), TableError> {
    if let Some(days) = days {
        match table.expire(app.clock.now().minus_days(days)).await {
            Ok(report) if report.files > 0 => {
                tracing::info!(
                    table = table.name(),
                    files = report.files,
                    "expired files left the table"
                );
            }
            Ok(_) => {}
            // A clock that looks wrong must not end compaction as well.
            Err(error) => {
                tracing::warn!(table = table.name(), error = %error, "nothing was expired");
            }
        }
    }
    let merged = match app.settings.history.compaction {
        true => table.compact(&CompactPolicy::default()).await,
        false => Ok(CompactReport::default()),
    };
    if let Ok(report) = &merged
        && report.removed > 0
    {
        tracing::info!(
            table = table.name(),
            before = report.removed,
            after = report.added,
            "small files were merged"
        );
    }
    // Whatever became of merging: what has expired has to leave the store.
    let grace = VacuumGrace {
        removed: app.settings.history.vacuum_grace,
        // Far more than a writer's files may wait for their commit.
        orphans: app
            .settings
            .history
            .vacuum_grace
            .max(VacuumGrace::default().orphans),
    };
    table.vacuum(grace).await?;
    merged.map(|_| ())
}

#[cfg(test)]
mod tests;
