//! The settings of `[query]`.

use std::path::PathBuf;

use super::{DAY, Key, MIB, SECOND, TIB, key};

/// Limits on SQL.
pub(super) const QUERY: &[Key] = &[
    key(
        "query.memory",
        ["query-memory", "CAIRN_QUERY_MEMORY"],
        "SIZE",
        "512MiB",
        "Memory of all queries together",
        |s, v| {
            s.query.memory_bytes = v.size(16 * MIB, TIB)?;
            Ok(())
        },
    ),
    key(
        "query.timeout",
        ["query-timeout", "CAIRN_QUERY_TIMEOUT"],
        "TIME",
        "60s",
        "The longest that one query may run",
        |s, v| {
            s.query.timeout = v.duration(SECOND, DAY)?;
            Ok(())
        },
    ),
    key(
        "query.max_concurrent",
        ["query-max-concurrent", "CAIRN_QUERY_MAX_CONCURRENT"],
        "N",
        "8",
        "Queries that run at once",
        |s, v| {
            s.query.max_concurrent = v.number(1, 1024)?;
            Ok(())
        },
    ),
    key(
        "query.threads",
        ["query-threads", "CAIRN_QUERY_THREADS"],
        "N",
        "0",
        "Threads that run queries; 0 is one for each core",
        |s, v| {
            s.query.threads = v.number(0, 1024)?;
            Ok(())
        },
    ),
    key(
        "query.spill_dir",
        ["query-spill-dir", "CAIRN_QUERY_SPILL_DIR"],
        "DIR",
        "",
        "Where sorts and aggregations that outgrow the memory go; in the data folder where nothing is said",
        |s, v| {
            s.query.spill_dir = Some(PathBuf::from(v.text()?));
            Ok(())
        },
    ),
    key(
        "query.spill_bytes",
        ["query-spill-bytes", "CAIRN_QUERY_SPILL_BYTES"],
        "SIZE",
        "4GiB",
        "The most that may lie there; 0 forbids it",
        |s, v| {
            s.query.spill_bytes = v.size(0, 64 * TIB)?;
            Ok(())
        },
    ),
    key(
        "query.memory_per_query",
        ["query-memory-per-query", "CAIRN_QUERY_MEMORY_PER_QUERY"],
        "SIZE",
        "0",
        "Memory of one query; 0 is three quarters of query.memory",
        |s, v| {
            s.query.memory_per_query = v.size(0, TIB)?;
            Ok(())
        },
    ),
    key(
        "query.memory_per_principal",
        [
            "query-memory-per-principal",
            "CAIRN_QUERY_MEMORY_PER_PRINCIPAL",
        ],
        "SIZE",
        "0",
        "Memory of all queries of one token together; 0 is three quarters of query.memory",
        |s, v| {
            s.query.memory_per_principal = v.size(0, TIB)?;
            Ok(())
        },
    ),
    key(
        "query.max_concurrent_per_principal",
        [
            "query-max-concurrent-per-principal",
            "CAIRN_QUERY_MAX_CONCURRENT_PER_PRINCIPAL",
        ],
        "N",
        "0",
        "Queries of one token that run at once; 0 is three quarters of query.max_concurrent",
        |s, v| {
            s.query.max_concurrent_per_principal = v.number(0, 1024)?;
            Ok(())
        },
    ),
    key(
        "query.max_waiting",
        ["query-max-waiting", "CAIRN_QUERY_MAX_WAITING"],
        "N",
        "64",
        "Queries that wait for a place, half of them of one token; those beyond are refused at once",
        |s, v| {
            s.query.max_waiting = v.number(0, 65536)?;
            Ok(())
        },
    ),
    key(
        "query.max_rows",
        ["query-max-rows", "CAIRN_QUERY_MAX_ROWS"],
        "N",
        "0",
        "The most rows that one query may give; 0 is no limit",
        |s, v| {
            s.query.max_rows = v.number(0, u32::MAX)?;
            Ok(())
        },
    ),
    key(
        "query.max_result_bytes",
        ["query-max-result-bytes", "CAIRN_QUERY_MAX_RESULT_BYTES"],
        "SIZE",
        "0",
        "The most bytes that one query may give, as they lie in memory; 0 is no limit",
        |s, v| {
            s.query.max_result_bytes = v.size(0, 64 * TIB)?;
            Ok(())
        },
    ),
    key(
        "query.spill_bytes_per_query",
        [
            "query-spill-bytes-per-query",
            "CAIRN_QUERY_SPILL_BYTES_PER_QUERY",
        ],
        "SIZE",
        "0",
        "The most of it that one query may take; 0 is three quarters of query.spill_bytes",
        |s, v| {
            s.query.spill_bytes_per_query = v.size(0, 64 * TIB)?;
            Ok(())
        },
    ),
    key(
        "query.spill_bytes_per_principal",
        [
            "query-spill-bytes-per-principal",
            "CAIRN_QUERY_SPILL_BYTES_PER_PRINCIPAL",
        ],
        "SIZE",
        "0",
        "The most of it that all queries of one token may take; 0 is three quarters of query.spill_bytes",
        |s, v| {
            s.query.spill_bytes_per_principal = v.size(0, 64 * TIB)?;
            Ok(())
        },
    ),
];
