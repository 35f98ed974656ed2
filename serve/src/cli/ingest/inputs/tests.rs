use std::io::Write;

use super::*;

#[test]
fn folders_are_walked_and_names_decide() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("b/c")).unwrap();
    for name in [
        "a.json",
        "b/x.ndjson.zst",
        "b/c/y.jsonl.gz",
        "b/c/z.gz",
        "b/w.log",
        "LICENSE",
        "README.md",
        ".hidden.json",
        "b/notes.txt",
        "b/all.tar.gz",
    ] {
        fs::write(root.join(name), b"{}").unwrap();
    }
    // A link back up must not make it walk for ever.
    std::os::unix::fs::symlink(root, root.join("b/loop")).unwrap();
    let found = find(&[root.to_owned(), PathBuf::from("-")]).unwrap();
    let names: Vec<String> = found
        .inputs
        .iter()
        .map(|input| match input {
            Input::File(path, 2) => path.strip_prefix(root).unwrap().display().to_string(),
            Input::File(..) => "another length".to_owned(),
            Input::Stdin => "-".to_owned(),
        })
        .collect();
    assert_eq!(
        names,
        [
            "a.json",
            "b/c/y.jsonl.gz",
            "b/c/z.gz",
            "b/w.log",
            "b/x.ndjson.zst",
            "-"
        ]
    );
    let left: Vec<_> = found
        .left_out
        .iter()
        .map(|path| path.strip_prefix(root).unwrap().display().to_string())
        .collect();
    assert_eq!(left, ["b/all.tar.gz", "b/notes.txt"]);
}

#[test]
fn a_named_file_is_read_whatever_its_name_and_a_missing_one_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    fs::write(&path, b"{}").unwrap();
    assert_eq!(
        find(std::slice::from_ref(&path)).unwrap().inputs,
        [Input::File(path, 2)]
    );
    let error = find(&[dir.path().join("none")]).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}

#[test]
fn shapes_are_told_by_the_content() {
    for (text, shape) in [
        ("{\"a\":1}\n{\"b\":2}\n", Shape::Lines),
        ("{\"a\":1}\n", Shape::Lines),
        ("{\"a\":1}", Shape::Document),
        ("\n{\n \"a\": 1\n}\n", Shape::Document),
        ("{ \"Records\": [{}]}\n", Shape::Document),
        ("[\n{}]", Shape::Document),
        ("{\"a\":\n1}", Shape::Document),
        ("{\"a\": \"torn\n{\"b\":2}\n", Shape::Lines),
        ("{\"a\": oops}\n{\"b\":2}\n", Shape::Lines),
        ("garbage\n", Shape::Lines),
        ("", Shape::Lines),
    ] {
        assert_eq!(shape_of(text.as_bytes()), shape, "{text:?}");
    }
}

#[test]
fn compression_is_told_by_the_first_bytes_and_members_are_joined() {
    let gz = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let members = [gz(b"{\"a\":1}\n"), gz(b"{\"b\":2}\n")].concat();
    let zst = zstd::encode_all(&b"\xef\xbb\xbf{\"a\":1}\n{\"b\":2}\n"[..], 1).unwrap();
    for (bytes, encoding) in [(members, Encoding::Gzip), (zst, Encoding::Zstd)] {
        let mut opened = Opened::new(Box::new(Cursor::new(bytes))).unwrap();
        assert_eq!(opened.encoding, Some(encoding));
        assert_eq!(opened.shape, Shape::Lines);
        let mut text = String::new();
        opened.reader.read_to_string(&mut text).unwrap();
        assert_eq!(
            text, "{\"a\":1}\n{\"b\":2}\n",
            "and the byte order mark is gone"
        );
    }
}
