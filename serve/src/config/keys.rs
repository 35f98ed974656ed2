//! The one list of what can be set. The file's sections and keys, the names in
//! the environment, the flags and the reference page are all held to it.

mod export;
mod flight;
mod kafka;
mod pg;
mod queries;
mod query;
mod s3;

use std::path::PathBuf;
use std::time::Duration;

use super::Settings;
use super::understand::{account, address, log_format, log_level, role, store_url};
use super::value::{Allowed, Given};

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `section.key`, as in the file.
    pub name: &'static str,
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// What kind of value it takes, as the help shows it.
    pub kind: &'static str,
    /// The default, as one would write it; empty where there is none.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Understands a value and keeps it.
    pub set: fn(&mut Settings, &Given) -> Result<(), Allowed>,
}

impl Key {
    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.kind == "SECRET"
    }

    /// The setting of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }
}

/// The settings that `cairn serve -h` shows; `--help` shows all.
pub const COMMON: &[&str] = &[
    "data.dir",
    "store.url",
    "server.listen",
    "pg.listen",
    "flight.listen",
    "server.role",
    "kafka.brokers",
    "kafka.topics",
    "kafka.group",
    "server.allow_plaintext",
    "history.retention_days",
    "logging.level",
];

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const MS_100: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// A checkpoint of a Delta table tells for a week what was removed; a process that
/// starts from one later would take such a file for one that was never listed.
const GRACE: Duration = Duration::from_secs(6 * 86_400);

