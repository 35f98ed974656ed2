//! What is known of a file without opening it: computed once while its rows
//! pass by, carried in the Delta `add` action, and read back from there.
//!
//! Delta's `stats` are for other engines, which expect timestamps of
//! milliseconds there: the least is rounded down and the greatest up. Cairn
//! itself goes by the exact values in `tags`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use cairn_schemas::{AccountId, Micros, Partition};
use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::view::{DataFile, OffsetRange};

/// A file whose accounts are more than this does not list them.
const MAX_ACCOUNTS: usize = 256;

const TAG_OFFSETS: &str = "cairn.offsets";
const TAG_ACCOUNTS: &str = "cairn.accounts";
const TAG_EVENT_TIME: &str = "cairn.event_time";
const TAG_INGEST_TIME: &str = "cairn.ingest_time";
/// The tag that holds [`RowsHash`].
pub(super) const TAG_ROWS: &str = "cairn.rows_xxh3";

/// The hash of a multiset of rows: the sum modulo 2^128 of the XXH3-128 of
/// every row's received bytes, account and place in the log. The order of the
/// rows does not matter, their number and every byte of `raw` do.
///
/// It guards a merge against the merge's own mistakes. Against who can write
/// to the store it would not help whatever its strength, for it lies beside
/// the files that it speaks of; so it need not be a cryptographic hash:
/// SHA-256 was 6 % of all processor time of a load (docs/benchmarks.md).
///
/// XXH3: <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>, seed 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowsHash(u128);

impl RowsHash {
    /// `rest` is room to work in.
    fn add_row(&mut self, row: &Row<'_>, rest: &mut Vec<u8>) {
        rest.clear();
        // Of fixed size or with its length before it, so that no two rows can
        // run into the same bytes.
        rest.extend(xxh3_128(row.raw.as_bytes()).to_le_bytes());
        rest.extend((row.raw.len() as u64).to_le_bytes());
        rest.extend((row.account.len() as u64).to_le_bytes());
        rest.extend(row.offset.to_le_bytes());
        rest.extend(row.partition.to_le_bytes());
        rest.extend(row.account.as_bytes());
        rest.extend(row.source.as_bytes());
        self.add(&Self(xxh3_128(rest)));
    }

    /// The hash of both multisets together.
    pub(super) fn add(&mut self, other: &Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// The inverse of [`Self::to_hex`].
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        (text.len() == 32)
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten()
            .map(Self)
    }

    /// 32 hexadecimal digits, the most significant first.
    pub(super) fn to_hex(self) -> String {
        format!("{:032x}", self.0)
    }
}

/// Hashes the rows of one batch.
pub(super) struct RowHasher<'a> {
    columns: Columns<'a>,
    rest: Vec<u8>,
}

impl<'a> RowHasher<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Self {
        Self {
            columns: Columns::of(batch),
            rest: Vec::with_capacity(128),
        }
    }

    /// The hash of this row; none, if the batch has no `raw` or no place in the log.
    pub(super) fn row(&mut self, row: usize) -> Option<RowsHash> {
        let c = &self.columns;
        let row = Row {
            raw: c.raw?.value(row),
            account: c.account?.value(row),
            source: c.source?.value(row),
            partition: c.partition?.value(row),
            offset: c.offset?.value(row),
        };
        let mut hash = RowsHash::default();
        hash.add_row(&row, &mut self.rest);
        Some(hash)
    }
}

/// The hash of each row of `batch`; of none, if it has no `raw` or no place in the log.
pub(super) fn row_hashes(batch: &RecordBatch) -> Vec<RowsHash> {
    let mut hasher = RowHasher::of(batch);
    (0..batch.num_rows())
        .filter_map(|row| hasher.row(row))
        .collect()
}

/// What of a row its hash is made of.
struct Row<'a> {
    raw: &'a str,
    account: &'a str,
    source: &'a str,
    partition: i32,
    offset: i64,
}

