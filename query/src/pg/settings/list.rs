//! The settings that there are.

use crate::pg::settings::{SERVER_VERSION, SERVER_VERSION_NUM};

/// Which values a setting takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// It cannot be set.
    Fixed,
    /// Any text; it changes nothing here.
    Any,
    /// on or off; it changes nothing here.
    Switch,
    /// A whole number between these.
    Number(i64, i64),
    /// One of these, in any case.
    OneOf(&'static [&'static str]),
    /// One that begins like this; anything else would change how values are
    /// written, and they are written in one way.
    Like(&'static str),
    /// A time zone: times are given in UTC.
    Utc,
    /// A length of time in milliseconds, or with a unit.
    Time,
    /// Names of schemas.
    Schemas,
}

/// One setting.
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// Its value, unless one was set.
    pub(super) usual: &'static str,
    pub(super) rule: Rule,
    pub(super) about: &'static str,
}

const fn s(name: &'static str, usual: &'static str, rule: Rule, about: &'static str) -> Setting {
    Setting {
        name,
        usual,
        rule,
        about,
    }
}

const ISOLATION: Rule = Rule::OneOf(&[
    "read committed",
    "read uncommitted",
    "repeatable read",
    "serializable",
]);
const LEVELS: Rule = Rule::OneOf(&[
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info", "notice", "warning",
    "error", "fatal", "panic",
]);

