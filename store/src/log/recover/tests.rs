use std::path::PathBuf;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::sim::{Crash, Disk, Fault};
use super::super::tests::{DIR, envelope, open, read_all};
use super::super::{EmbeddedLog, LogBatch, LogError};
use super::*;

/// A log of three segments and the records in it. `closed`: with its mark.
async fn written(closed: bool) -> (Arc<Disk>, Vec<(i64, Bytes)>) {
    let disk = Disk::new(1);
    let log = open(disk.process()).expect("a new log");
    let mut records = Vec::new();
    for i in 0..9 {
        let payload = Bytes::from(format!("{i}").repeat(120));
        let range = log.append(envelope("s"), vec![payload.clone(), Bytes::new()]);
        let range = range.await.expect("a sound disk");
        records.push((range.start, payload));
        records.push((range.start + 1, Bytes::new()));
    }
    if closed {
        log.close().await.expect("a sound disk");
    }
    disk.crash(Crash::PowerLoss);
    assert_eq!(segments(&disk).len(), 3);
    (disk, records)
}

fn segments(disk: &Disk) -> Vec<PathBuf> {
    disk.names()
}

fn flat(batches: Vec<LogBatch>) -> Vec<(i64, Bytes)> {
    let records = batches
        .into_iter()
        .flat_map(|b| (b.first..).zip(b.payloads));
    records.collect()
}

async fn records(log: &EmbeddedLog) -> Vec<(i64, Bytes)> {
    flat(read_all(log).await.expect("readable"))
}

