//! The received bytes of events, laid out as CloudTrail and ActionTrail
//! deliver them: by account, region and day.
//!
//! Events of several groups are collected side by side, for the rows come in
//! no order; when they fill the memory, the largest group becomes a file.

use std::collections::BTreeMap;
use std::io::Write as _;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType};
use cairn_schemas::AccountId;
use cairn_schemas::export::ExportFormat;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest as _, Md5};
use serde::de::IgnoredAny;
use sha2::Sha256;

use super::{FILE_BYTES, Files, FilesError, Finished};

/// The columns that say where an event belongs, and its bytes.
pub const COLUMNS: [&str; 5] = ["account_id", "region", "event_time", "dialect", "raw"];

/// Bytes of events that wait, of all groups together.
const WAITING: usize = 2 * FILE_BYTES;
/// CloudTrail writes what comes without a region nowhere; a folder has to have
/// a name.
const NO_REGION: &str = "no-region";
/// Stands for the id of a resource directory, which Cairn does not know.
const DIRECTORY: &str = "rd-cairn";

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Delivery {
    format: ExportFormat,
    columns: [usize; 5],
    groups: BTreeMap<Group, Waiting>,
    waiting: usize,
    left_out: u64,
    written: u64,
}

/// A folder of the layout.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    account: AccountId,
    region: String,
    /// Days since the epoch.
    day: i64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The events, with commas between them.
    events: Vec<u8>,
    rows: u64,
    first: i64,
}

const DAY: i64 = cairn_schemas::time::DAY;

impl Delivery {
    pub(super) fn new(format: ExportFormat, schema: &SchemaRef) -> Result<Self, FilesError> {
        let mut columns = [0; 5];
        for (place, name) in columns.iter_mut().zip(COLUMNS) {
            let found = schema.fields().iter().position(|f| {
                let fits = match name {
                    "event_time" => {
                        matches!(f.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _))
                    }
                    _ => *f.data_type() == DataType::Utf8,
                };
                f.name() == name && fits
            });
            *place = found.ok_or_else(|| {
                FilesError::Unsuited(format!(
                    "the format {} needs the columns {} of events as they are in history, and {name} is not among the answer's: \
                     SELECT {} FROM history WHERE …, or give a filter instead of SQL",
                    format.as_str(),
                    COLUMNS.join(", "),
                    COLUMNS.join(", ")
                ))
            })?;
        }
        Ok(Self {
            format,
            columns,
            groups: BTreeMap::new(),
            waiting: 0,
            left_out: 0,
            written: 0,
        })
    }

    fn text<'a>(&self, batch: &'a RecordBatch, n: usize) -> &'a StringArray {
        batch.column(self.columns[n]).as_string::<i32>()
    }

    fn add(&mut self, group: Group, time: i64, raw: &str) {
        let waiting = self.groups.entry(group).or_default();
        let before = waiting.events.len();
        if waiting.rows == 0 {
            waiting.first = time;
        } else {
            waiting.events.push(b',');
        }
        waiting.events.extend_from_slice(raw.as_bytes());
        waiting.rows += 1;
        waiting.first = waiting.first.min(time);
        self.waiting += waiting.events.len() - before;
    }

    /// Makes a file of the events that wait in one group.
    fn file(&mut self, group: &Group) -> Result<Option<Finished>, FilesError> {
        let Some(waiting) = self.groups.remove(group) else {
            return Ok(None);
        };
        self.waiting -= waiting.events.len();
        let (before, after) = match self.format {
            ExportFormat::CloudTrail => (&b"{\"Records\":["[..], &b"]}"[..]),
            _ => (&b"["[..], &b"]"[..]),
        };
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        for part in [before, &waiting.events, after] {
            packed.write_all(part)?;
        }
        let bytes = packed.finish()?;
        let name = self.name(group, &waiting, &bytes);
        self.written += 1;
        Ok(Some(Finished::new(name, bytes, waiting.rows)))
    }

    fn name(&self, group: &Group, waiting: &Waiting, bytes: &[u8]) -> String {
        let Group {
            account, region, ..
        } = group;
        let time = time_of(waiting.first);
        let day = time.format("%Y/%m/%d");
        if self.format == ExportFormat::CloudTrail {
            // Sixteen letters and digits, as CloudTrail has them; the number
            // keeps two files of one content apart.
            let mut unique = Sha256::new_with_prefix(self.written.to_be_bytes());
            sha2::Digest::update(&mut unique, bytes);
            let unique = hex::encode_upper(unique.finalize());
            let minute = time.format("%Y%m%dT%H%MZ");
            return format!(
                "AWSLogs/{account}/CloudTrail/{region}/{day}/{account}_CloudTrail_{region}_{minute}_{}.json.gz",
                &unique[..16]
            );
        }
        let second = time.format("%Y%m%d%H%M%S");
        let sum = hex::encode(Md5::digest(bytes));
        format!(
            "AliyunLogs/Actiontrail/{DIRECTORY}/{account}/{region}/{day}/Actiontrail_{region}_{second}_1002_{}_{}_{sum}.gz",
            waiting.rows,
            bytes.len()
        )
    }

    fn dialect(&self) -> &'static str {
        match self.format {
            ExportFormat::CloudTrail => "cloudtrail",
            _ => "actiontrail",
        }
    }
}