/// In the order of their names.
pub(super) const SETTINGS: &[Setting] = &[
    s(
        "application_name",
        "",
        Rule::Any,
        "The client's name for itself.",
    ),
    s(
        "backslash_quote",
        "safe_encoding",
        Rule::Fixed,
        "Whether \\' is allowed in texts.",
    ),
    s(
        "block_size",
        "8192",
        Rule::Fixed,
        "PostgreSQL's own figure.",
    ),
    s(
        "bytea_output",
        "hex",
        Rule::OneOf(&["hex"]),
        "How bytes are written.",
    ),
    s(
        "client_encoding",
        "UTF8",
        Rule::Like("utf8"),
        "The client's encoding.",
    ),
    s(
        "client_min_messages",
        "notice",
        LEVELS,
        "Which messages are sent.",
    ),
    s(
        "datestyle",
        "ISO, MDY",
        Rule::Like("iso"),
        "How dates are written.",
    ),
    s(
        "default_table_access_method",
        "heap",
        Rule::Fixed,
        "PostgreSQL's own word; tables are Parquet files.",
    ),
    s("default_tablespace", "", Rule::Fixed, "There are none."),
    s(
        "default_transaction_deferrable",
        "off",
        Rule::Switch,
        "Changes nothing here.",
    ),
    s(
        "default_transaction_isolation",
        "read committed",
        ISOLATION,
        "Each statement sees one state of the tables, whatever the level.",
    ),
    s(
        "default_transaction_read_only",
        "on",
        Rule::Switch,
        "Nothing here can be written.",
    ),
    s(
        "enable_hashjoin",
        "on",
        Rule::Switch,
        "Changes nothing here.",
    ),
    s(
        "enable_mergejoin",
        "on",
        Rule::Switch,
        "Changes nothing here.",
    ),
    s(
        "enable_nestloop",
        "on",
        Rule::Switch,
        "Changes nothing here.",
    ),
    s(
        "enable_seqscan",
        "on",
        Rule::Switch,
        "Changes nothing here.",
    ),
    s(
        "escape_string_warning",
        "on",
        Rule::Switch,
        "Changes nothing here.",
    ),
    s(
        "extra_float_digits",
        "1",
        Rule::Number(-15, 3),
        "Numbers are written in full, always.",
    ),
    s("geqo", "on", Rule::Switch, "Changes nothing here."),
    s(
        "idle_in_transaction_session_timeout",
        "0",
        Rule::Time,
        "Changes nothing here.",
    ),
    s(
        "in_hot_standby",
        "off",
        Rule::Fixed,
        "Whether this is a standby.",
    ),
    s(
        "integer_datetimes",
        "on",
        Rule::Fixed,
        "Times are whole numbers.",
    ),
    s(
        "intervalstyle",
        "postgres",
        Rule::OneOf(&["postgres"]),
        "How spans of time are written.",
    ),
    s("is_superuser", "off", Rule::Fixed, "Nobody is."),
    s("jit", "off", Rule::Switch, "Changes nothing here."),
    s(
        "lc_collate",
        "C",
        Rule::Fixed,
        "Texts are ordered by their bytes.",
    ),
    s(
        "lc_ctype",
        "C.UTF-8",
        Rule::Fixed,
        "What counts as a letter.",
    ),
    s("lc_messages", "C", Rule::Any, "Changes nothing here."),
    s("lc_monetary", "C", Rule::Any, "Changes nothing here."),
    s("lc_numeric", "C", Rule::Any, "Changes nothing here."),
    s("lc_time", "C", Rule::Any, "Changes nothing here."),
    s("lock_timeout", "0", Rule::Time, "Nothing is ever locked."),
    s(
        "max_connections",
        "100",
        Rule::Fixed,
        "PostgreSQL's own figure; the server's limits stand in its configuration.",
    ),
    s(
        "max_identifier_length",
        "63",
        Rule::Fixed,
        "PostgreSQL's own figure; names here may be longer.",
    ),
    s("max_index_keys", "32", Rule::Fixed, "There are no indexes."),
    s(
        "max_parallel_workers_per_gather",
        "2",
        Rule::Number(0, 1024),
        "Changes nothing here.",
    ),
    s("random_page_cost", "4", Rule::Any, "Changes nothing here."),
    s(
        "role",
        "none",
        Rule::OneOf(&["none"]),
        "Nobody can become somebody else.",
    ),
    s(
        "row_security",
        "on",
        Rule::OneOf(&["on", "true", "yes", "1"]),
        "Rows of other accounts are never shown.",
    ),
    s(
        "search_path",
        "\"$user\", public",
        Rule::Schemas,
        "Where names without a schema are looked for.",
    ),
    s("seq_page_cost", "1", Rule::Any, "Changes nothing here."),
    s(
        "server_encoding",
        "UTF8",
        Rule::Fixed,
        "The server's encoding.",
    ),
    s(
        "server_version",
        SERVER_VERSION,
        Rule::Fixed,
        "The PostgreSQL whose words are spoken here.",
    ),
    s(
        "server_version_num",
        SERVER_VERSION_NUM,
        Rule::Fixed,
        "The same as a number.",
    ),
    s(
        "session_authorization",
        "",
        Rule::Fixed,
        "Who is asking: the id of the token.",
    ),
    s("ssl", "off", Rule::Fixed, "See the server's configuration."),
    s(
        "standard_conforming_strings",
        "on",
        Rule::OneOf(&["on", "true", "yes", "1"]),
        "Backslashes in texts are letters.",
    ),
    s(
        "statement_timeout",
        "0",
        Rule::Time,
        "A shorter limit than the server's own; 0 is the server's own.",
    ),
    s(
        "synchronize_seqscans",
        "on",
        Rule::Switch,
        "Changes nothing here.",
    ),
    s(
        "synchronous_commit",
        "on",
        Rule::Any,
        "Changes nothing here.",
    ),
    s("timezone", "UTC", Rule::Utc, "Times are given in UTC."),
    s(
        "transaction_deferrable",
        "off",
        Rule::Switch,
        "Changes nothing here.",
    ),
    s(
        "transaction_isolation",
        "read committed",
        ISOLATION,
        "Each statement sees one state of the tables, whatever the level.",
    ),
    s(
        "transaction_mode",
        "",
        Rule::Any,
        "The modes of a transaction change nothing here.",
    ),
    s(
        "transaction_read_only",
        "on",
        Rule::Switch,
        "Nothing here can be written.",
    ),
    s(
        "work_mem",
        "4MB",
        Rule::Any,
        "Changes nothing here; the server has limits of its own.",
    ),
];