/// The columns that facts are computed from, as far as a batch has them.
pub(super) struct Columns<'a> {
    pub(super) source: Option<&'a StringArray>,
    pub(super) partition: Option<&'a Int32Array>,
    pub(super) offset: Option<&'a Int64Array>,
    account: Option<&'a StringArray>,
    raw: Option<&'a StringArray>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Self {
        let text = |name| {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_string_opt::<i32>())
        };
        Self {
            source: text("log_source"),
            partition: batch
                .column_by_name("log_partition")
                .and_then(|c| c.as_primitive_opt::<Int32Type>()),
            offset: batch
                .column_by_name("log_offset")
                .and_then(|c| c.as_primitive_opt::<Int64Type>()),
            account: text("account_id"),
            raw: text("raw"),
        }
    }
}

/// The facts of one file, growing with its rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) rows: u64,
    event_time: Option<(i64, i64)>,
    ingest_time: Option<(i64, i64)>,
    offset: Option<(i64, i64)>,
    /// Next to last used first, for nearly every row repeats its predecessor.
    ranges: Vec<OffsetRange>,
    accounts: BTreeSet<String>,
    too_many_accounts: bool,
    null_accounts: u64,
    has_accounts: bool,
    /// `None` for a table without `raw`.
    pub(super) hash: Option<RowsHash>,
}

fn widen(range: &mut Option<(i64, i64)>, low: i64, high: i64) {
    *range = Some(match *range {
        Some((l, h)) => (l.min(low), h.max(high)),
        None => (low, high),
    });
}

fn times(batch: &RecordBatch, name: &str, range: &mut Option<(i64, i64)>) {
    let Some(column) = batch
        .column_by_name(name)
        .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
    else {
        return;
    };
    if let (Some(low), Some(high)) = (arrow::compute::min(column), arrow::compute::max(column)) {
        widen(range, low, high);
    }
}

impl Facts {
    /// Takes the rows of `batch` in, but for their hash.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        times(batch, "event_time", &mut self.event_time);
        times(batch, "ingest_time", &mut self.ingest_time);
        let columns = Columns::of(batch);
        self.add_offsets(&columns);
        if let Some(accounts) = columns.account {
            self.add_accounts(accounts);
        }
    }

    /// Takes the hash of rows in, if they have one.
    pub(super) fn add_hash(&mut self, hash: Option<RowsHash>) {
        if let Some(hash) = hash {
            self.hash.get_or_insert_default().add(&hash);
        }
    }

    fn add_offsets(&mut self, columns: &Columns<'_>) {
        let (Some(source), Some(partition), Some(offset)) =
            (columns.source, columns.partition, columns.offset)
        else {
            return;
        };
        let mut at = 0;
        for row in 0..offset.len() {
            let (s, p, o) = (source.value(row), partition.value(row), offset.value(row));
            let same = |r: &OffsetRange| r.partition.number == p && r.partition.source == s;
            if !self.ranges.get(at).is_some_and(same) {
                at = self.ranges.iter().position(same).unwrap_or_else(|| {
                    self.ranges.push(OffsetRange {
                        partition: Partition {
                            source: s.to_owned(),
                            number: p,
                        },
                        first: o,
                        next: o,
                    });
                    self.ranges.len() - 1
                });
            }
            let range = &mut self.ranges[at];
            range.first = range.first.min(o);
            range.next = range.next.max(o.saturating_add(1));
            widen(&mut self.offset, o, o);
        }
    }

    fn add_accounts(&mut self, accounts: &StringArray) {
        self.has_accounts = true;
        self.null_accounts += accounts.null_count() as u64;
        let mut last = "";
        for account in accounts.iter().flatten() {
            if account == last || self.too_many_accounts {
                continue;
            }
            last = account;
            if !self.accounts.contains(account) {
                self.accounts.insert(account.to_owned());
                self.too_many_accounts = self.accounts.len() > MAX_ACCOUNTS;
            }
        }
    }

    /// The first range's bounds, for the file's name.
    pub(super) fn span(&self) -> (i64, i64) {
        self.ranges.first().map_or((0, 0), |r| (r.first, r.next))
    }

    /// Which parts of the log the rows come from.
    pub(super) fn ranges(&self) -> &[OffsetRange] {
        &self.ranges
    }

    /// Delta's `stats`.
    pub(super) fn stats(&self) -> String {
        let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
        for (name, range) in [
            ("event_time", self.event_time),
            ("ingest_time", self.ingest_time),
        ] {
            let Some((least, greatest)) = range else {
                continue;
            };
            nulls.insert(name.to_owned(), json!(0));
            // A year that RFC 3339 cannot write has no place here: readers
            // take a column without bounds as one that may hold anything.
            if let (Some(l), Some(h)) = (millis_down(least), millis_up(greatest)) {
                low.insert(name.to_owned(), json!(l));
                high.insert(name.to_owned(), json!(h));
            }
        }
        if let Some((l, h)) = self.offset {
            low.insert("log_offset".to_owned(), json!(l));
            high.insert("log_offset".to_owned(), json!(h));
            nulls.insert("log_offset".to_owned(), json!(0));
        }
        if self.has_accounts {
            nulls.insert("account_id".to_owned(), json!(self.null_accounts));
            if !self.too_many_accounts
                && let (Some(l), Some(h)) = (self.accounts.first(), self.accounts.last())
            {
                low.insert("account_id".to_owned(), json!(l));
                high.insert("account_id".to_owned(), json!(h));
            }
        }
        json!({"numRecords": self.rows, "minValues": low, "maxValues": high, "nullCount": nulls})
            .to_string()
    }

    /// Delta's `tags`, Cairn's own.
    pub(super) fn tags(&self) -> HashMap<String, Option<String>> {
        let mut tags = HashMap::new();
        let mut put = |key: &str, value: Value| {
            tags.insert(key.to_owned(), Some(value.to_string()));
        };
        let offsets: BTreeMap<String, (i64, i64)> = self
            .ranges
            .iter()
            .map(|r| (r.partition.to_string(), (r.first, r.next)))
            .collect();
        put(TAG_OFFSETS, json!(offsets));
        if let Some(range) = self.event_time {
            put(TAG_EVENT_TIME, json!(range));
        }
        if let Some(range) = self.ingest_time {
            put(TAG_INGEST_TIME, json!(range));
        }
        // A null account is no account that could be listed.
        if self.has_accounts && !self.too_many_accounts && self.null_accounts == 0 {
            put(TAG_ACCOUNTS, json!(self.accounts));
        }
        if let Some(hash) = self.hash {
            tags.insert(TAG_ROWS.to_owned(), Some(hash.to_hex()));
        }
        tags
    }
}

