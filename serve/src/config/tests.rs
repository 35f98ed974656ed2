use clap::{Args, Command, FromArgMatches};

use super::flags::ServeArgs;
use super::keys::{KEYS, Key};
use super::load::ConfigError;
use super::value::{Given, parse_duration, parse_size};
use super::*;
use cairn_store::objects::Credentials;

const EXAMPLE: &str = include_str!("../../../deploy/cairn.example.toml");
const REFERENCE: &str = include_str!("../../../docs/configuration.md");

fn file(text: &str) -> Sources {
    Sources {
        file: Some((PathBuf::from("c.toml"), text.to_owned())),
        ..Sources::default()
    }
}

fn with(name: &str, value: &str, origin: Origin) -> Override {
    Override {
        key: Key::find(name).unwrap(),
        value: Given::Text(value.to_owned()),
        origin,
    }
}

fn refusal(sources: &Sources) -> String {
    Settings::load(sources).unwrap_err().to_string()
}

#[test]
fn later_places_beat_earlier_ones() {
    let mut sources = file("[history]\nretention_days = 30\ncommit_rows = 7\n");
    sources.overrides.push(with(
        "history.retention_days",
        "31",
        Origin::Environment("CAIRN_HISTORY_RETENTION_DAYS"),
    ));
    let settings = Settings::load(&sources).unwrap();
    assert_eq!(settings.history.retention_days, 31);
    assert_eq!(settings.history.commit_rows, 7);
    assert_eq!(
        settings.history.commit_interval,
        Duration::from_secs(5),
        "the default stays where nothing was said"
    );
}

fn parsed(args: &[&str]) -> Settings {
    let command = ServeArgs::augment_args(Command::new("serve"));
    let matches = command.try_get_matches_from(args).unwrap();
    ServeArgs::from_arg_matches(&matches)
        .unwrap()
        .settings()
        .unwrap()
}

#[test]
fn flags_beat_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cairn.toml");
    std::fs::write(
        &path,
        "[server]\nlisten = \"127.0.0.1:1\"\n[data]\ndir = \"/f\"\n",
    )
    .unwrap();
    let settings = parsed(&[
        "serve",
        "--config",
        path.to_str().unwrap(),
        "--listen",
        "localhost:2",
        "--history-compaction=false",
    ]);
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:2");
    assert_eq!(settings.data.dir, PathBuf::from("/f"));
    assert!(!settings.history.compaction);
}

#[test]
fn a_bare_boolean_flag_means_true_and_takes_no_neighbour() {
    let settings = parsed(&["serve", "--allow-plaintext", "--listen", "0.0.0.0:0"]);
    assert!(settings.server.allow_plaintext);
}

/// Flags that are typed so often that they have no section in their names.
const SHORT: &[&str] = &[
    "listen",
    "pg",
    "flight",
    "allow-plaintext",
    "data",
    "store",
    "role",
    "kafka",
    "topic",
    "group",
    "kafka-dialect",
    "kafka-property",
];

#[test]
fn names_of_flags_and_variables_follow_from_the_key() {
    for key in KEYS {
        let upper = key.name.to_ascii_uppercase().replace('.', "_");
        assert_eq!(key.env, format!("CAIRN_{upper}"));
        let long = key.name.replace(['.', '_'], "-");
        assert!(
            key.flag == long || SHORT.contains(&key.flag),
            "{}",
            key.flag
        );
    }
}

#[test]
fn written_defaults_are_the_defaults() {
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        let mut settings = Settings::default();
        (key.set)(&mut settings, &Given::Text(key.default.to_owned())).unwrap();
        assert_eq!(settings, Settings::default(), "{}", key.name);
    }
}

#[test]
fn the_example_is_the_defaults_and_names_every_key() {
    assert_eq!(Settings::load(&file(EXAMPLE)).unwrap(), Settings::default());
    // With every commented key taken in, it still has to be understood.
    let all = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
        // A name and a password go with a protocol that logs in.
        .replace(
            "security_protocol = \"plaintext\"",
            "security_protocol = \"sasl_ssl\"",
        );
    Settings::load(&file(&all)).unwrap();
    let table: toml::Table = all.parse().unwrap();
    for key in KEYS {
        let (section, leaf) = key.name.split_once('.').unwrap();
        assert!(table[section].get(leaf).is_some(), "{}", key.name);
    }
}

