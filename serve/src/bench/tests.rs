//! The commands that need no pipeline.

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,
}

fn args(words: &[&str]) -> BenchArgs {
    let mut line = vec!["bench"];
    line.extend(words);
    Cli::try_parse_from(line).unwrap().bench
}

#[tokio::test]
async fn a_file_holds_one_event_a_line_and_zstd_holds_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, packed) = (dir.path().join("a"), dir.path().join("b"));
    for (out, zstd) in [(&plain, None), (&packed, Some("--zstd"))] {
        let mut words = vec![
            "generate",
            "--events",
            "300",
            "--out",
            out.to_str().unwrap(),
        ];
        words.extend(zstd);
        run(args(&words)).await.unwrap();
    }
    let text = std::fs::read(&plain).unwrap();
    assert_eq!(text.iter().filter(|b| **b == b'\n').count(), 300);
    assert_eq!(text.last(), Some(&b'\n'));
    let unpacked = zstd::stream::decode_all(std::fs::File::open(&packed).unwrap()).unwrap();
    assert_eq!(unpacked, text);
}

#[tokio::test]
async fn a_run_refuses_a_directory_that_holds_something() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "x").unwrap();
    let words = [
        "run",
        "--events",
        "2000",
        "--data",
        dir.path().to_str().unwrap(),
    ];
    let error = run(args(&words)).await.unwrap_err().to_string();
    assert!(error.contains("is not empty"), "{error}");
    assert!(dir.path().join("precious").exists());
}

#[test]
fn the_shape_can_be_given_again() {
    let BenchCommand::Questions(shape) =
        args(&["questions", "--events", "9", "--dialect", "mix"]).command
    else {
        panic!("questions were asked for");
    };
    let again = shape.again();
    let mut words = vec!["questions"];
    words.extend(again.split_whitespace());
    let BenchCommand::Questions(second) = args(&words).command else {
        panic!("questions were asked for");
    };
    assert_eq!(again, second.again());
    assert!(again.contains("--dialect mix") && again.contains("T00:00:00Z"));
}

#[test]
fn stored_bytes_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    for (path, size) in [
        ("store/tables/history/ingest_date=2026-06-01/a.parquet", 10),
        ("store/tables/history/_delta_log/0.checkpoint.parquet", 5),
        ("store/tables/trails/x-1/b.parquet", 7),
        ("log/0.seg", 3),
    ] {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![0; size]).unwrap();
    }
    let (history, trails, other) = stored(dir.path()).unwrap();
    assert_eq!(
        (history.bytes, history.files, history.parquet_files),
        (15, 2, 1)
    );
    assert_eq!(
        (trails.bytes, trails.files, trails.parquet_files),
        (7, 1, 1)
    );
    assert_eq!((other.bytes, other.files, other.parquet_files), (3, 1, 0));
}