impl Files for Delivery {
    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<Finished>, FilesError> {
        let [accounts, regions, dialects, raws] = [0, 1, 3, 4].map(|n| self.text(batch, n));
        let times: &TimestampMicrosecondArray = batch
            .column(self.columns[2])
            .as_primitive::<TimestampMicrosecondType>();
        let mut done = Vec::new();
        for row in 0..batch.num_rows() {
            if dialects.is_null(row) || dialects.value(row) != self.dialect() {
                self.left_out += 1;
                continue;
            }
            if accounts.is_null(row) || times.is_null(row) || raws.is_null(row) {
                return Err(FilesError::Unsuited(
                    "the account, the time or the received bytes of an event are withheld or missing, \
                     and this format consists of them: choose another one"
                        .to_owned(),
                ));
            }
            let account = AccountId::new(accounts.value(row))
                .map_err(|e| FilesError::Unsuited(e.to_string()))?;
            let region = match regions.is_null(row) {
                true => NO_REGION.to_owned(),
                false => folder(regions.value(row)),
            };
            let (time, raw) = (times.value(row), raws.value(row));
            // Only a statement of the user's own can have made another one.
            if !raw.starts_with('{') || serde_json::from_str::<IgnoredAny>(raw).is_err() {
                return Err(FilesError::Unsuited(
                    "the column raw holds something else than events".to_owned(),
                ));
            }
            let day = time.div_euclid(DAY);
            let group = Group {
                account,
                region,
                day,
            };
            self.add(group.clone(), time, raw);
            if self.groups[&group].events.len() >= FILE_BYTES {
                done.extend(self.file(&group)?);
            }
            while self.waiting > WAITING {
                let largest = self.groups.iter().max_by_key(|(_, w)| w.events.len());
                let Some(largest) = largest.map(|(group, _)| group.clone()) else {
                    break;
                };
                done.extend(self.file(&largest)?);
            }
        }
        Ok(done)
    }

    fn end(&mut self) -> Result<Vec<Finished>, FilesError> {
        let groups: Vec<Group> = self.groups.keys().cloned().collect();
        let mut done = Vec::new();
        for group in groups {
            done.extend(self.file(&group)?);
        }
        Ok(done)
    }

    fn left_out(&self) -> u64 {
        self.left_out
    }
}

/// A time that every year from 0 to 9999 has; others are put at the epoch, for
/// a name has to be made.
fn time_of(micros: i64) -> DateTime<Utc> {
    use chrono::Datelike as _;
    DateTime::from_timestamp_micros(micros)
        .filter(|time| (0..=9999).contains(&time.year()))
        .unwrap_or_default()
}

/// A region as the name of a folder. Regions are as senders wrote them; what
/// would be more than a name is written as `_`.
fn folder(region: &str) -> String {
    let harmless = |c: char| match c {
        c if c.is_ascii_alphanumeric() || c == '-' => c,
        _ => '_',
    };
    match region {
        "" => NO_REGION.to_owned(),
        region => region.chars().take(64).map(harmless).collect(),
    }
}
