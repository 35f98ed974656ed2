use super::super::sim::{Crash, Disk, Fault};
use super::super::tests::{DIR, envelope, open, options, read_all};
use super::super::{LogBatch, segment};
use super::*;

fn payload(text: &str) -> Vec<Bytes> {
    vec![Bytes::copy_from_slice(text.as_bytes())]
}

#[tokio::test]
async fn appends_that_wait_share_one_write_and_one_sync() {
    let disk = Disk::new(0);
    let log = open(disk.process()).expect("new");
    disk.hold_syncs(true);
    let append = |i: usize| {
        let log = log.clone();
        tokio::spawn(async move { log.append(envelope(&i.to_string()), payload("x")).await })
    };
    let (_, writes, syncs) = disk.counts();
    // The first is being synced while the others come.
    let first = append(0);
    while disk.counts().1 == writes {
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (1..8).map(append).collect();
    while log.requests.capacity() > QUEUE - 7 {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.end(), 0, "nothing is durable yet");
    disk.hold_syncs(false);
    assert_eq!(first.await.expect("a task").expect("appended"), 0..1);
    let mut offsets = Vec::new();
    for other in others {
        offsets.push(other.await.expect("a task").expect("appended").start);
    }
    assert_eq!(offsets, (1..8).collect::<Vec<_>>());
    assert_eq!(disk.counts().1 - writes, 2, "writes");
    assert_eq!(disk.counts().2 - syncs, 2, "syncs");
}

#[tokio::test]
async fn an_empty_list_is_an_empty_range_and_an_empty_record_is_a_record() {
    let disk = Disk::new(0);
    let log = open(disk.process()).expect("new");
    assert_eq!(
        log.append(envelope("s"), Vec::new())
            .await
            .expect("nothing"),
        0..0
    );
    let one = log.append(envelope("s"), vec![Bytes::new()]).await;
    assert_eq!(one.expect("appended"), 0..1);
    assert_eq!(
        read_all(&log).await.expect("read")[0].payloads,
        [Bytes::new()]
    );
}

#[tokio::test]
async fn an_append_that_is_too_large_is_refused_before_it_takes_an_offset() {
    let disk = Disk::new(0);
    let log = open(disk.process()).expect("new");
    let error = log.append(envelope("s"), vec![Bytes::from(vec![0; 4096])]);
    let error = error.await.expect_err("too large");
    assert!(matches!(error, LogError::TooLarge { bytes, limit: 4096 } if bytes > 4096));
    assert_eq!(
        log.append(envelope("s"), payload("x"))
            .await
            .expect("appended"),
        0..1
    );
}

#[tokio::test]
async fn a_full_disk_is_unavailable_until_there_is_room() {
    let disk = Disk::new(0);
    let log = open(disk.process()).expect("new");
    log.append(envelope("s"), payload("before"))
        .await
        .expect("appended");
    // Not even a segment fits; then a segment and no frame; then nothing again.
    for room in [0, 10, 100, 70, 0] {
        disk.room(Some(room));
        let error = log.append(envelope("s"), payload("during")).await;
        let error = error.expect_err("no room");
        assert!(error.to_string().contains("free some space"), "{error}");
        assert!(matches!(log.trouble(), Some(LogError::Unavailable { .. })));
        assert_eq!(log.end(), 1);
    }
    disk.room(None);
    assert_eq!(
        log.append(envelope("s"), payload("after"))
            .await
            .expect("room"),
        1..2
    );
    assert!(log.trouble().is_none());
    disk.crash(Crash::PowerLoss);
    let log = open(disk.process()).expect("no damage");
    let senders: Vec<_> = read_all(&log)
        .await
        .expect("read")
        .into_iter()
        .map(|b| b.payloads)
        .collect();
    assert_eq!(senders, [payload("before"), payload("after")]);
}

#[tokio::test]
async fn after_a_failed_sync_the_file_is_never_synced_again() {
    let disk = Disk::new(0);
    let log = open(disk.process()).expect("new");
    log.append(envelope("s"), payload("before"))
        .await
        .expect("appended");
    disk.fail_at(1, Fault::Torn);
    let error = log.append(envelope("s"), payload("lost")).await;
    assert!(matches!(error, Err(LogError::Unavailable { .. })));
    disk.heal();
    assert_eq!(
        log.append(envelope("s"), payload("after"))
            .await
            .expect("appended"),
        1..2
    );
    let names: Vec<_> = disk.names();
    let segments = [0, 1].map(|base| segment::path(Path::new(DIR), base));
    assert_eq!(names, segments);
    disk.crash(Crash::PowerLoss);
    let log = open(disk.process()).expect("no damage");
    let batches = read_all(&log).await.expect("read");
    let payloads: Vec<_> = batches.into_iter().map(|b: LogBatch| b.payloads).collect();
    assert_eq!(payloads, [payload("before"), payload("after")]);
}

#[tokio::test]
async fn offsets_go_on_after_a_close_and_no_byte_is_rewritten_in_vain() {
    let disk = Disk::new(0);
    for round in 0..3 {
        let log = open(disk.process()).expect("opens");
        assert_eq!(log.end(), round);
        log.append(envelope("s"), payload("x"))
            .await
            .expect("appended");
        log.close().await.expect("closed");
        assert!(matches!(
            log.append(envelope("s"), payload("x")).await,
            Err(LogError::Closed)
        ));
        log.close().await.expect("closed already");
    }
    // Opened and closed without an append, the log does not grow.
    let path = segment::path(Path::new(DIR), 0);
    let before = disk.edit(&path, |file| file.clone());
    open(disk.process())
        .expect("opens")
        .close()
        .await
        .expect("closed");
    assert_eq!(disk.edit(&path, |file| file.clone()), before);
}

#[tokio::test]
async fn close_finishes_what_was_accepted() {
    let disk = Disk::new(0);
    let log = open(disk.process()).expect("new");
    let appends: Vec<_> = (0..20)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move { log.append(envelope("s"), payload("x")).await })
        })
        .collect();
    while log.requests.capacity() == QUEUE && log.end() == 0 {
        tokio::task::yield_now().await;
    }
    log.close().await.expect("closed");
    let mut acknowledged = 0;
    for append in appends {
        match append.await.expect("a task") {
            Ok(_) => acknowledged += 1,
            Err(error) => assert!(matches!(error, LogError::Closed)),
        }
    }
    let log = open(disk.process()).expect("opens");
    assert_eq!(log.end(), acknowledged);
}