const fn key(
    name: &'static str,
    [flag, env]: [&'static str; 2],
    kind: &'static str,
    default: &'static str,
    help: &'static str,
    set: fn(&mut Settings, &Given) -> Result<(), Allowed>,
) -> Key {
    Key {
        name,
        flag,
        env,
        kind,
        default,
        help,
        set,
    }
}

/// Every setting.
pub const KEYS: &[Key] = &joined::<
    {
        OWN.len()
            + query::QUERY.len()
            + export::EXPORT.len()
            + pg::PG.len()
            + flight::FLIGHT.len()
            + queries::QUERIES.len()
            + kafka::KAFKA.len()
            + s3::S3.len()
    },
>(&[
    OWN,
    query::QUERY,
    export::EXPORT,
    pg::PG,
    flight::FLIGHT,
    queries::QUERIES,
    kafka::KAFKA,
    s3::S3,
]);

const fn joined<const N: usize>(lists: &[&[Key]]) -> [Key; N] {
    let mut all = [OWN[0]; N];
    let (mut next, mut list) = (0, 0);
    while list < lists.len() {
        let mut at = 0;
        while at < lists[list].len() {
            all[next] = lists[list][at];
            next += 1;
            at += 1;
        }
        list += 1;
    }
    all
}

/// All but those with files of their own.
const OWN: &[Key] = &[
    key(
        "server.listen",
        ["listen", "CAIRN_SERVER_LISTEN"],
        "ADDR",
        "127.0.0.1:7070",
        "The address and port to listen on; port 0 takes any free port",
        |s, v| {
            s.server.listen = address(v)?;
            Ok(())
        },
    ),
    key(
        "server.role",
        ["role", "CAIRN_SERVER_ROLE"],
        "ROLE",
        "all",
        "What this process does: all; ingest (takes in and delivers, answers no SQL); query (answers SQL, takes nothing from Kafka)",
        |s, v| {
            s.server.role = role(v)?;
            Ok(())
        },
    ),
    key(
        "server.allow_plaintext",
        ["allow-plaintext", "CAIRN_SERVER_ALLOW_PLAINTEXT"],
        "BOOL",
        "false",
        "Speak plain HTTP on an address that other machines reach (behind a TLS proxy, or in a closed network)",
        |s, v| {
            s.server.allow_plaintext = v.boolean()?;
            Ok(())
        },
    ),
    key(
        "server.max_body_bytes",
        ["server-max-body-bytes", "CAIRN_SERVER_MAX_BODY_BYTES"],
        "SIZE",
        "64MiB",
        "The largest request body, as sent",
        |s, v| {
            s.server.max_body_bytes = v.size(KIB, 4 * GIB)?;
            Ok(())
        },
    ),
    key(
        "server.max_decompressed_bytes",
        [
            "server-max-decompressed-bytes",
            "CAIRN_SERVER_MAX_DECOMPRESSED_BYTES",
        ],
        "SIZE",
        "128MiB",
        "The largest request body after decompression",
        |s, v| {
            s.server.max_decompressed_bytes = v.size(KIB, 16 * GIB)?;
            Ok(())
        },
    ),
    key(
        "server.max_event_bytes",
        ["server-max-event-bytes", "CAIRN_SERVER_MAX_EVENT_BYTES"],
        "SIZE",
        "1MiB",
        "The largest single event; larger ones go to quarantine",
        |s, v| {
            s.server.max_event_bytes = v.size(KIB, 64 * MIB)?;
            Ok(())
        },
    ),
    key(
        "server.request_timeout",
        ["server-request-timeout", "CAIRN_SERVER_REQUEST_TIMEOUT"],
        "TIME",
        "60s",
        "How long a request body may take to arrive",
        |s, v| {
            s.server.request_timeout = v.duration(SECOND, HOUR)?;
            Ok(())
        },
    ),
    key(
        "data.dir",
        ["data", "CAIRN_DATA_DIR"],
        "DIR",
        "cairn-data",
        "The folder of the log, the tables and the control documents",
        |s, v| {
            s.data.dir = PathBuf::from(v.text()?);
            Ok(())
        },
    ),
    key(
        "store.url",
        ["store", "CAIRN_STORE_URL"],
        "URL",
        "",
        "Where tables and control documents lie: s3://bucket/prefix or file:///folder, shared by all processes of one Cairn; in the data folder where nothing is said",
        |s, v| {
            s.store.url = Some(store_url(v)?);
            Ok(())
        },
    ),
    key(
        "log.segment_bytes",
        ["log-segment-bytes", "CAIRN_LOG_SEGMENT_BYTES"],
        "SIZE",
        "64MiB",
        "The size at which the log begins a new segment",
        |s, v| {
            s.log.segment_bytes = v.size(64 * KIB, 4 * GIB)?;
            Ok(())
        },
    ),
    key(
        "history.commit_interval",
        ["history-commit-interval", "CAIRN_HISTORY_COMMIT_INTERVAL"],
        "TIME",
        "5s",
        "The longest time between an acknowledgement and its commit to history",
        |s, v| {
            s.history.commit_interval = v.duration(MS_100, HOUR)?;
            Ok(())
        },
    ),
    key(
        "history.commit_rows",
        ["history-commit-rows", "CAIRN_HISTORY_COMMIT_ROWS"],
        "N",
        "100000",
        "The rows at which a batch is committed at once",
        |s, v| {
            s.history.commit_rows = u64::from(v.number(1, 10_000_000)?);
            Ok(())
        },
    ),
    key(
        "history.commit_bytes",
        ["history-commit-bytes", "CAIRN_HISTORY_COMMIT_BYTES"],
        "SIZE",
        "64MiB",
        "The bytes at which a batch is committed at once",
        |s, v| {
            s.history.commit_bytes = v.size(MIB, 4 * GIB)?;
            Ok(())
        },
    ),
    key(
        "history.retention_days",
        ["history-retention-days", "CAIRN_HISTORY_RETENTION_DAYS"],
        "DAYS",
        "90",
        "Days, counted from ingest, that events stay in history",
        |s, v| {
            s.history.retention_days = v.number(1, 36_500)?;
            Ok(())
        },
    ),
    key(
        "history.compaction",
        ["history-compaction", "CAIRN_HISTORY_COMPACTION"],
        "BOOL",
        "true",
        "Make small files into large ones",
        |s, v| {
            s.history.compaction = v.boolean()?;
            Ok(())
        },
    ),
    key(
        "history.compaction_interval",
        [
            "history-compaction-interval",
            "CAIRN_HISTORY_COMPACTION_INTERVAL",
        ],
        "TIME",
        "60s",
        "The time between two looks for files to compact",
        |s, v| {
            s.history.compaction_interval = v.duration(SECOND, DAY)?;
            Ok(())
        },
    ),
    key(
        "history.vacuum_grace",
        ["history-vacuum-grace", "CAIRN_HISTORY_VACUUM_GRACE"],
        "TIME",
        "1h",
        "How long a file that left the table stays for queries under way; six days at most",
        |s, v| {
            s.history.vacuum_grace = v.duration(SECOND, GRACE)?;
            Ok(())
        },
    ),
    key(
        "history.outline_raw",
        ["history-outline-raw", "CAIRN_HISTORY_OUTLINE_RAW"],
        "BOOL",
        "true",
        "Store of the received bytes only what no column holds, in a table that is made from now on",
        |s, v| {
            s.history.outline_raw = v.boolean()?;
            Ok(())
        },
    ),
    key(
        "trails.commit_interval",
        ["trails-commit-interval", "CAIRN_TRAILS_COMMIT_INTERVAL"],
        "TIME",
        "30s",
        "The longest time between a commit to history and delivery to a trail",
        |s, v| {
            s.trails.commit_interval = v.duration(MS_100, HOUR)?;
            Ok(())
        },
    ),
    key(
        "trails.outline_raw",
        ["trails-outline-raw", "CAIRN_TRAILS_OUTLINE_RAW"],
        "BOOL",
        "true",
        "The same for trails that no destination was given; what is delivered elsewhere is whole",
        |s, v| {
            s.trails.outline_raw = v.boolean()?;
            Ok(())
        },
    ),
    key(
        "organization.name",
        ["organization-name", "CAIRN_ORGANIZATION_NAME"],
        "TEXT",
        "",
        "The organization's name; taken at the first start only",
        |s, v| {
            s.organization.name = Some(v.text()?);
            Ok(())
        },
    ),
    key(
        "organization.management_account",
        [
            "organization-management-account",
            "CAIRN_ORGANIZATION_MANAGEMENT_ACCOUNT",
        ],
        "ID",
        "",
        "The account of Cairn's own events; taken at the first start only",
        |s, v| {
            s.organization.management_account = Some(account(v)?);
            Ok(())
        },
    ),
    key(
        "logging.format",
        ["logging-format", "CAIRN_LOGGING_FORMAT"],
        "FORMAT",
        "text",
        "How log lines look: text or json",
        |s, v| {
            s.logging.format = log_format(v)?;
            Ok(())
        },
    ),
    key(
        "logging.level",
        ["logging-level", "CAIRN_LOGGING_LEVEL"],
        "LEVEL",
        "info",
        "What is logged: error, warn, info, debug, trace, or directives such as info,cairn_ingest=debug",
        |s, v| {
            s.logging.level = log_level(v)?;
            Ok(())
        },
    ),
];
