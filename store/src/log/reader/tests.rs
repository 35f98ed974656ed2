use super::super::sim::Disk;
use super::super::tests::{DIR, envelope, open, options};
use super::super::{EmbeddedLog, LogOptions};
use super::*;

fn payloads(first: i64, count: usize) -> Vec<Bytes> {
    (first..)
        .take(count)
        .map(|i| Bytes::from(format!("{i:0100}")))
        .collect()
}

/// `appends` batches of three.
async fn fill(log: &EmbeddedLog, appends: usize) {
    for _ in 0..appends {
        let records = payloads(log.end(), 3);
        log.append(envelope("s"), records).await.expect("appended");
    }
}

fn check(batches: &[LogBatch], mut next: i64) -> i64 {
    for batch in batches {
        assert_eq!(batch.first, next);
        assert_eq!(batch.payloads, payloads(next, batch.payloads.len()));
        next = batch.next();
    }
    next
}

/// With room in memory for about the newest group.
fn small_ring() -> LogOptions {
    LogOptions {
        ring_bytes: 1,
        ..options()
    }
}

#[tokio::test]
async fn a_reader_that_keeps_up_reads_no_file() {
    let disk = Disk::new(0);
    let log = open(disk.process()).expect("new");
    let mut reader = log.reader(0).expect("at the start");
    let (reads, ..) = disk.counts();
    for round in 0..20 {
        fill(&log, 1).await;
        let batches = reader.next(1 << 20).await.expect("a batch");
        assert_eq!(check(&batches, round * 3), round * 3 + 3);
    }
    assert_eq!(disk.counts().0, reads);
}

#[tokio::test]
async fn a_reader_that_fell_behind_reads_files_and_then_memory() {
    let disk = Disk::new(0);
    let log = EmbeddedLog::open_with(disk.process(), Path::new(DIR), small_ring()).expect("new");
    fill(&log, 25).await;
    for from in 0..=75 {
        let mut reader = log.reader(from).expect("inside");
        let mut next = from;
        while next < 75 {
            next = check(&reader.next(500).await.expect("a batch"), next);
            assert_eq!(reader.position(), next);
        }
        assert!(reader.try_next(500).await.expect("the end").is_empty());
    }
    // One that alternates finds its place again.
    let mut reader = log.reader(75).expect("the end");
    let mut next = 75;
    for appends in [1, 3, 1, 9, 2] {
        fill(&log, appends).await;
        while next < log.end() {
            next = check(&reader.next(1).await.expect("a batch"), next);
        }
    }
}

#[tokio::test]
async fn the_limit_is_kept_but_one_batch_always_comes() {
    let disk = Disk::new(0);
    let log = EmbeddedLog::open_with(disk.process(), Path::new(DIR), options()).expect("new");
    fill(&log, 10).await;
    let mut reader = log.reader(0).expect("at the start");
    assert_eq!(reader.next(0).await.expect("one").len(), 1);
    assert_eq!(reader.next(800).await.expect("two").len(), 2);
}

#[tokio::test]
async fn a_reader_waits_until_something_is_durable() {
    let disk = Disk::new(0);
    let log = open(disk.process()).expect("new");
    disk.hold_syncs(true);
    let appending = {
        let log = log.clone();
        tokio::spawn(async move { fill(&log, 1).await })
    };
    let mut reader = log.reader(0).expect("at the start");
    while disk.counts().1 < 2 {
        tokio::task::yield_now().await;
    }
    {
        // Dropped while it waits: nothing is lost.
        let next = reader.next(100);
        tokio::pin!(next);
        for _ in 0..50 {
            assert!(
                futures::poll!(&mut next).is_pending(),
                "written is not durable"
            );
            tokio::task::yield_now().await;
        }
    }
    {
        let next = reader.next(100);
        tokio::pin!(next);
        assert!(futures::poll!(&mut next).is_pending());
        disk.hold_syncs(false);
        assert_eq!(check(&next.await.expect("a batch"), 0), 3);
    }
    appending.await.expect("a task");
    log.close().await.expect("closed");
    assert!(matches!(reader.next(100).await, Err(LogError::Closed)));
}

#[tokio::test]
async fn a_reader_outside_of_the_log_is_told_so() {
    let disk = Disk::new(0);
    let log = EmbeddedLog::open_with(disk.process(), Path::new(DIR), small_ring()).expect("new");
    fill(&log, 20).await;
    let mut late = log.reader(0).expect("at the start");
    late.next(1).await.expect("a batch");
    log.trim(40).await.expect("trimmed");
    let start = log.start();
    assert!(start > 3);
    let trimmed = |e: &LogError, at| matches!(e, LogError::Trimmed { asked, start: s } if *asked == at && *s == start);
    let error = late.next(1).await.expect_err("trimmed");
    assert!(trimmed(&error, 3), "{error}");
    assert_eq!(late.position(), 3);
    let error = log.reader(start - 1).expect_err("trimmed");
    assert!(trimmed(&error, start - 1), "{error}");
    let error = log.reader(61).expect_err("ahead");
    assert!(
        matches!(error, LogError::Ahead { asked: 61, end: 60 }),
        "{error}"
    );
}

#[tokio::test]
async fn damage_since_the_start_is_told_and_not_passed_over() {
    let disk = Disk::new(0);
    let log = EmbeddedLog::open_with(disk.process(), Path::new(DIR), small_ring()).expect("new");
    fill(&log, 8).await;
    let path = log.reader(0).expect("at the start").shared.path(0);
    disk.edit(&path, |file| file[segment::HEADER as usize + 200] ^= 1);
    let mut reader = log.reader(0).expect("at the start");
    for _ in 0..2 {
        let error = reader.next(10_000).await.expect_err("damaged");
        assert!(
            matches!(&error, LogError::Damaged { file, at: 64, .. } if *file == path),
            "{error}"
        );
    }
}
