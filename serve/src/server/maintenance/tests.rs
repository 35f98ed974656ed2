mod days;

use super::*;

fn at(places: &[(&str, i64)]) -> Position {
    let part = |name: &str| Partition::try_from(name.to_owned()).unwrap();
    Position(places.iter().map(|(p, next)| (part(p), *next)).collect())
}

#[test]
fn one_of_several_processes_tidies_the_tables() {
    let owned = |names: &[&str]| -> BTreeSet<Partition> {
        let parts = names.iter().map(|n| Partition::try_from((*n).to_owned()));
        parts.map(Result::unwrap).collect()
    };
    let (a, b, none) = (owned(&["t/0", "t/2"]), owned(&["t/1"]), owned(&[]));
    let mut turns = [Turn::default(), Turn::default(), Turn::default()];
    let mut mine = |position: &[(&str, i64)]| {
        let position = at(position);
        let [first, second, third] = &mut turns;
        [
            first.is_mine(&position, &a),
            second.is_mine(&position, &b),
            third.is_mine(&position, &none),
        ]
    };
    // Nobody knows yet what moves.
    assert_eq!(mine(&[("old/0", 9), ("t/0", 1)]), [false; 3]);
    assert_eq!(
        mine(&[("old/0", 9), ("t/0", 2), ("t/1", 5)]),
        [true, false, false]
    );
    // The first one's partition rests: it is the other's turn.
    assert_eq!(
        mine(&[("old/0", 9), ("t/0", 2), ("t/1", 6)]),
        [false, true, false]
    );
    // Nothing moves at all: somebody has to, so everybody looks.
    assert_eq!(mine(&[("old/0", 9), ("t/0", 2), ("t/1", 6)]), [true; 3]);
}