fn rfc3339_millis(millis: i64) -> Option<String> {
    let time = DateTime::<Utc>::from_timestamp_millis(millis)?;
    (0..=9999)
        .contains(&time.year())
        .then(|| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn millis_down(micros: i64) -> Option<String> {
    rfc3339_millis(micros.div_euclid(1000))
}

fn millis_up(micros: i64) -> Option<String> {
    rfc3339_millis(micros.div_euclid(1000) + i64::from(micros.rem_euclid(1000) != 0))
}

/// Fills what [`Facts::tags`] and [`Facts::stats`] say into `file`. What is
/// missing (a file that another engine wrote) stays unknown, which readers
/// take as "may hold anything".
pub(super) fn read_back(
    file: &mut DataFile,
    stats: Option<&str>,
    tags: Option<&HashMap<String, Option<String>>>,
) {
    let tag = |key: &str| tags.and_then(|t| t.get(key)?.as_deref());
    let range = |key: &str| -> Option<(Micros, Micros)> {
        let (low, high): (i64, i64) = serde_json::from_str(tag(key)?).ok()?;
        Some((Micros(low), Micros(high)))
    };
    file.event_time = range(TAG_EVENT_TIME);
    file.ingest_time = range(TAG_INGEST_TIME);
    file.offsets = tag(TAG_OFFSETS)
        .and_then(|text| serde_json::from_str::<BTreeMap<Partition, (i64, i64)>>(text).ok())
        .unwrap_or_default()
        .into_iter()
        .map(|(partition, (first, next))| OffsetRange {
            partition,
            first,
            next,
        })
        .collect();
    file.accounts = tag(TAG_ACCOUNTS)
        .and_then(|text| serde_json::from_str::<BTreeSet<AccountId>>(text).ok())
        .map(Arc::new);
    if let Some(stats) = stats.and_then(|s| serde_json::from_str::<Value>(s).ok()) {
        file.rows = stats["numRecords"].as_u64().unwrap_or(0);
    }
}
