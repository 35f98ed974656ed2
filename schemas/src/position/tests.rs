use super::*;

#[test]
fn a_position_never_moves_back() {
    let log = Partition::embedded();
    let mut at = Position::at(log.clone(), 10);
    at.advance(&log, 7);
    assert_eq!(at.of(&log), 10);
    at.merge(&Position::at(log.clone(), 12));
    assert!(at.covers(&log, 11) && !at.covers(&log, 12));
}

#[test]
fn reaching_asks_about_every_partition_of_the_other() {
    let a = Partition::try_from("audit/0".to_owned()).unwrap();
    let b = Partition::try_from("audit/1".to_owned()).unwrap();
    let mut both = Position::at(a.clone(), 5);
    assert!(both.reaches(&Position::default()));
    both.advance(&b, 3);
    assert!(both.reaches(&Position::at(b.clone(), 3)));
    assert!(!Position::at(a, 5).reaches(&both));
}

#[test]
fn json_has_partitions_as_keys_and_comes_back() {
    let at = Position::at(Partition::try_from("a/b/3".to_owned()).unwrap(), 9);
    let text = serde_json::to_string(&at).unwrap();
    assert_eq!(text, r#"{"a/b/3":9}"#);
    assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), at);
    assert!(serde_json::from_str::<Position>(r#"{"nonumber":1}"#).is_err());
}
