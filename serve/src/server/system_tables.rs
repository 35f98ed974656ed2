//! The tables that tell of Cairn itself: `trails`, `accounts`, `commits`,
//! `queries`; and `watermarks`, which has a module of its own.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use cairn_ingest::history::History;
use cairn_query::{QueryError, SystemTable};
use cairn_schemas::Micros;
use cairn_schemas::columns::Kind;
use cairn_schemas::control::Principal;
use cairn_schemas::selector::Among;
use cairn_store::view::DataFile;

use super::http::tokens::among_json;
use super::registry::Registry;
use super::trails::TrailSet;
use super::watermarks::{Watermarks, WatermarksTable};

/// Every system table.
pub fn all(
    history: &Arc<History>,
    trails: &Arc<TrailSet>,
    registry: &Arc<Registry>,
    watermarks: &Arc<Watermarks>,
) -> Vec<Arc<dyn SystemTable>> {
    vec![
        Arc::new(Trails(Arc::clone(trails))),
        Arc::new(Accounts(Arc::clone(registry))),
        Arc::new(Commits {
            history: Arc::clone(history),
            trails: Arc::clone(trails),
        }),
        Arc::new(Queries),
        Arc::new(WatermarksTable(Arc::clone(watermarks))),
    ]
}

pub(super) fn schema(columns: &[(&str, Kind, &str)]) -> SchemaRef {
    let fields = columns.iter().map(|(name, kind, comment)| {
        let metadata = [("comment".to_owned(), (*comment).to_owned())].into();
        Field::new(*name, kind.data_type(), true).with_metadata(metadata)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(super) fn texts<T: Into<Option<String>>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values.map(Into::into)))
}

pub(super) fn times(values: impl Iterator<Item = Option<Micros>>) -> ArrayRef {
    Arc::new(
        TimestampMicrosecondArray::from_iter(values.map(|t| t.map(|t| t.0))).with_timezone("UTC"),
    )
}

pub(super) fn longs_or_null(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

fn longs(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub(super) fn batch(
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
) -> Result<Vec<RecordBatch>, QueryError> {
    let rows = RecordBatch::try_new(schema, columns);
    Ok(vec![rows.map_err(|e| QueryError::internal(e.to_string()))?])
}

#[derive(Debug)]
struct Trails(Arc<TrailSet>);

#[async_trait]
impl SystemTable for Trails {
    fn name(&self) -> &str {
        "trails"
    }

    fn comment(&self) -> &str {
        "The trails whose accounts, then and now, are all among the principal's, as they are now."
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("name", Kind::Text, "The trail's name."),
            ("id", Kind::Text, "Its id, never used again."),
            ("version", Kind::Long, "Its newest version."),
            ("status", Kind::Text, "Fresh, Enable or Disable."),
            ("accounts", Kind::Json, "all, or a list."),
            ("regions", Kind::Json, "all, or a list."),
            ("read_write", Kind::Text, "All, Read or Write."),
            ("destination", Kind::Text, "Where its table lies."),
            (
                "retention_days",
                Kind::Long,
                "Days, from ingest, that events are kept; null for ever.",
            ),
            ("updated", Kind::Time, "When the newest version was made."),
            (
                "pending_rows",
                Kind::Long,
                "Rows taken and not in files yet.",
            ),
            (
                "last_delivery",
                Kind::Time,
                "When rows were last delivered.",
            ),
            ("last_error", Kind::Text, "What went wrong last."),
        ])
    }

    async fn rows(&self, principal: &Principal) -> Result<Vec<RecordBatch>, QueryError> {
        let readable = principal.readable();
        let mut rows = Vec::new();
        for follower in self.0.all() {
            let trail = follower.trail().read().await;
            if trail.visible_to(&readable) {
                rows.push((trail.latest().clone(), follower.status()));
            }
        }
        let text = |f: fn(&cairn_schemas::trail::TrailVersion) -> String| {
            texts(rows.iter().map(|(v, _)| f(v)))
        };
        batch(
            self.schema(),
            vec![
                text(|v| v.name.to_string()),
                text(|v| v.id.to_string()),
                longs(
                    rows.iter()
                        .map(|(v, _)| i64::try_from(v.version).unwrap_or(i64::MAX)),
                ),
                text(|v| format!("{:?}", v.status)),
                text(|v| among_json(&v.selector.accounts).to_string()),
                text(|v| among_json(&v.selector.regions).to_string()),
                text(|v| v.selector.read_write.to_string()),
                text(|v| v.destination.url.clone()),
                Arc::new(Int64Array::from_iter(
                    rows.iter().map(|(v, _)| v.retention_days.map(i64::from)),
                )),
                times(rows.iter().map(|(v, _)| Some(v.at))),
                longs(
                    rows.iter()
                        .map(|(_, s)| i64::try_from(s.pending_rows).unwrap_or(i64::MAX)),
                ),
                times(rows.iter().map(|(_, s)| s.last_delivery)),
                texts(rows.iter().map(|(_, s)| s.last_error.clone())),
            ],
        )
    }
}

#[derive(Debug)]
struct Accounts(Arc<Registry>);

#[async_trait]
impl SystemTable for Accounts {
    fn name(&self) -> &str {
        "accounts"
    }

