//! The settings of `[export]`.

use super::super::export::{network, place};
use super::{DAY, Key, MIB, SECOND, TIB, key};

/// In the order of the file.
pub(super) const EXPORT: &[Key] = &[
    key(
        "export.allow",
        ["export-allow", "CAIRN_EXPORT_ALLOW"],
        "LIST",
        "",
        "Where exports may go: file:///folder or s3://bucket/prefix, with =ENDPOINT for a store that is not AWS'; the folder exports of the data folder where nothing is said",
        |s, v| {
            let places: Result<Vec<_>, _> = v.list()?.iter().map(|t| place(t)).collect();
            s.export.allow = places?;
            Ok(())
        },
    ),
    key(
        "export.allow_addresses",
        ["export-allow-addresses", "CAIRN_EXPORT_ALLOW_ADDRESSES"],
        "LIST",
        "",
        "Addresses inside the network that the name of an export's store may lead to, such as 10.1.2.3 or 10.1.2.0/24",
        |s, v| {
            let networks: Result<Vec<_>, _> = v.list()?.iter().map(|t| network(t)).collect();
            s.export.allow_addresses = networks?;
            Ok(())
        },
    ),
    key(
        "export.timeout",
        ["export-timeout", "CAIRN_EXPORT_TIMEOUT"],
        "TIME",
        "1h",
        "The longest that one export may run; never longer than history.vacuum_grace",
        |s, v| {
            s.export.timeout = v.duration(SECOND, DAY)?;
            Ok(())
        },
    ),
    key(
        "export.max_concurrent",
        ["export-max-concurrent", "CAIRN_EXPORT_MAX_CONCURRENT"],
        "N",
        "2",
        "Exports that run at once; those beyond wait",
        |s, v| {
            s.export.max_concurrent = v.number(1, 64)?;
            Ok(())
        },
    ),
    key(
        "export.memory",
        ["export-memory", "CAIRN_EXPORT_MEMORY"],
        "SIZE",
        "256MiB",
        "Memory of the queries of all exports together",
        |s, v| {
            s.export.memory_bytes = v.size(16 * MIB, TIB)?;
            Ok(())
        },
    ),
];
