use super::*;

pub(in crate::export) fn sample(files: Vec<File>) -> Manifest {
    Manifest {
        kind: KIND.to_owned(),
        form: FORM,
        cairn: "0.1.0".to_owned(),
        id: "0123456789abcdef0123456789abcdef".to_owned(),
        created: "2026-01-02T03:04:05Z".to_owned(),
        as_of: "2026-01-02T03:04:05Z".to_owned(),
        finished: "2026-01-02T03:04:06Z".to_owned(),
        organization: Organization {
            name: "ex\u{1}ample \u{e9}\"".to_owned(),
            management_account: "000000000000".to_owned(),
        },
        principal: Principal {
            id: "0123456789abcdef".to_owned(),
            name: None,
            role: "auditor".to_owned(),
            accounts: Some(vec!["111111111111".to_owned()]),
            withheld: Vec::new(),
        },
        question: Question {
            sql: "SELECT '\n' FROM history".to_owned(),
            filter: None,
        },
        tables: Vec::new(),
        format: "csv".to_owned(),
        options: Options {
            compression: "none".to_owned(),
            neutralised: Some(true),
        },
        columns: Vec::new(),
        rows: files.iter().map(|f| f.rows).sum(),
        left_out: 0,
        files,
    }
}

pub(in crate::export) fn file(name: &str, rows: u64, bytes: &[u8]) -> File {
    File {
        name: name.to_owned(),
        bytes: bytes.len() as u64,
        rows,
        sha256: sha256(bytes),
    }
}

#[test]
fn one_content_has_one_form() {
    let manifest = sample(vec![file("part-00000.csv", 2, b"a\r\n1\r\n2\r\n")]);
    let bytes = manifest.to_bytes().unwrap();
    assert_eq!(Manifest::from_bytes(&bytes).unwrap(), manifest);
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.starts_with("{\"as_of\":"), "{text}");
    assert!(text.contains(r#""name":"ex\u0001ample é\"""#), "{text}");
    assert!(text.ends_with("}"), "{text}");

    let spaced = text.replacen("\"as_of\":", "\"as_of\": ", 1);
    assert_eq!(
        Manifest::from_bytes(spaced.as_bytes()).unwrap_err(),
        ManifestError::NotCanonical
    );
    let twice = text.replacen("{\"as_of\"", "{\"rows\":9,\"as_of\"", 1);
    assert!(Manifest::from_bytes(twice.as_bytes()).is_err());
    let more = text.replacen("{\"as_of\"", "{\"aaa\":9,\"as_of\"", 1);
    assert!(matches!(
        Manifest::from_bytes(more.as_bytes()),
        Err(ManifestError::Form(_))
    ));
    let newer = text.replacen("\"form\":1", "\"form\":2", 1);
    assert_eq!(
        Manifest::from_bytes(newer.as_bytes()).unwrap_err(),
        ManifestError::Newer(2)
    );
    assert!(matches!(
        Manifest::from_bytes(b"\xff"),
        Err(ManifestError::Form(_))
    ));
}

#[test]
fn names_stay_inside() {
    for name in [
        "..",
        "../x",
        "a/../b",
        "/etc/passwd",
        "a//b",
        "",
        "a/",
        "a\\b",
        "C:x",
        "a\0b",
        ".hidden",
        "a/.b",
        "é",
        MANIFEST,
        MANIFEST_SUM,
        MANIFEST_SIGNATURE,
    ] {
        assert!(!is_inside(name), "{name:?}");
        let bytes = sample(vec![file(name, 1, b"")]).to_bytes().unwrap();
        assert_eq!(
            Manifest::from_bytes(&bytes).unwrap_err(),
            ManifestError::Name(name.to_owned())
        );
    }
    for name in [
        "part-00000.csv",
        "AWSLogs/1/CloudTrail/eu-west-1/2026/01/02/x_y.json.gz",
    ] {
        assert!(is_inside(name), "{name:?}");
    }
}

#[test]
fn what_does_not_add_up_is_refused() {
    let two = vec![file("a.csv", 1, b""), file("A.csv", 1, b"")];
    let bytes = sample(two).to_bytes().unwrap();
    assert_eq!(
        Manifest::from_bytes(&bytes).unwrap_err(),
        ManifestError::Twice("A.csv".to_owned())
    );
    let wrong = Manifest {
        rows: 3,
        ..sample(vec![file("a.csv", 1, b"")])
    };
    let refused = Manifest::from_bytes(&wrong.to_bytes().unwrap()).unwrap_err();
    assert_eq!(
        refused,
        ManifestError::Rows {
            told: 3,
            counted: 1
        }
    );
}