    fn comment(&self) -> &str {
        "The member accounts that the principal may read."
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("account_id", Kind::Text, "The account."),
            ("name", Kind::Text, "Its name for people."),
            ("member", Kind::Bool, "Whether it is a member now."),
            ("updated", Kind::Time, "When that last changed."),
        ])
    }

    async fn rows(&self, principal: &Principal) -> Result<Vec<RecordBatch>, QueryError> {
        let readable = principal.readable();
        let mine: Vec<_> = self
            .0
            .accounts()
            .into_iter()
            .filter(|a| readable.contains(a.id.as_str()))
            .collect();
        batch(
            self.schema(),
            vec![
                texts(mine.iter().map(|a| a.id.to_string())),
                texts(mine.iter().map(|a| a.name.clone())),
                Arc::new(BooleanArray::from_iter(mine.iter().map(|a| Some(a.member)))),
                times(mine.iter().map(|a| Some(a.at))),
            ],
        )
    }
}

#[derive(Debug)]
struct Commits {
    history: Arc<History>,
    trails: Arc<TrailSet>,
}

#[async_trait]
impl SystemTable for Commits {
    fn name(&self) -> &str {
        "commits"
    }

    fn comment(&self) -> &str {
        "The files that tables list now, and which part of the log each holds. For auditors of all accounts."
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            (
                "table_name",
                Kind::Text,
                "history, quarantine or trails.<name>.",
            ),
            ("version", Kind::Long, "The table's version."),
            ("file", Kind::Text, "The file."),
            ("rows", Kind::Long, "Its rows."),
            ("bytes", Kind::Long, "Its size."),
            ("event_time_min", Kind::Time, "Its least event time."),
            ("event_time_max", Kind::Time, "Its greatest event time."),
            ("ingest_time_min", Kind::Time, "Its least ingest time."),
            ("ingest_time_max", Kind::Time, "Its greatest ingest time."),
            (
                "offsets",
                Kind::Json,
                "The log offsets that it holds rows of: [first, next) by partition.",
            ),
        ])
    }

    async fn rows(&self, principal: &Principal) -> Result<Vec<RecordBatch>, QueryError> {
        let mut rows: Vec<(String, i64, DataFile)> = Vec::new();
        if principal.readable() == Among::All {
            let mut tables = vec![
                ("history".to_owned(), Arc::clone(self.history.table())),
                (
                    "quarantine".to_owned(),
                    Arc::clone(self.history.quarantine()),
                ),
            ];
            for follower in self.trails.all() {
                if let Some(table) = follower.table() {
                    let name = follower.trail().read().await.latest().name.folded();
                    tables.push((format!("trails.{name}"), Arc::clone(table)));
                }
            }
            for (name, table) in tables {
                let files = table.files();
                rows.extend(
                    files
                        .files
                        .iter()
                        .map(|f| (name.clone(), files.version, f.clone())),
                );
            }
        }
        let long = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let offsets = |f: &DataFile| {
            let ranges = f.offsets.iter().map(|o| {
                (
                    o.partition.to_string(),
                    serde_json::json!([o.first, o.next]),
                )
            });
            serde_json::Value::Object(ranges.collect()).to_string()
        };
        batch(
            self.schema(),
            vec![
                texts(rows.iter().map(|r| r.0.clone())),
                longs(rows.iter().map(|r| r.1)),
                texts(rows.iter().map(|r| r.2.path.to_string())),
                longs(rows.iter().map(|r| long(r.2.rows))),
                longs(rows.iter().map(|r| long(r.2.size))),
                times(rows.iter().map(|r| r.2.event_time.map(|t| t.0))),
                times(rows.iter().map(|r| r.2.event_time.map(|t| t.1))),
                times(rows.iter().map(|r| r.2.ingest_time.map(|t| t.0))),
                times(rows.iter().map(|r| r.2.ingest_time.map(|t| t.1))),
                texts(rows.iter().map(|r| offsets(&r.2))),
            ],
        )
    }
}

/// The queries that were asked: a view over Cairn's own events in history, so
/// that it is as durable as they are. Whoever is no administrator sees what
/// they asked themselves, whether they may read the account of these events
/// or not.
#[derive(Debug)]
struct Queries;

const QUERIES: &str = "SELECT event_time AS asked, principal_id AS token, user_name AS asked_by, source_ip, \
    json_get_str(request_parameters, 'query') AS query, json_get_int(response_elements, 'rows') AS rows, \
    json_get_int(response_elements, 'elapsedMs') AS elapsed_ms, error_code, error_message \
    FROM history WHERE service_name = 'cairn' AND event_name = 'Query' AND event_source = 'cairn'";

#[async_trait]
impl SystemTable for Queries {
    fn name(&self) -> &str {
        "queries"
    }

    fn comment(&self) -> &str {
        "What was asked: by yourself, or by everybody where an administrator asks."
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("asked", Kind::Time, "When the answer was complete."),
            ("token", Kind::Text, "The token's id."),
            ("asked_by", Kind::Text, "The token's name."),
            ("source_ip", Kind::Text, "From where."),
            ("query", Kind::Text, "The statement."),
            ("rows", Kind::Long, "Rows given out."),
            (
                "elapsed_ms",
                Kind::Long,
                "How long it took, in milliseconds.",
            ),
            ("error_code", Kind::Text, "Why it failed."),
            ("error_message", Kind::Text, "The same for people."),
        ])
    }

    fn view_sql(&self) -> Option<&str> {
        Some(QUERIES)
    }

    fn is_of_own_acts(&self) -> bool {
        true
    }
}
