//! What is logged at which level.

use tracing_subscriber::EnvFilter;

use super::{directives, misspelt};

#[test]
fn misspelt_variables_are_told_and_others_are_not() {
    let names = [
        "CAIRN_HISTORY_RETENTIONDAYS",
        "CAIRN_HISTORY_RETENTION_DAYS",
        "CAIRN_QUERY_SERVICE_HOST",
        "CAIRN_QUERY_PORT_7070_TCP",
        "CAIRN_TOKEN",
        "CAIRN_TOKEN_FILE",
        "CAIRN_URL",
        "HOME",
    ];
    let told = misspelt(names.iter().map(|n| (*n).to_owned()));
    assert_eq!(told, ["CAIRN_HISTORY_RETENTIONDAYS"]);
}

#[test]
fn at_info_checkpoints_are_not_told_in_eight_lines() {
    assert_eq!(directives("info"), "info,buoyant_kernel=warn");
    assert_eq!(
        directives("cairn_ingest=debug, info"),
        "cairn_ingest=debug, info,buoyant_kernel=warn"
    );
    EnvFilter::try_new(directives("cairn_ingest=debug, info")).unwrap();
    for asked in [
        "error",
        "warn",
        "off",
        "debug",
        "info,buoyant_kernel=info",
        "cairn_ingest=info",
    ] {
        assert_eq!(directives(asked), asked);
    }
}