#[tokio::test]
async fn a_folder_on_a_real_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("made/as/needed");
    let log = EmbeddedLog::open(&dir, options()).expect("new");
    assert!(matches!(
        EmbeddedLog::open(&dir, options()),
        Err(LogError::InUse { .. })
    ));
    for i in 0..30 {
        let range = log.append(envelope("s"), vec![Bytes::from(vec![b'x'; 90]); 2]);
        assert_eq!(range.await.expect("appended"), 2 * i..2 * i + 2);
    }
    let before = log.bytes();
    let freed = log.trim(31).await.expect("trimmed");
    assert!(freed > 0);
    assert_eq!(log.bytes(), before - freed);
    let start = log.start();
    assert!((1..=31).contains(&start));
    log.close().await.expect("closed");
    let on_disk: u64 = std::fs::read_dir(&dir)
        .expect("a folder")
        .map(|e| e.expect("an entry").metadata().expect("a file").len())
        .sum();
    let log = EmbeddedLog::open(&dir, options()).expect("opens");
    assert_eq!(log.bytes(), on_disk);
    assert_eq!((log.start(), log.end()), (start, 60));
    let records: usize = read_all(&log)
        .await
        .expect("read")
        .iter()
        .map(|b| b.payloads.len())
        .sum();
    assert_eq!(records as i64, 60 - start);
    assert_eq!(log.recovery().cut_bytes, 0);
}

#[test]
fn the_handles_may_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<EmbeddedLog>();
    shared::<super::super::LogReader>();
}
