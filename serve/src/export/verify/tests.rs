use std::os::unix::fs::symlink;
use std::path::Path;

use super::super::manifest::tests::{file, sample};
use super::*;

const ONE: &[u8] = b"a\r\n1\r\n2\r\n";
const TWO: &[u8] = b"a\r\n\"x\r\ny\"\r\n";

fn write(folder: &Path, manifest: &Manifest) {
    let bytes = manifest.to_bytes().unwrap();
    std::fs::write(folder.join(MANIFEST), &bytes).unwrap();
    std::fs::write(folder.join(MANIFEST_SUM), sum_text(&sha256(&bytes))).unwrap();
}

fn export() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    std::fs::write(folder.path().join("one.csv"), ONE).unwrap();
    std::fs::write(folder.path().join("deep/two.csv"), TWO).unwrap();
    write(
        folder.path(),
        &sample(vec![file("one.csv", 2, ONE), file("deep/two.csv", 1, TWO)]),
    );
    folder
}

async fn invalid(folder: &Path, handed: Option<&str>) -> Vec<String> {
    let report = verify(&Folder(folder.to_owned()), handed).await.unwrap();
    assert_eq!(report.is_valid(), report.invalid.is_empty());
    report
        .invalid
        .into_iter()
        .map(|i| format!("{}: {}", i.name, i.why))
        .collect()
}

#[tokio::test]
async fn an_export_as_it_was_written_is_valid() {
    let folder = export();
    let report = verify(&Folder(folder.path().to_owned()), None)
        .await
        .unwrap();
    assert!(report.is_valid(), "{report:?}");
    assert_eq!((report.files, report.rows), (2, 3));
    let sha = report.manifest_sha256.unwrap();
    assert!(
        invalid(folder.path(), Some(&sha.to_uppercase()))
            .await
            .is_empty()
    );
    std::fs::write(folder.path().join(MANIFEST_SIGNATURE), "later").unwrap();
    assert!(invalid(folder.path(), None).await.is_empty());
    let wrong = invalid(folder.path(), Some("00")).await;
    assert_eq!(wrong.len(), 1);
    assert!(wrong[0].starts_with("manifest.json: "), "{wrong:?}");
}

/// What is changed, how, and what is told of it.
type Case = (&'static str, fn(&Path), &'static str);

const FILES: &[Case] = &[
    (
        "one byte",
        |f| std::fs::write(f.join("one.csv"), b"a\r\n1\r\n3\r\n").unwrap(),
        "one.csv: its SHA-256",
    ),
    (
        "cut",
        |f| std::fs::write(f.join("one.csv"), b"a\r\n1\r\n").unwrap(),
        "one.csv: it has 6 bytes",
    ),
    (
        "gone",
        |f| std::fs::remove_file(f.join("deep/two.csv")).unwrap(),
        "deep/two.csv: it is missing",
    ),
    (
        "more",
        |f| std::fs::write(f.join("deep/three.csv"), TWO).unwrap(),
        "deep/three.csv: the manifest names no such file",
    ),
    (
        "hidden",
        |f| std::fs::write(f.join(".x"), "").unwrap(),
        ".x: the manifest names no such file",
    ),
    (
        "link",
        |f| {
            std::fs::rename(f.join("one.csv"), f.join("../one-elsewhere.csv")).unwrap();
            symlink("../one-elsewhere.csv", f.join("one.csv")).unwrap();
        },
        "one.csv: it is a link",
    ),
    (
        "folder link",
        |f| symlink("/", f.join("root")).unwrap(),
        "root: the manifest names no such link",
    ),
];

const MANIFESTS: &[Case] = &[
    (
        "no manifest",
        |f| std::fs::remove_file(f.join(MANIFEST)).unwrap(),
        "manifest.json: it is missing",
    ),
    (
        "no sum",
        |f| std::fs::remove_file(f.join(MANIFEST_SUM)).unwrap(),
        "manifest.json.sha256: it is missing",
    ),
    (
        "rows told wrong",
        |f| {
            write(
                f,
                &sample(vec![file("one.csv", 1, ONE), file("deep/two.csv", 2, TWO)]),
            );
        },
        "one.csv: it has 2 rows",
    ),
    (
        "manifest",
        |f| {
            let text = std::fs::read_to_string(f.join(MANIFEST)).unwrap();
            std::fs::write(
                f.join(MANIFEST),
                text.replace("FROM history", "FROM histerr"),
            )
            .unwrap();
        },
        "manifest.json: its SHA-256",
    ),
    (
        "leads out",
        |f| {
            write(f, &sample(vec![file("../x", 1, ONE)]));
        },
        "manifest.json: the name \"../x\" leads out",
    ),
    (
        "format",
        |f| {
            write(
                f,
                &Manifest {
                    format: "exe".to_owned(),
                    ..sample(Vec::new())
                },
            );
        },
        "manifest.json: its format",
    ),
];

#[tokio::test]
async fn whatever_changed_is_named() {
    for (what, change, told) in FILES.iter().chain(MANIFESTS) {
        let (folder, inner) = (tempfile::tempdir().unwrap(), export());
        let path = folder.path().join("export");
        std::fs::rename(inner.path(), &path).unwrap();
        change(&path);
        let found = invalid(&path, None).await;
        assert!(
            found.iter().any(|line| line.starts_with(told)),
            "{what}: {found:?}"
        );
    }
}
