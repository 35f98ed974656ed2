use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema};

use super::*;

fn stretch(first: i64, next: i64) -> Stretch {
    let schema = Arc::new(Schema::new(vec![Field::new(
        "log_offset",
        DataType::Int64,
        false,
    )]));
    let rows = Int64Array::from_iter_values(first..next);
    let rows = RecordBatch::try_new(schema, vec![Arc::new(rows)]).unwrap();
    let quarantined = rows.slice(0, 0);
    Stretch {
        partition: Partition::embedded(),
        first,
        next,
        rows,
        quarantined,
        bytes: 100,
        mark: None,
    }
}

fn at(next: i64) -> Position {
    Position::at(Partition::embedded(), next)
}

#[test]
fn open_rows_become_committed_and_then_go() {
    let mut recent = Recent::new(at(10));
    recent.push(stretch(10, 12));
    assert_eq!(recent.seal().1, at(12));
    recent.push(stretch(12, 15));
    assert_eq!(recent.open_size(), (5, 200));
    let (open, head) = recent.seal();
    assert_eq!(
        (open.len(), head),
        (2, at(15)),
        "a sealed stretch does not grow"
    );

    recent.push(stretch(15, 16));
    recent.committed(&at(15));
    assert_eq!(recent.open_size(), (1, 100));
    assert_eq!(recent.seal().0.len(), 1);

    // A follower at 12 still wants the second stretch.
    recent.release(Some(&at(12)), 1_000, &at(15));
    assert_eq!(recent.since(&at(12)).unwrap().len(), 2);
    assert!(
        recent.since(&at(10)).is_none(),
        "the first stretch is gone, and that is said"
    );

    // Without memory for it, it goes all the same; open rows never do.
    recent.release(Some(&at(12)), 0, &at(12));
    assert!(
        recent.since(&at(12)).is_some(),
        "no file that is shown has it"
    );
    recent.release(Some(&at(12)), 0, &at(15));
    assert!(recent.since(&at(12)).is_none());
    assert_eq!(recent.since(&at(15)).unwrap().len(), 1);
}

#[test]
fn a_snapshot_at_the_committed_place_meets_memory_without_a_gap() {
    let mut recent = Recent::new(at(0));
    for n in 0..7 {
        recent.push(stretch(n, n + 1));
    }
    assert_eq!(recent.seal().1, at(7));
    for n in 7..10 {
        recent.push(stretch(n, n + 1));
    }
    recent.committed(&at(7));
    recent.release(None, 1_000, &at(7));
    let fresh = recent.since(&at(7)).unwrap();
    let offsets = fresh
        .iter()
        .flat_map(|s| s.rows.column(0).to_data().buffer::<i64>(0).to_vec());
    assert_eq!(offsets.collect::<Vec<_>>(), [7, 8, 9]);
    assert_eq!(recent.open_size().0, 3);
}

#[test]
fn many_single_rows_become_few_batches() {
    let mut recent = Recent::new(at(0));
    for n in 0..1_000 {
        recent.push(stretch(n, n + 1));
    }
    assert!(
        recent.held().count() < 20,
        "{} stretches",
        recent.held().count()
    );
    assert_eq!(recent.open_size(), (1_000, 100_000));
}

#[test]
fn a_place_inside_a_stretch_cuts_it() {
    let mut recent = Recent::new(at(0));
    recent.push(stretch(0, 10));
    let newer = recent.since(&at(4)).unwrap();
    assert_eq!(
        (newer[0].first, newer[0].next, newer[0].rows.num_rows()),
        (4, 10, 6)
    );
}

#[test]
fn what_is_open_is_not_given_out_as_committed() {
    let own = Partition::embedded();
    let mut recent = Recent::new(at(10));
    recent.own([own.clone()].into());
    recent.push(stretch(10, 12));
    recent.seal();
    recent.push(stretch(12, 15));
    let given = |recent: &Recent| {
        let run = recent.committed_run_of(&own, 10);
        run.iter().map(|s| (s.first, s.next)).collect::<Vec<_>>()
    };
    assert_eq!(given(&recent), [], "nothing is committed");
    recent.committed(&at(12));
    assert_eq!(given(&recent), [(10, 12)]);
    // What another process commits of the same records is not what is held.
    recent.others_at(&at(15));
    assert_eq!(given(&recent), [(10, 12)]);
    recent.committed(&at(15));
    assert_eq!(given(&recent), [(10, 12), (12, 15)]);
}
