mod replay;

use std::fs;
use std::path::{Path, PathBuf};

use cairn_schemas::{AccountId, Micros, Partition, Position};
use tempfile::TempDir;

use super::*;

/// Small enough that a handful of events flushes and merges.
fn small() -> SeenOptions {
    SeenOptions {
        memtable_entries: 4,
        fanout: 2,
        max_run_entries: 1 << 20,
        committed: None,
    }
}

/// In memory where the system offers that: these tests sync thousands of small
/// files, and lose no power.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

fn open(dir: &TempDir) -> SeenIndex {
    SeenIndex::open(dir.path(), small()).unwrap()
}

fn event(key: u128, content: u128, offset: i64) -> Candidate {
    Candidate {
        key: SeenKey(spread(key)),
        content: ContentId(content),
        at: place(offset),
        ingest: Micros(offset * 10),
    }
}

fn place(offset: i64) -> Place {
    Place {
        partition: Slot(0),
        offset,
        item: 0,
    }
}

/// Uniform, as real keys are; a bijection, so distinct keys stay distinct.
fn spread(key: u128) -> u128 {
    let mixed = (key ^ (key << 64)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (mixed ^ (mixed >> 67)).wrapping_mul(0xd6e8_feb8_6659_fd93_a5a5_6b1d_4f6c_dd1d)
}

fn at(offset: i64) -> Position {
    Position::at(Partition::embedded(), offset)
}

fn embedded(index: &mut SeenIndex) {
    assert_eq!(index.slot(&Partition::embedded()).unwrap(), Slot(0));
}

fn runs(dir: &TempDir) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir.path().join("runs")).unwrap();
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// All upkeep that there is to do.
fn settle(index: &mut SeenIndex) {
    while let Some(work) = index.next_work() {
        index.finish(work.run()).unwrap();
    }
}

