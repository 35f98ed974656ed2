use super::*;

#[test]
fn history_against_the_log() {
    let extent = Extent { start: 5, end: 9 };
    assert_eq!(judge(5, extent, None, |_| false), Verdict::Read(5));
    assert_eq!(judge(9, extent, None, |_| false), Verdict::Read(9));
    let gap = StoppedReason::Gap { from: 4, to: 5 };
    assert_eq!(judge(4, extent, None, |_| false), Verdict::Stop(gap));
    assert_eq!(
        judge(4, extent, None, |what| *what == Acceptable::gap(4, 5)),
        Verdict::Skip { from: 4, to: 5 }
    );
    // An acceptance is of what was gone then: not of what is gone since.
    let grown = Extent { start: 6, end: 9 };
    let gap = StoppedReason::Gap { from: 4, to: 6 };
    assert_eq!(
        judge(4, grown, None, |what| *what == Acceptable::gap(4, 5)),
        Verdict::Stop(gap)
    );
    let truncated = StoppedReason::Truncated {
        committed: 10,
        end: 9,
        from: None,
    };
    assert_eq!(
        judge(10, extent, None, |_| false),
        Verdict::Stop(truncated.clone())
    );
    assert_eq!(
        judge(10, extent, None, |_| true),
        Verdict::Stop(truncated),
        "accepting does not bring records back under new offsets"
    );
}

#[test]
fn a_log_that_differs_is_not_read_also_where_it_is_long_enough() {
    for end in [9, 12, 40] {
        let extent = Extent { start: 5, end };
        let cut = Some(Cut { from: Some(7) });
        let truncated = StoppedReason::Truncated {
            committed: 10,
            end,
            from: Some(7),
        };
        assert_eq!(
            truncated.acceptable(),
            Some(Acceptable::truncated(7, 10)),
            "what it says is what can be accepted"
        );
        for wrong in [Acceptable::gap(7, 10), Acceptable::truncated(8, 10)] {
            let verdict = judge(10, extent, cut, |what| *what == wrong);
            assert_eq!(verdict, Verdict::Stop(truncated.clone()));
        }
        let right = |what: &Acceptable| *what == Acceptable::truncated(7, 10);
        assert_eq!(judge(10, extent, cut, right), Verdict::Renew { from: 7 });
    }
}

#[test]
fn what_the_log_has_let_go_of_is_not_read_under_a_new_name() {
    let extent = Extent { start: 8, end: 12 };
    let cut = Some(Cut { from: Some(7) });
    assert_eq!(judge(10, extent, cut, |_| true), Verdict::Renew { from: 8 });
}

#[test]
fn the_mark_is_looked_for_where_the_log_still_reaches() {
    let partition = Partition {
        source: "t".to_owned(),
        number: 0,
    };
    let mut committed = Position::at(partition.clone(), 10);
    let topic = |start| Topic {
        id: TopicId(1),
        epoch: Epoch {
            number: 1,
            ..Epoch::default()
        },
        extents: Extents::from([(0, Ok(Extent { start, end: 20 }))]),
        cuts: BTreeMap::new(),
    };
    assert_eq!(topic(0).known("t", 0, &committed), None, "nothing is known");
    Mark { next: 8, epoch: 3 }.note(&mut committed, &partition);
    let at = |next| {
        Some(Known {
            topic: "t".to_owned(),
            number: 0,
            mark: Mark { next, epoch: 3 },
            next: 10,
            end: 20,
        })
    };
    assert_eq!(topic(0).known("t", 0, &committed), at(8));
    // Retention has passed the record: what is behind it is still asked for.
    assert_eq!(topic(9).known("t", 0, &committed), at(9));
    assert_eq!(topic(11).known("t", 0, &committed), None, "that is a gap");
}
