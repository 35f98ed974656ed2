//! The settings of `[pg]`.

use std::path::PathBuf;

use super::super::understand::address_or_off;
use super::{Key, key};

/// In the order of the file.
pub(super) const PG: &[Key] = &[
    key(
        "pg.listen",
        ["pg", "CAIRN_PG_LISTEN"],
        "ADDR",
        "127.0.0.1:7432",
        "The address and port for PostgreSQL's clients; port 0 takes any free port, off switches it off",
        |s, v| {
            s.pg.listen = address_or_off(v)?;
            Ok(())
        },
    ),
    key(
        "pg.tls_cert",
        ["pg-tls-cert", "CAIRN_PG_TLS_CERT"],
        "FILE",
        "",
        "The certificate (PEM) that PostgreSQL's clients are shown, followed by those between it and its root; with it TLS is spoken, and clients from other machines need it",
        |s, v| {
            s.pg.tls_cert = Some(PathBuf::from(v.text()?));
            Ok(())
        },
    ),
    key(
        "pg.tls_key",
        ["pg-tls-key", "CAIRN_PG_TLS_KEY"],
        "FILE",
        "",
        "The certificate's key (PEM, without a password)",
        |s, v| {
            s.pg.tls_key = Some(PathBuf::from(v.text()?));
            Ok(())
        },
    ),
    key(
        "pg.allow_plaintext",
        ["pg-allow-plaintext", "CAIRN_PG_ALLOW_PLAINTEXT"],
        "BOOL",
        "false",
        "Let PostgreSQL's clients from other machines come without TLS (in a closed network); they have to log in by SCRAM",
        |s, v| {
            s.pg.allow_plaintext = v.boolean()?;
            Ok(())
        },
    ),
    key(
        "pg.max_connections",
        ["pg-max-connections", "CAIRN_PG_MAX_CONNECTIONS"],
        "N",
        "100",
        "Sessions of PostgreSQL's clients at once; those beyond are refused",
        |s, v| {
            s.pg.max_connections = v.number(1, 10_000)?;
            Ok(())
        },
    ),
];