fn flip(path: &Path, position: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = position % bytes.len();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Ten new events at offsets 0 to 9, durable.
fn ten(dir: &TempDir) -> SeenIndex {
    let mut index = open(dir);
    embedded(&mut index);
    for n in 0..10 {
        let seen = index.check_and_insert(event(n as u128, 1, n)).unwrap();
        assert_eq!(seen, Seen::New);
        index.advance(&at(n + 1)).unwrap();
        index.committed(&at(n + 1)).unwrap();
    }
    index.flush().unwrap();
    index
}

#[test]
fn keys_keep_account_and_id_apart() {
    let account = |text| AccountId::new(text).unwrap();
    let key = SeenKey::of(&account("1234567890123456"), "A-1");
    assert_eq!(key, SeenKey::of(&account("1234567890123456"), "A-1"));
    assert_ne!(key, SeenKey::of(&account("1234567890123457"), "A-1"));
    assert_ne!(key, SeenKey::of(&account("1234567890123456"), "A-2"));
    let (short, long) = (account("12345678901234"), account("123456789012345"));
    assert_ne!(SeenKey::of(&short, "5X"), SeenKey::of(&long, "X"));
}

/// The format of keys is on disk: a change must change the run's version.
#[test]
fn fingerprints_stay_as_they_are() {
    let account = AccountId::new("123456789012").unwrap();
    let mut hashed = 12u64.to_le_bytes().to_vec();
    hashed.extend(b"123456789012E-1");
    assert_eq!(SeenKey::of(&account, "E-1").0, ContentId::of(&hashed).0);
    let abc = 0xba78_16bf_8f01_cfea_4141_40de_5dae_2223;
    assert_eq!(ContentId::of(b"abc"), ContentId(abc));
}

#[test]
fn same_bytes_once_and_other_bytes_flagged() {
    let dir = scratch();
    let mut index = open(&dir);
    embedded(&mut index);
    let batch = [
        event(7, 1, 0),
        event(7, 1, 1),
        event(7, 2, 2),
        event(7, 2, 3),
        event(7, 1, 4),
        event(8, 1, 5),
    ];
    let expected = [
        Seen::New,
        Seen::Duplicate(place(0)),
        Seen::Conflict(Some(place(0))),
        Seen::Duplicate(place(2)),
        Seen::Duplicate(place(0)),
        Seen::New,
    ];
    assert_eq!(index.check_batch(&batch).unwrap(), expected);
    // Once more at the same places: each is itself, not its own duplicate.
    assert_eq!(index.check_batch(&batch).unwrap(), expected);
    index.committed(&at(6)).unwrap();
    index.flush().unwrap();
    assert_eq!(index.check_batch(&batch).unwrap(), expected);
    assert_eq!(index.stats().run_entries, 3);
    assert_eq!(index.stats().memory_entries, 0);
}

#[test]
fn events_of_one_record_are_told_apart() {
    let dir = scratch();
    let mut index = open(&dir);
    embedded(&mut index);
    let mut twice = [event(7, 1, 3), event(7, 1, 3)];
    twice[1].at.item = 1;
    let expected = [Seen::New, Seen::Duplicate(place(3))];
    assert_eq!(index.check_batch(&twice).unwrap(), expected);
    index.committed(&at(4)).unwrap();
    index.flush().unwrap();
    assert_eq!(index.check_batch(&twice).unwrap(), expected);
}

#[test]
fn another_partition_counts_by_insertion_not_by_offset() {
    let dir = scratch();
    let mut index = open(&dir);
    embedded(&mut index);
    let other = Partition {
        source: "audit".to_owned(),
        number: 3,
    };
    let slot = index.slot(&other).unwrap();
    assert_eq!(index.partition(slot), Some(&other));
    let first = event(7, 1, 900);
    let mut second = event(7, 1, 5);
    second.at.partition = slot;
    assert_eq!(index.check_and_insert(first).unwrap(), Seen::New);
    let duplicate = Seen::Duplicate(first.at);
    assert_eq!(index.check_and_insert(second).unwrap(), duplicate);
    index.committed(&at(901)).unwrap();
    index.flush().unwrap();
    drop(index);

    // What was committed stays the first, however the rest is interleaved.
    let mut index = open(&dir);
    assert_eq!(index.slot(&other).unwrap(), slot);
    assert_eq!(index.check_and_insert(second).unwrap(), duplicate);
    assert_eq!(index.check_and_insert(first).unwrap(), Seen::New);
}

#[test]
fn known_after_restart_and_merge() {
    let dir = scratch();
    let mut index = ten(&dir);
    settle(&mut index);
    assert!(index.stats().runs < 3);
    drop(index);
    let mut index = open(&dir);
    assert_eq!(index.covered(), at(10));
    assert!(index.set_aside().is_empty());
    assert_eq!(index.stats().run_entries, 10);
    for n in 0..10 {
        let seen = index.check_and_insert(event(n as u128, 1, 20 + n)).unwrap();
        assert_eq!(seen, Seen::Duplicate(place(n)));
        let seen = index.check_and_insert(event(n as u128, 2, 40 + n)).unwrap();
        assert_eq!(seen, Seen::Conflict(Some(place(n))));
    }
}

#[test]
fn covered_waits_for_history_and_for_the_disk() {
    let dir = scratch();
    let mut index = open(&dir);
    embedded(&mut index);
    index.advance(&at(3)).unwrap();
    assert_eq!(index.covered(), Position::default());
    index.committed(&at(3)).unwrap();
    assert_eq!(index.covered(), at(3));
    index.check_and_insert(event(1, 1, 3)).unwrap();
    index.advance(&at(4)).unwrap();
    assert_eq!(index.covered(), at(3));
    index.freeze();
    index.check_and_insert(event(2, 1, 4)).unwrap();
    index.advance(&at(5)).unwrap();
    assert!(index.next_work().is_none(), "it is not committed");
    assert!(!index.is_settled());
    index.committed(&at(4)).unwrap();
    let work = index.next_work().unwrap();
    assert!(!work.is_merge());
    assert!(index.next_work().is_none());
    let done = work.run();
    assert_eq!(index.covered(), at(3));
    index.finish(done).unwrap();
    assert_eq!(index.covered(), at(4));
    index.flush().unwrap();
    assert_eq!((index.covered(), index.stats().runs), (at(4), 1));
    index.committed(&at(5)).unwrap();
    assert!(index.is_settled());
    index.flush().unwrap();
    assert_eq!((index.covered(), index.stats().runs), (at(5), 2));
}

/// A full table whose events are not committed is never forced out; dropped and
/// opened again, the index knows what history knows.
#[test]
fn the_disk_holds_only_what_history_committed() {
    let dir = scratch();
    let mut index = open(&dir);
    embedded(&mut index);
    for n in 0..20 {
        index.check_and_insert(event(n as u128, 1, n)).unwrap();
        index.advance(&at(n + 1)).unwrap();
        assert!(index.next_work().is_none());
    }
    assert_eq!(index.stats().memory_entries, 20);
    index.committed(&at(10)).unwrap();
    index.flush().unwrap();
    // Tables of four: the third holds the events 8 to 11.
    assert_eq!(index.stats().run_entries, 8);
    drop(index);
    let mut index = open(&dir);
    assert_eq!(index.covered(), at(8));
    for n in 8..10 {
        index.restore(event(n as u128, 1, n), false).unwrap();
    }
    index.advance(&at(10)).unwrap();
    index.committed(&at(10)).unwrap();
    assert!(index.is_settled());
    for n in 0..20 {
        let seen = index
            .check_and_insert(event(n as u128, 1, 100 + n))
            .unwrap();
        let known = if n < 10 {
            Seen::Duplicate(place(n))
        } else {
            Seen::New
        };
        assert_eq!(seen, known, "{n}");
    }
}

#[test]
fn a_learned_row_collides_with_what_is_not_committed() {
    let dir = scratch();
    let mut index = open(&dir);
    embedded(&mut index);
    let other = Partition {
        source: "audit".to_owned(),
        number: 3,
    };
    let slot = index.slot(&other).unwrap();
    let theirs = |key, content, offset| {
        let mut row = event(key, content, offset);
        row.at.partition = slot;
        row
    };
    for n in 0..6 {
        index.check_and_insert(event(n as u128, 1, n)).unwrap();
    }
    // A second content of a key that is committed, itself not committed.
    index.check_and_insert(event(1, 2, 6)).unwrap();
    index.advance(&at(7)).unwrap();
    index.committed(&at(3)).unwrap();

    let mut position = at(3);
    position.advance(&other, 10);
    index.begin_learning(&position).unwrap();
    assert!(
        index.learn(theirs(0, 9, 0), true).unwrap(),
        "committed before"
    );
    assert!(index.learn(theirs(50, 1, 1), false).unwrap());
    assert!(
        index.learn(theirs(50, 2, 2), true).unwrap(),
        "among each other"
    );
    assert!(index.learn(theirs(50, 2, 2), true).unwrap(), "once more");
    assert!(
        !index.learn(theirs(4, 1, 3), false).unwrap(),
        "the same event"
    );
    assert!(!index.learn(theirs(5, 7, 4), false).unwrap(), "its rival");
    assert!(
        !index.learn(theirs(1, 5, 5), true).unwrap(),
        "a rival of its rival"
    );
    index.advance(&position).unwrap();
    let seen = index.check_and_insert(event(50, 1, 7)).unwrap();
    assert_eq!(seen, Seen::Duplicate(theirs(50, 1, 1).at));
}

/// The pipeline outruns the background: the table is written in place, and
/// the late flush changes nothing.
#[test]
fn a_late_flush_is_discarded() {
    let dir = scratch();
    let mut index = open(&dir);
    embedded(&mut index);
    index.committed(&at(12)).unwrap();
    for n in 0..3 {
        index.check_and_insert(event(n as u128, 1, n)).unwrap();
    }
    index.freeze();
    let work = index.next_work().unwrap();
    for n in 3..12 {
        index.check_and_insert(event(n as u128, 1, n)).unwrap();
    }
    let entries = index.stats().run_entries;
    assert!(entries >= 3);
    index.finish(work.run()).unwrap();
    assert_eq!(index.stats().run_entries, entries);
    settle(&mut index);
    index.flush().unwrap();
    assert_eq!(index.stats().run_entries, 12);
    assert_eq!(runs(&dir).len(), index.stats().runs);
}

#[test]
fn a_crash_before_the_manifest_leaves_nothing() {
    let dir = scratch();
    let mut index = ten(&dir);
    let before = runs(&dir);
    let merge = index.next_work().unwrap();
    assert!(merge.is_merge());
    let done = merge.run();
    assert_eq!(runs(&dir).len(), before.len() + 1);
    fs::write(dir.path().join("runs/00000000000000ff.tmp"), b"half").unwrap();
    drop((index, done));
    let index = open(&dir);
    assert_eq!(runs(&dir), before);
    assert!(index.set_aside().is_empty());
    assert_eq!(index.covered(), at(10));
}

#[test]
fn stopped_work_is_offered_again_by_a_later_open() {
    let dir = scratch();
    let mut index = ten(&dir);
    let before = runs(&dir);
    let merge = index.next_work().unwrap();
    index.stop_work();
    index.finish(merge.run()).unwrap();
    assert_eq!(runs(&dir), before);
    assert!(index.next_work().is_none());
    drop(index);
    assert!(open(&dir).next_work().is_some());
}

#[test]
fn one_owner() {
    let dir = scratch();
    let mut index = ten(&dir);
    let refused = SeenIndex::open(dir.path(), small());
    assert!(matches!(refused, Err(SeenError::InUse { .. })));
    // Work that is under way holds the folder too.
    let work = index.next_work().unwrap();
    drop(index);
    let refused = SeenIndex::open(dir.path(), small());
    assert!(matches!(refused, Err(SeenError::InUse { .. })));
    drop(work);
    open(&dir);
}

#[test]
fn every_flipped_byte_of_a_run_is_noticed() {
    let dir = scratch();
    drop(ten(&dir));
    let victim = runs(&dir)[1].clone();
    let good = fs::read(&victim).unwrap();
    let name = victim.file_name().unwrap().to_owned();
    let manifest = fs::read(dir.path().join("seen.json")).unwrap();
    // Every byte past the blocks, and some of the block, whose unused end is
    // under its checksum too.
    for position in (0..good.len()).filter(|p| *p >= 4000 || p % 97 == 0) {
        flip(&victim, position);
        let mut index = open(&dir);
        let noticed = if index.set_aside().is_empty() {
            let asked: Result<Vec<Seen>, SeenError> = (0..10)
                .map(|n| index.check_and_insert(event(n as u128, 1, 50 + n)))
                .collect();
            assert!(
                matches!(asked, Err(SeenError::Damaged { .. })),
                "{position}"
            );
            let again = index.check_and_insert(event(90, 1, 90));
            assert!(matches!(again, Err(SeenError::MustReopen)));
            assert!(index.next_work().is_none());
            index.set_aside().to_vec()
        } else {
            index.set_aside().to_vec()
        };
        assert_eq!(noticed.len(), 1, "{position}");
        assert_eq!(noticed[0].file, victim);
        assert!(dir.path().join("aside").join(&name).exists());
        drop(index);
        // The loss is remembered: the second run began at offset 4.
        assert_eq!(open(&dir).covered(), at(4), "{position}");
        fs::write(&victim, &good).unwrap();
        fs::write(dir.path().join("seen.json"), &manifest).unwrap();
    }
}

#[test]
fn a_merge_that_meets_damage_sets_the_input_aside() {
    let dir = scratch();
    drop(ten(&dir));
    flip(&runs(&dir)[0], 17);
    let mut index = open(&dir);
    let merge = index.next_work().unwrap();
    let failed = index.finish(merge.run());
    assert!(matches!(failed, Err(SeenError::Damaged { .. })));
    assert_eq!(index.set_aside().len(), 1);
    drop(index);
    assert_eq!(open(&dir).covered(), Position::default());
}

#[test]
fn foreign_files_and_lost_manifests_are_reported() {
    let dir = scratch();
    drop(ten(&dir));
    fs::write(dir.path().join("runs/notes.txt"), b"?").unwrap();
    let index = open(&dir);
    assert_eq!(index.set_aside().len(), 1);
    assert_eq!(index.covered(), at(10));
    drop(index);

    let manifest = dir.path().join("seen.json");
    let count = runs(&dir).len();
    flip(&manifest, 30);
    let index = open(&dir);
    assert_eq!(index.set_aside().len(), 1 + count);
    assert_eq!(index.covered(), Position::default());
    assert_eq!(index.stats().runs, 0);
}

#[test]
fn a_run_may_not_know_more_than_history() {
    let dir = scratch();
    drop(ten(&dir));
    let options = |end| SeenOptions {
        committed: Some(at(end)),
        ..small()
    };
    let index = SeenIndex::open(dir.path(), options(10)).unwrap();
    assert!(index.set_aside().is_empty());
    drop(index);
    // History was restored from before its last two records.
    let mut index = SeenIndex::open(dir.path(), options(8)).unwrap();
    assert_eq!(index.set_aside().len(), 1);
    assert_eq!(index.covered(), at(8));
    assert_eq!(index.check_and_insert(event(9, 1, 8)).unwrap(), Seen::New);
}

#[test]
fn expiry_drops_whole_runs() {
    let dir = scratch();
    let mut index = ten(&dir);
    assert_eq!(index.stats().runs, 3);
    // Runs of offsets 0-3, 4-7, 8-9, received at ten times the offset.
    index.expire(Micros(31)).unwrap();
    assert_eq!(index.stats().runs, 2);
    assert_eq!(runs(&dir).len(), 2);
    assert_eq!(index.covered(), at(10));
    assert_eq!(index.check_and_insert(event(0, 1, 10)).unwrap(), Seen::New);
    let kept = index.check_and_insert(event(4, 1, 11)).unwrap();
    assert_eq!(kept, Seen::Duplicate(place(4)));
}

#[test]
fn a_flood_of_contents_under_one_key_stays_cheap() {
    let dir = scratch();
    let options = SeenOptions {
        memtable_entries: 3000,
        ..small()
    };
    let mut index = SeenIndex::open(dir.path(), options).unwrap();
    embedded(&mut index);
    index.committed(&at(5000)).unwrap();
    let flood: Vec<Candidate> = (0..5000).map(|n| event(7, spread(n), n as i64)).collect();
    let verdicts = index.check_batch(&flood).unwrap();
    assert_eq!(verdicts[0], Seen::New);
    assert!(verdicts[1..].iter().all(|v| matches!(v, Seen::Conflict(_))));
    index.flush().unwrap();
    settle(&mut index);
    let reads = index.stats().block_reads;
    for n in [0u128, 1, 2500, 4999] {
        let again = event(7, spread(n), 9000);
        let seen = index.check_and_insert(again).unwrap();
        assert_eq!(seen, Seen::Duplicate(place(n as i64)));
    }
    let reads = index.stats().block_reads - reads;
    assert!(reads <= 4 * 16, "{reads} blocks read");
}

#[test]
fn rebuilt_from_history_it_answers_alike() {
    let dir = scratch();
    let mut index = ten(&dir);
    index.check_and_insert(event(3, 2, 10)).unwrap();
    drop(index);
    fs::remove_dir_all(dir.path()).unwrap();
    let mut index = open(&dir);
    assert_eq!(index.covered(), Position::default());
    embedded(&mut index);
    // Any order will do.
    index.restore(event(3, 2, 10), true).unwrap();
    for n in (0..10).rev() {
        index.restore(event(n as u128, 1, n), false).unwrap();
    }
    index.advance(&at(11)).unwrap();
    index.committed(&at(11)).unwrap();
    index.flush().unwrap();
    assert_eq!(index.covered(), at(11));
    for n in 0..10 {
        let seen = index.check_and_insert(event(n as u128, 1, 20)).unwrap();
        assert_eq!(seen, Seen::Duplicate(place(n)));
    }
    let seen = index.check_and_insert(event(3, 2, 21)).unwrap();
    assert_eq!(seen, Seen::Duplicate(place(10)));
    // The committed events themselves, were they replayed.
    let itself = index.check_and_insert(event(3, 2, 10)).unwrap();
    assert_eq!(itself, Seen::Conflict(Some(place(3))));
}

/// Many events: memory stays within its bounds, tags take what they should,
/// a new event reads next to nothing and a known one a block.
#[test]
fn many_events_in_bounded_memory() {
    const EVENTS: i64 = 1_000_000;
    const TABLE: usize = 16_384;
    let dir = scratch();
    let options = SeenOptions {
        memtable_entries: TABLE,
        ..SeenOptions::default()
    };
    let mut index = SeenIndex::open(dir.path(), options).unwrap();
    embedded(&mut index);
    for start in (0..EVENTS).step_by(1000) {
        let batch: Vec<Candidate> = (start..start + 1000)
            .map(|n| event(n as u128, 1, n))
            .collect();
        let verdicts = index.check_batch(&batch).unwrap();
        assert!(verdicts.iter().all(|v| *v == Seen::New));
        index.advance(&at(start + 1000)).unwrap();
        index.committed(&at(start + 1000)).unwrap();
        settle(&mut index);
        assert!(index.stats().memory_entries <= 2 * TABLE);
        assert!(index.stats().runs <= 3 * 8);
    }
    let stats = index.stats();
    assert!(stats.index_bytes < stats.run_entries * 22 / 10);
    // A probe in vain of each of about a dozen runs reads once in 2048.
    assert!(stats.block_reads < EVENTS as u64 / 100, "{stats:?}");
    let again: Vec<Candidate> = (0..20_000)
        .map(|n| event(n as u128, 1, EVENTS + n))
        .collect();
    let verdicts = index.check_batch(&again).unwrap();
    let known = |(n, v): (usize, &Seen)| *v == Seen::Duplicate(place(n as i64));
    assert!(verdicts.iter().enumerate().all(known));
    assert!(index.stats().block_reads - stats.block_reads < 21_000);
}
