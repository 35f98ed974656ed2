//! The server's settings: plain data, checked once, handed on as arguments.
//!
//! They come from four places, the later beating the earlier: the defaults
//! below, the TOML file (`--config` or `CAIRN_CONFIG`), the environment
//! (`CAIRN_…`), the flags. [`keys::KEYS`] is the one list of what can be set;
//! the file's reader, the flags, the environment's names and the reference
//! page are all held to it.

mod check;
pub mod export;
pub mod flags;
pub mod flight;
pub mod kafka;
pub mod keys;
mod load;
pub mod pg;
pub mod query;
pub mod s3;
mod understand;
mod understand_s3;
pub mod value;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cairn_schemas::AccountId;

pub use export::Export;
pub use flight::Flight;
pub use kafka::Kafka;
pub use load::{ConfigError, Origin, Override, Problem, Sources};
pub use pg::Pg;
pub use query::Query;
pub use s3::S3;

/// A text that must not be shown: neither in logs nor in error messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Everything that `cairn serve` can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `[server]`: the HTTP door.
    pub server: Server,
    /// `[pg]`: the door for PostgreSQL's clients.
    pub pg: Pg,
    /// `[flight]`: the door for Arrow Flight SQL's clients.
    pub flight: Flight,
    /// `[data]`: where everything lies.
    pub data: Data,
    /// `[store]`: where tables lie, if not in the data folder.
    pub store: Store,
    /// `[kafka]`: where events come from beside HTTP.
    pub kafka: Kafka,
    /// `[log]`: the embedded log.
    pub log: Log,
    /// `[history]`: the table of every event.
    pub history: History,
    /// `[trails]`: the followers.
    pub trails: Trails,
    /// `[query]`: limits on SQL.
    pub query: Query,
    /// `[export]`: where exports may go.
    pub export: Export,
    /// `[queries]`: queries that nobody waits for.
    pub queries: Queries,
    /// `[organization]`: what the organization is called at the first start.
    pub organization: Organization,
    /// `[s3]`: how trails reach S3.
    pub s3: S3,
    /// `[logging]`: what the server says on standard error.
    pub logging: Logging,
}

/// `[server]`: the HTTP door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What this process does.
    pub role: Role,
    /// The address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Whether plain HTTP may be spoken on an address that other machines
    /// reach. Checked already: a settings value with a public address has it.
    pub allow_plaintext: bool,
    /// The largest request body, as sent.
    pub max_body_bytes: u64,
    /// The largest request body after decompression.
    pub max_decompressed_bytes: u64,
    /// The largest single event.
    pub max_event_bytes: u64,
    /// How long a request body may take to arrive.
    pub request_timeout: Duration,
}

/// `[data]`: where everything lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The folder of the log, the tables and the control documents.
    pub dir: PathBuf,
}

/// `[store]`: where tables and control documents lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// `s3://bucket/prefix` or `file:///folder`, without a slash at the end;
    /// the data folder's own where nothing is said.
    pub url: Option<String>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    #[default]
    All,
    /// Takes in and delivers; answers no SQL.
    Ingest,
    /// Answers SQL; reads nothing from Kafka.
    Query,
}

/// `[log]`: the embedded log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The size at which a new segment is begun.
    pub segment_bytes: u64,
}

/// `[history]`: the table of every event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The longest time between an acknowledgement and the commit.
    pub commit_interval: Duration,
    /// The rows at which the open batch is committed at once.
    pub commit_rows: u64,
    /// The bytes at which the open batch is committed at once.
    pub commit_bytes: u64,
    /// Days, counted from ingest, that events are kept.
    pub retention_days: u32,
    /// Whether small files are made into large ones.
    pub compaction: bool,
    /// The time between two looks for files to compact.
    pub compaction_interval: Duration,
    /// How long a file that left the table stays for queries under way.
    pub vacuum_grace: Duration,
    /// Whether the table, when it is made, is to hold of what was received only
    /// what its columns lack.
    pub outline_raw: bool,
}

/// `[trails]`: the followers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trails {
    /// The longest time between a commit to history and delivery.
    pub commit_interval: Duration,
    /// As for history: of the table of each trail without a destination of its own.
    pub outline_raw: bool,
}

/// `[queries]`: queries that nobody waits for, and their results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queries {
    /// The longest that one may run.
    pub timeout: Duration,
    /// How many run at once.
    pub max_concurrent: u32,
    /// How long results are kept.
    pub keep: Duration,
    /// The most that all results together may take.
    pub max_bytes: u64,
}

impl Default for Queries {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3600),
            max_concurrent: 2,
            keep: Duration::from_secs(24 * 3600),
            max_bytes: 4096 * MIB,
        }
    }
}

/// `[organization]`: taken at the first start only. Afterwards
/// `cairn organization set` decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Organization {
    /// A name for people.
    pub name: Option<String>,
    /// The account that Cairn's own events belong to.
    pub management_account: Option<AccountId>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[logging]`: what the server says on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// How lines look.
    pub format: LogFormat,
    /// What is said: a level, or `tracing` directives such as
    /// `info,cairn_ingest=debug`.
    pub level: String,
}

const MIB: u64 = 1 << 20;

impl Default for Server {
    fn default() -> Self {
        Self {
            role: Role::All,
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            allow_plaintext: false,
            max_body_bytes: 64 * MIB,
            max_decompressed_bytes: 128 * MIB,
            max_event_bytes: MIB,
            request_timeout: Duration::from_secs(60),
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("cairn-data"),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * MIB,
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_secs(5),
            commit_rows: 100_000,
            commit_bytes: 64 * MIB,
            retention_days: 90,
            compaction: true,
            compaction_interval: Duration::from_secs(60),
            vacuum_grace: Duration::from_secs(3600),
            outline_raw: true,
        }
    }
}

impl Default for Trails {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_secs(30),
            outline_raw: true,
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
