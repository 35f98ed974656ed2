use super::*;

#[test]
fn history_against_the_log() {
    let extent = Extent { start: 5, end: 9 };
    assert_eq!(judge(5, extent, |_| false), Verdict::Read(5));
    assert_eq!(judge(9, extent, |_| false), Verdict::Read(9));
    let gap = StoppedReason::Gap { from: 4, to: 5 };
    assert_eq!(judge(4, extent, |_| false), Verdict::Stop(gap));
    assert_eq!(
        judge(4, extent, |what| *what == Acceptable::gap(4, 5)),
        Verdict::Skip { from: 4, to: 5 }
    );
    // An acceptance is of what was gone then: not of what is gone since.
    let grown = Extent { start: 6, end: 9 };
    let gap = StoppedReason::Gap { from: 4, to: 6 };
    assert_eq!(
        judge(4, grown, |what| *what == Acceptable::gap(4, 5)),
        Verdict::Stop(gap)
    );
    let truncated = StoppedReason::Truncated {
        committed: 10,
        end: 9,
    };
    assert_eq!(
        judge(10, extent, |_| false),
        Verdict::Stop(truncated.clone())
    );
    assert_eq!(
        judge(10, extent, |_| true),
        Verdict::Stop(truncated),
        "accepting does not bring records back under new offsets"
    );
}
