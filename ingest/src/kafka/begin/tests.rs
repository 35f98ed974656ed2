use super::*;

#[test]
fn history_against_the_log() {
    let extent = Extent { start: 5, end: 9 };
    assert_eq!(judge(5, extent, false), Verdict::Read(5));
    assert_eq!(judge(9, extent, false), Verdict::Read(9));
    let gap = StoppedReason::Gap { from: 4, to: 5 };
    assert_eq!(judge(4, extent, false), Verdict::Stop(gap));
    assert_eq!(judge(4, extent, true), Verdict::Skip { from: 4, to: 5 });
    let truncated = StoppedReason::Truncated {
        committed: 10,
        end: 9,
    };
    assert_eq!(judge(10, extent, false), Verdict::Stop(truncated.clone()));
    assert_eq!(
        judge(10, extent, true),
        Verdict::Stop(truncated),
        "accepting does not bring records back under new offsets"
    );
}
