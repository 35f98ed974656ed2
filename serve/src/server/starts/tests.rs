//! What a data folder knows of its starts.

use super::*;
use crate::server::ambient::SystemIds;

fn own() -> Partition {
    Partition {
        source: "log-1".to_owned(),
        number: 0,
    }
}

fn standing(start: i64) -> Standing {
    Standing {
        history: cairn_schemas::Position::at(own().start(), start),
        ..Standing::default()
    }
}

fn checked(at: &Standing, known: &[i64]) -> anyhow::Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(dir.path(), cairn_store::log::LogOptions::default()).unwrap();
    check_starts(dir.path(), &log, &own(), at, known)
}

#[test]
fn numbers_grow_and_those_of_two_that_count_on_differ() {
    let (a, b) = (next(0, &[], &SystemIds), next(0, &[], &SystemIds));
    assert_ne!(a, b);
    for number in [a, b] {
        assert_eq!(number >> CHANCE, 1);
        assert!(next(number, &[], &SystemIds) > number);
        assert!(next(0, &[number], &SystemIds) > number);
    }
}

#[test]
fn a_folder_keeps_the_numbers_that_history_may_hold() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path()).unwrap().is_empty());
    write(dir.path(), 0, 7).unwrap();
    assert_eq!(read(dir.path()).unwrap(), [0, 7]);
    write(dir.path(), 7, 9).unwrap();
    assert_eq!(read(dir.path()).unwrap(), [7, 9]);
    fs::write(dir.path().join(keys::STARTS_FILE), "seven").unwrap();
    let refused = read(dir.path()).unwrap_err();
    assert!(refused.to_string().contains("from a backup"), "{refused}");
}

#[test]
fn a_start_elsewhere_is_told_from_one_of_this_folder() {
    let n = |count: i64, chance: i64| (count << CHANCE) | chance;
    // Never started, started before, cut off before history knew or after it.
    checked(&standing(0), &[]).unwrap();
    checked(&standing(n(1, 5)), &[n(1, 5)]).unwrap();
    checked(&standing(n(1, 5)), &[n(1, 5), n(2, 8)]).unwrap();
    checked(&standing(n(2, 8)), &[n(1, 5), n(2, 8)]).unwrap();
    // Tables that were restored, which the offsets speak of.
    checked(&standing(n(1, 3)), &[n(4, 1), n(5, 1)]).unwrap();
    // A folder without the numbers, one that is behind, and one that counted on
    // beside another.
    for (at, known) in [
        (n(1, 5), vec![]),
        (n(3, 9), vec![n(2, 8)]),
        (n(2, 7), vec![n(1, 5), n(2, 8)]),
    ] {
        let refused = checked(&standing(at), &known).unwrap_err().to_string();
        assert!(refused.contains("is a copy"), "{refused}");
    }
}