#[test]
fn the_reference_page_names_every_key() {
    for key in KEYS {
        let leaf = key.name.rsplit('.').next().unwrap();
        let default = if key.default.is_empty() {
            String::new()
        } else {
            format!("`{}`", key.default)
        };
        let row = format!("| `{leaf}` | {} | {default} |", key.kind);
        assert!(REFERENCE.contains(&row), "no row {row}");
        assert!(REFERENCE.contains(&format!("`--{}` | `{}`", key.flag, key.env)));
    }
}

#[test]
fn every_setting_refuses_a_wrong_value_and_says_what_is_allowed() {
    for key in KEYS {
        let (section, leaf) = key.name.split_once('.').unwrap();
        let text = format!("# one\n[{section}]\n{leaf} = []\n");
        let message = refusal(&file(&text));
        assert!(message.starts_with("c.toml:3: "), "{message}");
        assert!(message.contains(key.name), "{message}");
        let value = if key.is_secret() {
            "(hidden)"
        } else {
            "a list"
        };
        assert!(message.contains(value), "{message}");
        assert!(message.contains("not allowed: use "), "{message}");
    }
}

#[test]
fn values_beyond_their_bounds_are_refused() {
    for (name, value, allowed) in [
        ("history.retention_days", "0", "from 1 to 36500"),
        ("history.commit_interval", "5 parsecs", "from 100ms to 1h"),
        ("history.commit_interval", "-1", "from 100ms to 1h"),
        ("server.max_body_bytes", "64MiX", "from 1KiB to 4GiB"),
        ("server.listen", "7070", "ADDRESS:PORT"),
        ("pg.listen", "7432", "off switches the door off"),
        ("flight.listen", "7433", "off switches the door off"),
        ("server.allow_plaintext", "perhaps", "true or false"),
        ("s3.endpoint", "minio:9000", "https://"),
        ("s3.credentials", "anybody", "static, environment, profile"),
        ("s3.encryption", "rot13", "AES256, aws:kms"),
        ("s3.object_lock", "on", "off, governance or compliance"),
        ("s3.storage_class", "DEEP_ARCHIVE", "STANDARD_IA"),
        ("organization.management_account", "12", "12 to 16 digits"),
        ("logging.format", "xml", "text or json"),
        ("logging.level", "loud", "error, warn, info"),
        (
            "logging.level",
            "info,cairn_ingest=loud",
            "error, warn, info",
        ),
        ("data.dir", " ", "not empty"),
    ] {
        let mut sources = Sources::default();
        let key = Key::find(name).unwrap();
        sources
            .overrides
            .push(with(name, value, Origin::Environment(key.env)));
        let message = refusal(&sources);
        assert!(message.contains(key.env), "{message}");
        assert!(message.contains(name), "{message}");
        assert!(message.contains(allowed), "{message}");
    }
}

