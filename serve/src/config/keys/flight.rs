//! The settings of `[flight]`.

use std::path::PathBuf;

use super::super::understand::address_or_off;
use super::{DAY, Key, SECOND, key};

/// In the order of the file.
pub(super) const FLIGHT: &[Key] = &[
    key(
        "flight.listen",
        ["flight", "CAIRN_FLIGHT_LISTEN"],
        "ADDR",
        "127.0.0.1:7433",
        "The address and port for Arrow Flight SQL's clients; port 0 takes any free port, off switches it off",
        |s, v| {
            s.flight.listen = address_or_off(v)?;
            Ok(())
        },
    ),
    key(
        "flight.tls_cert",
        ["flight-tls-cert", "CAIRN_FLIGHT_TLS_CERT"],
        "FILE",
        "",
        "The certificate (PEM) that Flight's clients are shown, followed by those between it and its root; with it TLS is spoken, and nothing else",
        |s, v| {
            s.flight.tls_cert = Some(PathBuf::from(v.text()?));
            Ok(())
        },
    ),
    key(
        "flight.tls_key",
        ["flight-tls-key", "CAIRN_FLIGHT_TLS_KEY"],
        "FILE",
        "",
        "The certificate's key (PEM, without a password)",
        |s, v| {
            s.flight.tls_key = Some(PathBuf::from(v.text()?));
            Ok(())
        },
    ),
    key(
        "flight.allow_plaintext",
        ["flight-allow-plaintext", "CAIRN_FLIGHT_ALLOW_PLAINTEXT"],
        "BOOL",
        "false",
        "Let Flight's clients from other machines come without TLS, and send their tokens in the clear (in a closed network)",
        |s, v| {
            s.flight.allow_plaintext = v.boolean()?;
            Ok(())
        },
    ),
    key(
        "flight.ticket_lifetime",
        ["flight-ticket-lifetime", "CAIRN_FLIGHT_TICKET_LIFETIME"],
        "TIME",
        "5m",
        "How long a client may take to fetch the rows that it was given a ticket for",
        |s, v| {
            s.flight.ticket_lifetime = v.duration(SECOND, DAY)?;
            Ok(())
        },
    ),
];
