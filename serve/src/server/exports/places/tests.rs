use super::*;

const ME: &str = "aaaaaaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbbbbbb";

fn place(url: &str, endpoint: Option<&str>) -> AllowedPlace {
    AllowedPlace {
        url: url.to_owned(),
        endpoint: endpoint.map(str::to_owned),
    }
}

fn places() -> Places {
    Places {
        list: vec![
            place("file:///srv/exports", None),
            place("s3://evidence/cairn", None),
            place("s3://evidence/cairn", Some("http://127.0.0.1:9000")),
            place("s3://evidence/cairn/deep", Some("https://s3.example.com")),
        ],
        addresses: Vec::new(),
        objects: ObjectSettings::default(),
    }
}

fn chosen(to: &str, endpoint: Option<&str>) -> String {
    let place = places().choose(ME, Some(to), endpoint, "id").unwrap();
    let endpoint = place.endpoint.as_deref().unwrap_or("-");
    format!("{} {endpoint}", place.url())
}

#[test]
fn each_principal_has_a_folder_of_its_own_below_an_allowed_place() {
    assert_eq!(
        chosen("file:///srv/exports", None),
        format!("file:///srv/exports/{ME}/id -")
    );
    assert_eq!(
        chosen("file:///srv/exports/", None),
        format!("file:///srv/exports/{ME}/id -")
    );
    assert_eq!(
        chosen("file:///srv/exports/q1/payments", None),
        format!("file:///srv/exports/{ME}/q1/payments/id -")
    );
    // Named by oneself it is not doubled.
    assert_eq!(
        chosen(&format!("s3://evidence/cairn/{ME}/q1"), None),
        format!("s3://evidence/cairn/{ME}/q1/id -")
    );
    assert_eq!(
        chosen("s3://evidence/cairn", Some("http://127.0.0.1:9000/")),
        format!("s3://evidence/cairn/{ME}/id http://127.0.0.1:9000")
    );
    assert_eq!(
        chosen("s3://evidence/cairn/deep/er", None),
        format!("s3://evidence/cairn/deep/{ME}/er/id https://s3.example.com")
    );
    let first = places().choose(ME, None, None, "id").unwrap();
    assert_eq!(first.url(), format!("file:///srv/exports/{ME}/id"));
}

#[test]
fn whatever_is_not_on_the_list_is_refused() {
    let others = format!("s3://evidence/cairn/{OTHER}");
    let deeper = format!("file:///srv/exports/{OTHER}/x");
    for to in [
        "",
        "/srv/exports",
        "file:///srv/exportsx",
        "file:///srv",
        "file:///",
        "file:///etc/passwd",
        "file:///srv/exports/..",
        "file:///srv/exports/../x",
        "file:///srv/exports/a/../../x",
        "file:///srv/exports/%2e%2e/x",
        "file:///srv/exports/..%2fx",
        "file:///srv/exports/a%2f..%2f..%2fx",
        "file:///srv/exports//x",
        "file:///srv/exports/./x",
        "file:///srv/exports/.hidden",
        "file:///srv/exports/a\\..\\x",
        "file:///srv/exports/a b",
        "file:///srv/exports/a\nb",
        "file:///srv/exports/a\0",
        "file:///srv/exports/é",
        "file://localhost/srv/exports",
        "FILE:///srv/exports",
        "file:/srv/exports",
        "s3://evidence",
        "s3://evidence/",
        "s3://evidence/other",
        "s3://evidence/cairnx",
        "s3://other/cairn",
        "s3://evidence/cairn?x=y",
        "s3://evidence/cairn#x",
        "s3://key:secret@evidence/cairn",
        "s3://evidence:1/cairn",
        "s3://evidence@evil/cairn",
        "S3://evidence/cairn",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:9000/evidence/cairn",
        "https://example.com/",
        "http://[::1]/",
        "http://2130706433/",
        "gopher://x/",
        "ftp://x/",
        "az://x/y",
        "gs://x/y",
        "memory:///",
        &others,
        &deeper,
    ] {
        let refused = places().choose(ME, Some(to), None, "id");
        assert!(refused.is_err(), "{to:?} is let through: {refused:?}");
        assert_eq!(refused.unwrap_err().code(), "destination_refused", "{to:?}");
    }
    for endpoint in [
        "http://169.254.169.254",
        "http://127.0.0.1:9001",
        "http://0x7f.1:9000",
        "http://localhost:9000",
        "https://127.0.0.1:9000",
        "http://127.0.0.1:9000@evil",
        "http://127.0.0.1:9000/x",
        "",
    ] {
        let refused = places().choose(ME, Some("s3://evidence/cairn"), Some(endpoint), "id");
        assert!(refused.is_err(), "{endpoint:?} is let through");
    }
    assert!(
        places()
            .choose(ME, None, Some("http://127.0.0.1:9000"), "id")
            .is_err()
    );
    let told = places()
        .choose(ME, Some("s3://key:secret@evidence/cairn"), None, "id")
        .unwrap_err();
    assert!(!format!("{told:?}").contains("secret"), "{told:?}");
}

#[test]
fn links_on_the_way_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap().join("exports");
    let made = make(&root, "a/b/c").unwrap();
    assert!(made.is_dir() && made == root.join("a/b/c"));
    assert_eq!(make(&root, "a/b/c").unwrap(), made);

    std::os::unix::fs::symlink(outside.path(), root.join("link")).unwrap();
    for below in ["link", "link/x", "a/../link"] {
        let refused = make(&root, below);
        assert!(refused.is_err(), "{below}: {refused:?}");
    }
    std::os::unix::fs::symlink(outside.path(), root.join("a/link")).unwrap();
    assert!(
        make(&root, "a/link/x")
            .unwrap_err()
            .to_string()
            .contains("symbolic link")
    );
    // The place itself, and one above it.
    let linked = dir.path().canonicalize().unwrap().join("linked");
    std::os::unix::fs::symlink(&root, &linked).unwrap();
    assert!(
        make(&linked, "x")
            .unwrap_err()
            .to_string()
            .contains("symbolic link")
    );
    assert!(make(&linked.join("a"), "x").is_err());
    assert_eq!(
        std::fs::read_dir(outside.path()).unwrap().count(),
        0,
        "something was made outside"
    );
}

#[test]
fn only_what_the_settings_name_may_lie_inside() {
    let mut places = places();
    places.addresses = vec!["10.1.2.0/24".parse().unwrap()];
    let reach = |endpoint: Option<&str>| {
        let place = ExportPlace {
            root: "s3://evidence/cairn".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            folder: "x".to_owned(),
        };
        places.settings_for(&place).reach.unwrap()
    };
    let may = |endpoint, address: &str| reach(endpoint).may(address.parse().unwrap());
    assert!(may(Some("http://127.0.0.1:9000"), "127.0.0.1"));
    assert!(!may(Some("http://127.0.0.1:9000"), "127.0.0.2"));
    assert!(may(Some("http://[::1]:9000"), "::1"));
    assert!(!may(Some("https://s3.example.com"), "127.0.0.1"));
    assert!(may(Some("https://s3.example.com"), "10.1.2.3"));
    assert!(may(None, "52.216.0.1") && !may(None, "169.254.169.254"));
}