#[test]
fn unknown_keys_name_the_line_and_the_nearest_known_one() {
    for (text, expected) in [
        (
            "[history]\nretention_day = 3",
            "c.toml:2: there is no setting history.retention_day; did you mean history.retention_days?",
        ),
        (
            "[server]\ncommit_rows = 3",
            "c.toml:2: there is no setting server.commit_rows; did you mean history.commit_rows?",
        ),
        (
            "\n[histroy]\nretention_days = 3",
            "c.toml:2: there is no setting [histroy]; did you mean [history]?",
        ),
        (
            "retention_days = 3",
            "c.toml:1: there is no setting retention_days; did you mean history.retention_days?",
        ),
        (
            "[zzzzzzzzzzzz]\n",
            "c.toml:1: there is no setting [zzzzzzzzzzzz]",
        ),
    ] {
        assert_eq!(refusal(&file(text)), expected);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let message = refusal(&file("[log]\nsegment = 1\n[query]\nthreads = \"many\"\n"));
    assert_eq!(message.lines().count(), 2, "{message}");
}

#[test]
fn broken_toml_names_the_line() {
    let error = Settings::load(&file("[log]\nsegment_bytes = \n")).unwrap_err();
    assert!(
        matches!(error, ConfigError::Toml { line: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = Settings::load_with_file(
        Some(std::path::Path::new("/no/such.toml")),
        Sources::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("/no/such.toml"));
}

#[test]
fn a_public_address_needs_to_be_meant() {
    for listen in ["0.0.0.0:7070", "[::]:7070", "192.0.2.1:7070"] {
        let text = format!("[server]\nlisten = \"{listen}\"\n");
        let message = refusal(&file(&text));
        assert!(message.contains("--allow-plaintext"), "{message}");
        let meant = format!("{text}allow_plaintext = true\n");
        Settings::load(&file(&meant)).unwrap();
    }
    for listen in ["127.0.0.1:0", "[::1]:7070", "localhost:7070"] {
        Settings::load(&file(&format!("[server]\nlisten = \"{listen}\"\n"))).unwrap();
    }
}

#[test]
fn postgresql_on_a_public_address_needs_tls() {
    for more in ["", "tls_cert = \"c.pem\"", "tls_key = \"k.pem\""] {
        let text = format!("[pg]\nlisten = \"0.0.0.0:7432\"\n{more}\n");
        let message = refusal(&file(&text));
        assert!(message.contains("pg.tls_cert"), "{message}");
    }
    for more in [
        "tls_cert = \"c.pem\"\ntls_key = \"k.pem\"",
        "allow_plaintext = true",
    ] {
        let text = format!("[pg]\nlisten = \"0.0.0.0:7432\"\n{more}\n");
        Settings::load(&file(&text)).unwrap();
    }
}

#[test]
fn flight_on_a_public_address_needs_tls() {
    for more in ["", "tls_cert = \"c.pem\"", "tls_key = \"k.pem\""] {
        let text = format!("[flight]\nlisten = \"0.0.0.0:7433\"\n{more}\n");
        let message = refusal(&file(&text));
        assert!(message.contains("flight.tls_cert"), "{message}");
    }
    for more in [
        "tls_cert = \"c.pem\"\ntls_key = \"k.pem\"",
        "allow_plaintext = true",
    ] {
        let text = format!("[flight]\nlisten = \"0.0.0.0:7433\"\n{more}\n");
        Settings::load(&file(&text)).unwrap();
    }
    assert_eq!(parsed(&["serve", "--flight", "off"]).flight.listen, None);
}

#[test]
fn postgresql_can_be_switched_off() {
    for off in ["off", ""] {
        let text = format!("[pg]\nlisten = \"{off}\"\n");
        assert_eq!(Settings::load(&file(&text)).unwrap().pg.listen, None);
    }
    assert_eq!(parsed(&["serve", "--pg", "off"]).pg.listen, None);
}

#[test]
fn contradictions_are_refused() {
    for (text, expected) in [
        (
            "[history]\nvacuum_grace = \"5s\"",
            "history.vacuum_grace (5s) is shorter than query.timeout (60s)",
        ),
        (
            "[server]\nmax_body_bytes = \"1GiB\"",
            "server.max_decompressed_bytes (134217728) is less",
        ),
        (
            "[server]\nmax_body_bytes = \"1KiB\"",
            "server.max_event_bytes (1048576) is more",
        ),
        (
            "[s3]\naccess_key_id = \"A\"",
            "without s3.secret_access_key",
        ),
        (
            "[s3]\nsecret_access_key = \"A\"",
            "without s3.access_key_id",
        ),
        ("[s3]\nsession_token = \"A\"", "give all three"),
        ("[s3]\nendpoint = \"http://h:1\"", "s3.allow_http"),
        ("[s3]\ncredentials = \"static\"", "are not given"),
        ("[s3]\ncredentials = \"environment\"", "are not set"),
        ("[s3]\ncredentials = \"web-identity\"", "are not both given"),
        (
            "[s3]\naccess_key_id = \"K\"\nsecret_access_key = \"S\"\nprofile = \"p\"",
            "say s3.credentials",
        ),
        ("[s3]\nkms_key_id = \"k\"", "goes with s3.encryption"),
        (
            "[s3]\nencryption = \"AES256\"\nbucket_key = true",
            "goes with s3.encryption",
        ),
        ("[s3]\nobject_lock = \"compliance\"", "s3.retain_days"),
    ] {
        let message = refusal(&file(text));
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("\"A\""), "{message}");
    }
}

#[test]
fn the_aws_variables_stand_below_the_file() {
    let mut sources = file("[s3]\nregion = \"eu-central-1\"\n");
    sources.aws.insert("AWS_REGION", "us-west-2".to_owned());
    sources
        .aws
        .insert("AWS_ENDPOINT_URL", "https://all.example".to_owned());
    sources
        .aws
        .insert("AWS_ENDPOINT_URL_S3", "https://s3.example".to_owned());
    sources.aws.insert("AWS_ACCESS_KEY_ID", "K".to_owned());
    sources.aws.insert("AWS_SECRET_ACCESS_KEY", "S".to_owned());
    sources.aws.insert("AWS_SESSION_TOKEN", "T".to_owned());
    let s3 = Settings::load(&sources).unwrap().s3;
    assert_eq!(s3.region.as_deref(), Some("eu-central-1"));
    assert_eq!(s3.endpoint.as_deref(), Some("https://s3.example"));
    assert!(matches!(
        s3.to_credentials(),
        Credentials::Static { from: "the environment", access_key_id, session_token, .. }
            if access_key_id == "K" && session_token.as_deref() == Some("T")
    ));
}

#[test]
fn credentials_of_two_places_are_not_mixed() {
    let mut sources = file("[s3]\naccess_key_id = \"F\"\nsecret_access_key = \"G\"\n");
    sources.aws.insert("AWS_ACCESS_KEY_ID", "K".to_owned());
    sources.aws.insert("AWS_SECRET_ACCESS_KEY", "S".to_owned());
    sources.aws.insert("AWS_SESSION_TOKEN", "T".to_owned());
    let s3 = Settings::load(&sources).unwrap().s3;
    assert!(matches!(
        s3.to_credentials(),
        Credentials::Static { from: "the settings", access_key_id, session_token: None, .. }
            if access_key_id == "F"
    ));
}

/// Where the key comes from, as the server's log says it.
fn source(text: &str, aws: &[(&'static str, &str)]) -> String {
    let mut sources = file(text);
    for (variable, value) in aws {
        sources.aws.insert(variable, (*value).to_owned());
    }
    let settings = Settings::load(&sources).unwrap();
    settings.s3.to_credentials().to_string()
}

#[test]
fn the_first_credentials_that_are_there_are_used() {
    let keys = [("AWS_ACCESS_KEY_ID", "K"), ("AWS_SECRET_ACCESS_KEY", "S")];
    let web = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"),
        ("AWS_ROLE_ARN", "arn:r"),
    ];
    let named = [("AWS_PROFILE", "named")];
    let container = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")];
    let all = [&keys[..], &web, &named, &container];
    for (text, start, expected) in [
        (
            "[s3]\naccess_key_id = \"A\"\nsecret_access_key = \"B\"",
            0,
            "the settings",
        ),
        ("[s3]\nprofile = \"own\"", 0, "the profile \"own\""),
        ("", 0, "the environment"),
        ("", 1, "web identity, role arn:r"),
        ("", 2, "the profile \"named\""),
        ("", 3, "the container's role"),
        ("", 4, "the profile \"default\""),
        ("[s3]\ncredentials = \"environment\"", 0, "the environment"),
        (
            "[s3]\ncredentials = \"web-identity\"",
            0,
            "web identity, role arn:r",
        ),
        (
            "[s3]\ncredentials = \"profile\"",
            0,
            "the profile \"named\"",
        ),
        (
            "[s3]\ncredentials = \"instance\"",
            0,
            "the container's role",
        ),
        ("[s3]\ncredentials = \"instance\"", 4, "the machine's role"),
    ] {
        assert_eq!(
            source(text, &all[start..].concat()),
            expected,
            "{text} {start}"
        );
    }
}

#[test]
fn the_files_of_aws_lie_at_home_unless_they_are_named() {
    let mut sources = Sources::default();
    sources.aws.insert("HOME", "/home/u".to_owned());
    sources.aws.insert("AWS_CONFIG_FILE", "/c".to_owned());
    let aws = Settings::load(&sources).unwrap().s3.aws;
    assert_eq!(
        aws.credentials_file,
        Some(PathBuf::from("/home/u/.aws/credentials"))
    );
    assert_eq!(aws.config_file, Some(PathBuf::from("/c")));
}

#[test]
fn secrets_are_not_shown() {
    let mut sources = file("[s3]\naccess_key_id = \"F\"\nsecret_access_key = \"hunter2\"\n");
    sources.overrides.push(with(
        "s3.session_token",
        "hunter3",
        Origin::Flag("s3-session-token"),
    ));
    let shown = format!("{:?} {sources:?}", Settings::load(&sources).unwrap());
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn sizes_and_times() {
    for (text, bytes) in [
        ("64MiB", Some(64 << 20)),
        ("500kB", Some(500_000)),
        ("1.5 GiB", Some(3 << 29)),
        ("4096", Some(4096)),
        ("1_000", Some(1000)),
        ("0.3", None),
        ("", None),
        ("MiB", None),
        ("99999999999TiB", None),
    ] {
        assert_eq!(parse_size(text), bytes, "{text:?}");
    }
    for (text, millis) in [
        ("250ms", Some(250)),
        ("5s", Some(5_000)),
        ("2m", Some(120_000)),
        ("1.5h", Some(5_400_000)),
        ("7d", Some(604_800_000)),
        ("0.1", Some(100)),
        ("1y", None),
        ("-1s", None),
    ] {
        let expected = millis.map(Duration::from_millis);
        assert_eq!(parse_duration(text), expected, "{text:?}");
    }
}
