//! `POST /v1/flush`: everything that was acknowledged is in files, or it is
//! said what holds it up.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use cairn_ingest::kafka::{PartitionState, PartitionStatus};
use cairn_schemas::control::{Principal, Role};
use cairn_schemas::{Partition, Position};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::auth::Authenticated;
use super::error::ApiError;
use super::sql::own_rows;
use crate::server::app::{App, Shared};
use crate::server::kafka;

/// How often it is looked what moves.
const LOOK: Duration = Duration::from_secs(1);
/// How long a partition that another process commits may stand still at the
/// least, before nobody waits for it any longer.
const STILL: Duration = Duration::from_secs(30);
/// How many commit intervals that has to be.
const INTERVALS: u32 = 3;

/// What is not waited for, and how it stands.
type Held = BTreeMap<Partition, String>;

/// Commits everything that was acknowledged before the call, everywhere, but
/// for what stands still: that is told as an error, once the rest is done.
pub async fn flush_all(app: &App) -> Result<Position, ApiError> {
    let mut target = Position::at(app.partition.clone(), app.log.end());
    if let Some(kafka) = &app.kafka {
        let end = kafka.ends.end().await.map_err(ApiError::unavailable)?;
        target.merge(&end);
    }
    // What is stopped waits for an administrator; the rest need not.
    let mut held = stopped(app, &target);
    loop {
        target
            .0
            .retain(|partition, _| !held.contains_key(partition));
        tokio::select! {
            committed = app.pipeline.flush(target.clone()) => match committed {
                true => break,
                false => return Err(ApiError::unavailable(
                    "the pipeline has stopped; the server's log says why",
                )),
            },
            more = stands_still(app, &target) => held.extend(more),
        }
    }
    if let Some((trail, error)) = app.trails.flush(&target).await.into_iter().next() {
        let text = format!("trail {trail} cannot deliver: {error}");
        return Err(ApiError::unavailable(text).hint(
            "history is committed; the trail goes on by itself once its destination answers",
        ));
    }
    if held.is_empty() {
        return Ok(target);
    }
    let all = held
        .iter()
        .map(|(partition, how)| format!("{partition} {how}"));
    let all: Vec<String> = all.collect();
    Err(ApiError::unavailable(all.join("; ")).hint(
        "everything else is committed; `cairn source list`, asked of the process that reads it, says what to do",
    ))
}

/// What of `target` is not committed and was given to this process, which does
/// not read it.
fn stopped(app: &App, target: &Position) -> Held {
    let reader = app.kafka.as_ref().and_then(|k| k.reader.as_ref());
    let partitions = reader.map(|r| r.board().status().partitions);
    let reason = |p: &PartitionStatus| match &p.state {
        PartitionState::Stopped { why, .. } => Some((
            kafka::partition_of(p),
            format!("is stopped: {}", kafka::told_of(why)),
        )),
        PartitionState::Reading | PartitionState::Paused => None,
    };
    let mut held: Held = partitions.iter().flatten().filter_map(reason).collect();
    let committed = app.history.committed();
    held.retain(|partition, _| target.of(partition) > committed.of(partition));
    held
}

/// Returns with what this process stops to read, or what another one has not
/// moved for long; never, while everything moves.
async fn stands_still(app: &App, target: &Position) -> Held {
    let patience = STILL.max(app.settings.history.commit_interval * INTERVALS);
    let mut seen: BTreeMap<Partition, (i64, Instant)> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let mut held = stopped(app, target);
        let (committed, owned) = (app.history.committed(), app.history.owned());
        let owned = owned.borrow().clone();
        for (partition, next) in &target.0 {
            let at = committed.of(partition);
            if at >= *next || owned.contains(partition) {
                seen.remove(partition);
                continue;
            }
            let (there, since) = seen
                .entry(partition.clone())
                .or_insert_with(|| (at, Instant::now()));
            if *there != at {
                (*there, *since) = (at, Instant::now());
            } else if since.elapsed() >= patience {
                held.insert(partition.clone(), told_by_others(app, partition, at).await);
            }
        }
        if !held.is_empty() {
            return held;
        }
    }
}

/// Why a partition that this process does not read stands still: what the one
/// that stopped it recorded, where that is the last that was recorded of it.
async fn told_by_others(app: &App, partition: &Partition, at: i64) -> String {
    let quoted = partition.to_string().replace('\'', "''");
    let query = format!(
        "SELECT event_name, request_parameters FROM history WHERE dialect = 'cairn' \
         AND resource_type = 'CAIRN::Partition' AND resource_name = '{quoted}' \
         AND event_name IN ('SourceStopped', 'SourceResumed') ORDER BY event_time DESC LIMIT 1"
    );
    let rows = own_rows(app, &Principal::cairn(), &query).await;
    let last = rows.ok().and_then(|rows| rows.into_iter().next());
    let reason = last.and_then(|row| {
        let stopped = row.get("event_name")?.as_str()? == "SourceStopped";
        let request = row.get("request_parameters")?;
        let request: Value = match request.as_str() {
            Some(text) => serde_json::from_str(text).ok()?,
            None => request.clone(),
        };
        stopped.then(|| format!("is stopped: {}", request["reason"].as_str().unwrap_or("")))
    });
    reason.unwrap_or_else(|| {
        format!(
            "stands still at {at}: the process that reads it commits nothing, and has not said why; \
             look at its log and its `cairn status`"
        )
    })
}

/// `POST /v1/flush`.
pub async fn flush(
    State(app): State<Shared>,
    asked: Authenticated,
) -> Result<Json<Value>, ApiError> {
    asked
        .needs(&app, &[Role::Admin, Role::Sender], "Flush")
        .await?;
    Ok(Json(json!({"committed": flush_all(&app).await?})))
}
