use bytes::Bytes;

use super::super::sim::{Crash, Disk, Fault};
use super::super::tests::{envelope, open};
use super::super::{EmbeddedLog, LogError};

async fn filled(disk: &std::sync::Arc<Disk>) -> EmbeddedLog {
    let log = open(disk.process()).expect("new");
    for _ in 0..12 {
        let record = vec![Bytes::from(vec![1; 200])];
        log.append(envelope("s"), record).await.expect("appended");
    }
    log
}

fn bases(disk: &Disk) -> Vec<i64> {
    let names = disk.names();
    let stems = names.iter().filter_map(|p| p.file_stem()?.to_str());
    stems.map(|stem| stem.parse().expect("a number")).collect()
}

#[tokio::test]
async fn only_whole_segments_below_the_offset_go() {
    let disk = Disk::new(0);
    let log = filled(&disk).await;
    let bases = bases(&disk);
    assert!(bases.len() > 3);
    assert_eq!(log.trim(bases[1] - 1).await.expect("nothing to do"), 0);
    assert_eq!(log.start(), 0);
    assert!(log.trim(bases[1]).await.expect("trimmed") > 0);
    assert_eq!(log.start(), bases[1]);
    assert_eq!(disk.names().len(), bases.len() - 1);
}

#[tokio::test]
async fn the_last_segment_stays_so_that_offsets_never_begin_anew() {
    let disk = Disk::new(0);
    let log = filled(&disk).await;
    log.trim(i64::MAX).await.expect("trimmed");
    assert_eq!(disk.names().len(), 1);
    disk.crash(Crash::PowerLoss);
    let log = open(disk.process()).expect("opens");
    assert_eq!(log.end(), 12);
}

#[tokio::test]
async fn a_trim_that_failed_is_finished_by_the_next() {
    for fault in [Fault::Refused, Fault::Done, Fault::Torn] {
        for n in 0..4 {
            let disk = Disk::new(n as u64);
            let log = filled(&disk).await;
            disk.fail_at(n, fault);
            let error = log.trim(i64::MAX).await.expect_err("a fault");
            assert!(matches!(error, LogError::Unavailable { .. }));
            disk.heal();
            log.trim(i64::MAX).await.expect("trimmed");
            assert_eq!(disk.names().len(), 1);
            disk.crash(Crash::PowerLoss);
            open(disk.process()).expect("no gap");
        }
    }
}
