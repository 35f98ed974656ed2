//! The settings of `[queries]`.

use super::{DAY, Key, MIB, SECOND, TIB, key};

/// In the order of the file.
pub(super) const QUERIES: &[Key] = &[
    key(
        "queries.timeout",
        ["queries-timeout", "CAIRN_QUERIES_TIMEOUT"],
        "TIME",
        "1h",
        "The longest that a query may run that nobody waits for",
        |s, v| {
            s.queries.timeout = v.duration(SECOND, DAY)?;
            Ok(())
        },
    ),
    key(
        "queries.max_concurrent",
        ["queries-max-concurrent", "CAIRN_QUERIES_MAX_CONCURRENT"],
        "N",
        "2",
        "How many of these run at once; each takes one of query.max_concurrent as well",
        |s, v| {
            s.queries.max_concurrent = v.number(1, 1024)?;
            Ok(())
        },
    ),
    key(
        "queries.keep",
        ["queries-keep", "CAIRN_QUERIES_KEEP"],
        "TIME",
        "24h",
        "How long their results are kept",
        |s, v| {
            s.queries.keep = v.duration(SECOND, 90 * DAY)?;
            Ok(())
        },
    ),
    key(
        "queries.max_bytes",
        ["queries-max-bytes", "CAIRN_QUERIES_MAX_BYTES"],
        "SIZE",
        "4GiB",
        "The most that all kept results together may take",
        |s, v| {
            s.queries.max_bytes = v.size(MIB, 64 * TIB)?;
            Ok(())
        },
    ),
];
