//! What can be set, and what not.

use super::*;

fn refused(name: &str, value: &str) -> &'static str {
    Settings::default()
        .set(name, value, false)
        .expect_err(name)
        .code
}

#[test]
fn what_is_not_known_or_not_possible_is_refused() {
    assert_eq!(refused("no_such_setting", "1"), "42704");
    assert_eq!(refused("datafusion.catalog.location", "/etc"), "42704");
    assert_eq!(refused("server_version", "16"), "55P02");
    assert_eq!(refused("is_superuser", "on"), "55P02");
    assert_eq!(refused("client_encoding", "LATIN1"), "22023");
    assert_eq!(refused("DateStyle", "German"), "22023");
    assert_eq!(refused("TimeZone", "Europe/Berlin"), "22023");
    assert_eq!(refused("standard_conforming_strings", "off"), "22023");
    assert_eq!(refused("row_security", "off"), "22023");
    assert_eq!(refused("statement_timeout", "soon"), "22023");
    assert_eq!(refused("extra_float_digits", "4"), "22023");
    assert_eq!(refused("application_name", &"x".repeat(2000)), "22023");
    let error = Settings::default().get("x").expect_err("unknown");
    assert_eq!(error.code, "42704");
}

#[test]
fn what_drivers_send_is_taken() {
    let settings = Settings::new(7);
    for (name, value, told) in [
        ("extra_float_digits", "3", "3"),
        (
            "application_name",
            "PostgreSQL JDBC Driver",
            "PostgreSQL JDBC Driver",
        ),
        ("client_encoding", "utf-8", "UTF8"),
        ("CLIENT_ENCODING", "'UNICODE'", "UTF8"),
        ("DateStyle", "ISO", "ISO, MDY"),
        ("jit", "off", "off"),
        ("timezone", "Etc/UTC", "UTC"),
        ("TIME ZONE", "UTC", "UTC"),
        ("standard_conforming_strings", "on", "on"),
        (
            "default_transaction_isolation",
            "serializable",
            "read committed",
        ),
        ("transaction_read_only", "off", "on"),
        ("search_path", "trails, public", "trails, public"),
    ] {
        settings.set(name, value, false).expect(name);
        assert_eq!(settings.get(name).expect(name), told, "{name}");
    }
    assert_eq!(settings.path(), ["trails", "public"]);
    assert_eq!(settings.backend(), 7);
    // While connecting a zone of the client's machine is passed over.
    settings.set_at_start("TimeZone", "Europe/Berlin").unwrap();
    assert_eq!(settings.get("TimeZone").unwrap(), "UTC");
    assert!(settings.set_at_start("client_encoding", "LATIN1").is_err());
    settings.set_at_start("application_name", "psql").unwrap();
    settings.reset_all();
    assert_eq!(settings.path(), ["public"]);
    assert_eq!(settings.get("application_name").unwrap(), "psql");
    assert!(
        settings
            .told()
            .contains(&("application_name", "psql".to_owned()))
    );
    assert_eq!(settings.told().len(), TELL.len());
}

#[test]
fn a_limit_on_time_is_read() {
    let settings = Settings::default();
    assert_eq!(settings.statement_timeout(), None);
    for (value, ms) in [("250", 250), ("5s", 5000), ("2min", 120_000)] {
        settings.set("statement_timeout", value, false).unwrap();
        let limit = settings.statement_timeout();
        assert_eq!(limit, Some(Duration::from_millis(ms)), "{value}");
    }
    settings.set("statement_timeout", "0", false).unwrap();
    assert_eq!(settings.statement_timeout(), None);
}

#[test]
fn a_transaction_takes_back_what_it_set() {
    let settings = Settings::default();
    let name = || settings.get("application_name").unwrap();
    settings.set("application_name", "a", false).unwrap();
    // Outside of a transaction there is nothing that it would hold for.
    settings.set("application_name", "b", true).unwrap();
    assert_eq!(name(), "a");
    settings.begin();
    settings.set("application_name", "b", true).unwrap();
    assert_eq!(name(), "b");
    settings.end(true);
    assert_eq!(name(), "a");
    settings.begin();
    settings.set("application_name", "c", false).unwrap();
    settings.end(false);
    assert_eq!(name(), "a");
    settings.begin();
    settings.set("application_name", "d", false).unwrap();
    settings.end(true);
    assert_eq!(name(), "d");
}

#[test]
fn the_list_is_in_order_and_takes_its_own_values() {
    let names: Vec<&str> = SETTINGS.iter().map(|s| s.name).collect();
    assert!(names.is_sorted());
    for setting in SETTINGS {
        if !matches!(setting.rule, Rule::Fixed) {
            accepted(setting, setting.usual).expect(setting.name);
        }
    }
}