fn refused(disk: &Arc<Disk>) -> (PathBuf, u64, String) {
    match open(disk.process()) {
        Err(LogError::Damaged { file, at, what }) => (file, at, what),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn zeros_and_garbage_at_the_end_are_cut() {
    for tail in [vec![0; 5000], vec![0xA5; 77], b"CLFR".to_vec(), vec![1]] {
        let (disk, all) = written(false).await;
        let last = segments(&disk).pop().expect("segments");
        let len = disk.edit(&last, |file| {
            let len = file.len() as u64;
            file.extend_from_slice(&tail);
            len
        });
        let log = open(disk.process()).expect("a torn tail");
        assert_eq!(log.recovery().cut_bytes, tail.len() as u64);
        assert_eq!(disk.edit(&last, |file| file.len() as u64), len);
        assert_eq!(records(&log).await, all);
        let next = log.append(envelope("s"), vec![Bytes::from_static(b"on")]);
        assert_eq!(next.await.expect("appended"), 18..19);
    }
}

#[tokio::test]
async fn a_torn_last_frame_is_cut_at_every_length() {
    let (disk, all) = written(false).await;
    let last = segments(&disk).pop().expect("segments");
    let whole = disk.edit(&last, |file| file.clone());
    let before = whole.len() - frame_of_two();
    for len in before..whole.len() {
        // Killed before the file is torn: the writer of the last round, whose
        // handle is gone, may yet be putting its closing mark at the end.
        disk.crash(Crash::Kill);
        disk.edit(&last, |file| *file = whole[..len].to_vec());
        let log = open(disk.process()).expect("a torn tail");
        assert_eq!(log.recovery().cut_bytes, (len - before) as u64);
        assert_eq!(records(&log).await, all[..16]);
    }
}

/// The length of one of the frames of [`written`].
fn frame_of_two() -> usize {
    let json = serde_json::to_vec(&envelope("s")).expect("plain data");
    let payloads = [Bytes::from("1".repeat(120)), Bytes::new()];
    frame::len(&json, &payloads) as usize
}

#[tokio::test]
async fn a_flipped_bit_in_the_middle_is_refused_and_named() {
    let (disk, _) = written(false).await;
    for (i, path) in segments(&disk).iter().enumerate() {
        // In the second record frame of the segment, never the file's last.
        let at = segment::HEADER as usize + frame_of_two() + 60;
        disk.edit(path, |file| file[at] ^= 4);
        let (file, byte, what) = refused(&disk);
        assert_eq!(&file, path);
        assert_eq!(byte, segment::HEADER + frame_of_two() as u64, "segment {i}");
        assert!(what.contains("checksum"), "{what}");
        disk.edit(path, |file| file[at] ^= 4);
        disk.crash(Crash::Kill);
    }
    open(disk.process()).expect("as it was");
}

#[tokio::test]
async fn a_missing_segment_is_refused() {
    let (disk, _) = written(false).await;
    let paths = segments(&disk);
    disk.unlink(&paths[1]);
    let (file, _, what) = refused(&disk);
    assert_eq!(file, paths[2]);
    let name = paths[1]
        .file_name()
        .and_then(|n| n.to_str())
        .expect("a name");
    assert!(what.contains(name), "{what}");
}

#[tokio::test]
async fn a_shortened_earlier_segment_is_refused() {
    let (disk, _) = written(false).await;
    let first = segments(&disk).remove(0);
    disk.edit(&first, |file| file.truncate(file.len() - 1));
    assert_eq!(refused(&disk).0, first);
}

#[tokio::test]
async fn bytes_after_the_durable_end_of_an_earlier_segment_are_ignored() {
    let (disk, all) = written(false).await;
    let first = segments(&disk).remove(0);
    disk.edit(&first, |file| file.extend_from_slice(&[7; 500]));
    let log = open(disk.process()).expect("what a failed write leaves");
    assert_eq!(records(&log).await, all);
}

#[tokio::test]
async fn a_segment_under_another_name_is_refused() {
    let (disk, _) = written(false).await;
    let paths = segments(&disk);
    let bytes = disk.edit(&paths[0], |file| file.clone());
    disk.edit(&paths[1], |file| *file = bytes);
    assert_eq!(refused(&disk).0, paths[1]);
}

#[tokio::test]
async fn pages_of_one_group_that_came_in_any_order_are_a_torn_tail() {
    let disk = Disk::new(1);
    let log = open(disk.process()).expect("a new log");
    let alone = vec![Bytes::from_static(b"alone")];
    log.append(envelope("s"), alone).await.expect("appended");
    disk.crash(Crash::Kill);
    // A group of two frames whose first page never reached the disk.
    let path = segments(&disk).remove(0);
    let json = serde_json::to_vec(&envelope("s")).expect("plain data");
    disk.edit(&path, |file| {
        let group = file.len() as u64;
        for first in [1, 2] {
            let place = frame::Place {
                first,
                position: file.len() as u64,
                group,
            };
            frame::encode(file, place, &json, &[Bytes::from_static(b"together")]);
        }
        file[group as usize..group as usize + 32].fill(0);
    });
    let log = open(disk.process()).expect("a torn tail");
    assert_eq!(log.end(), 1);
    assert!(log.recovery().cut_bytes > 0);
}

#[tokio::test]
async fn what_recovery_shows_is_on_the_disk_even_if_a_sync_had_failed_before() {
    // The sync fails and the process dies in it: the whole frame stands in the
    // kernel's memory, marked clean, and part of it on the disk.
    for seed in 0..20 {
        let disk = Disk::new(seed);
        let log = open(disk.process()).expect("a new log");
        disk.fail_at(1, Fault::Dead);
        let payload = vec![Bytes::from(vec![b'x'; 500])];
        let lost = log.append(envelope("s"), payload.clone()).await;
        lost.expect_err("not acknowledged");
        disk.heal();
        disk.crash(Crash::Kill);
        let log = open(disk.process()).expect("no damage");
        assert_eq!(read_all(&log).await.expect("readable")[0].payloads, payload);
        // A table has the record now. Its offset must not be given again.
        disk.crash(Crash::PowerLoss);
        let log = open(disk.process()).expect("no damage");
        assert_eq!(read_all(&log).await.expect("readable")[0].payloads, payload);
    }
}

#[tokio::test]
async fn a_frame_inside_of_a_record_is_not_taken_for_one() {
    let (disk, all) = written(false).await;
    let path = segments(&disk).pop().expect("segments");
    let json = serde_json::to_vec(&envelope("s")).expect("plain data");
    disk.edit(&path, |file| {
        let position = file.len() as u64;
        // A sender guesses where its bytes will lie, and claims that
        // everything before was synced.
        let inner = position + frame::HEADER as u64 + 4 + json.len() as u64 + 4;
        let claim = frame::closing_mark(frame::Place {
            first: 20,
            position: inner,
            group: inner,
        });
        let place = frame::Place {
            first: 18,
            position,
            group: position,
        };
        let payloads = [Bytes::copy_from_slice(&claim), Bytes::from(vec![1; 99])];
        frame::encode(file, place, &json, &payloads);
        let cut = file.len() - 50;
        file[cut..].fill(0);
    });
    let log = open(disk.process()).expect("a torn tail");
    assert_eq!(records(&log).await, all);
}

#[tokio::test]
async fn a_file_of_another_version_is_refused_and_not_cut() {
    let (disk, _) = written(false).await;
    let path = segments(&disk).pop().expect("segments");
    disk.edit(&path, |file| {
        let position = file.len() as u64;
        let place = frame::Place {
            first: 18,
            position,
            group: position,
        };
        let mut mark = frame::closing_mark(place);
        mark[8] = 2;
        let crc = crc32fast::hash(&mark[8..]);
        mark[4..8].copy_from_slice(&crc.to_le_bytes());
        file.extend_from_slice(&mark);
    });
    let (_, _, what) = refused(&disk);
    assert!(what.contains("format 2"), "{what}");
}

/// Written by another program (Python's struct and zlib) after the tables in
/// the module's documentation: a segment with two records and a closing mark.
const GOLDEN: &[&str] = &[
    "434149524e4c4f4701000000b95ee0152900000000000000ffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "434c4652f2b3c71a010000003f0000002fca8673020000002900000000000000",
    "400000000000000040000000000000002c0000007b227265636569766564223a",
    "372c2273656e646572223a2273222c226163636f756e7473223a22616c6c227d",
    "070000007b2261223a317d00000000434c46526b3da009010001000000000000",
    "000000000000002b00000000000000af00000000000000af00000000000000",
];

#[tokio::test]
async fn format_1_is_read_and_written_for_ever() {
    let golden = hex::decode(GOLDEN.concat()).expect("hexadecimal");
    let path = segment::path(Path::new(DIR), 41);
    let options = LogOptions {
        first_offset: 41,
        ..super::super::tests::options()
    };
    let disk = Disk::new(0);
    let log = EmbeddedLog::open_with(disk.process(), Path::new(DIR), options).expect("new");
    let payloads = vec![Bytes::from_static(br#"{"a":1}"#), Bytes::new()];
    let range = log.append(envelope("s"), payloads.clone()).await;
    assert_eq!(range.expect("appended"), 41..43);
    log.close().await.expect("closed");
    assert_eq!(
        disk.edit(&path, |file| hex::encode(file)),
        hex::encode(&golden)
    );

    disk.edit(&path, |file| *file = golden);
    let log = open(disk.process()).expect("golden");
    let batches = read_all(&log).await.expect("readable");
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].payloads, payloads);
    assert_eq!(*batches[0].envelope, envelope("s"));
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// After a clean close one flipped bit, wherever it is, loses nothing in
    /// silence, and several lose nothing that recovery does not tell of.
    #[test]
    fn flipped_bits_are_refused_or_lose_nothing(
        flips in proptest::collection::vec((0usize..3, any::<prop::sample::Index>()), 1..4),
    ) {
        runtime().block_on(async {
            let (disk, all) = written(true).await;
            let paths = segments(&disk);
            for (file, bit) in &flips {
                disk.edit(&paths[*file], |bytes| {
                    let bit = bit.index(bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                });
            }
            match open(disk.process()) {
                Ok(log) => {
                    let found = records(&log).await;
                    assert!(all.starts_with(&found));
                    // Two flips may hit the last frame and the mark behind it.
                    let told = flips.len() > 1 && log.recovery().cut_bytes > 0;
                    assert!(found.len() == all.len() || told);
                }
                Err(LogError::Damaged { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        });
    }

    /// A shortened file is refused, or it is the last one: then the records
    /// before the cut are there, and what was cut is told.
    #[test]
    fn a_shortened_file_is_refused_or_told(
        file in 0usize..3,
        len in any::<prop::sample::Index>(),
        zeros in 0usize..300,
    ) {
        runtime().block_on(async {
            let (disk, all) = written(true).await;
            let path = segments(&disk).swap_remove(file);
            let whole = disk.edit(&path, |bytes| bytes.len());
            let len = len.index(whole);
            disk.edit(&path, |bytes| {
                bytes.truncate(len);
                bytes.resize(len + zeros, 0);
            });
            match open(disk.process()) {
                Ok(log) => {
                    let found = records(&log).await;
                    assert!(all.starts_with(&found));
                    let end = disk.edit(&path, |bytes| bytes.len());
                    if file == 2 {
                        assert_eq!(log.recovery().cut_bytes, (len + zeros - end) as u64);
                    } else {
                        // The zeros were what had been there.
                        assert_eq!(found.len(), all.len());
                    }
                }
                Err(LogError::Damaged { file: named, .. }) => assert_eq!(named, path),
                Err(other) => panic!("{other}"),
            }
        });
    }
}
