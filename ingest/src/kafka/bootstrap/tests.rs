//! When brokers are added. Against a real broker that comes back without one:
//! tests/e2e/test_kafka_http.py, by chance.

use super::*;

#[test]
fn failed_questions_add_brokers_less_and_less_often() {
    let bootstrap = Bootstrap::new("a:1,b:2");
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert!(!bootstrap.due(false, at(0)));
    assert!(bootstrap.due(true, at(0)));
    assert!(!bootstrap.due(true, at(9)));
    assert!(bootstrap.due(true, at(10)));
    assert!(!bootstrap.due(true, at(29)));
    assert!(bootstrap.due(true, at(30)));
    // An answer begins it anew.
    assert!(!bootstrap.due(false, at(31)));
    assert!(bootstrap.due(true, at(32)));
    let times = (33..86_400).filter(|s| bootstrap.due(true, at(*s))).count();
    assert!((140..160).contains(&times), "{times} times in a day");
}

#[test]
fn statistics_without_a_broker_add_some_once() {
    let bootstrap = Bootstrap::new("a:1");
    let told: Vec<bool> = [true, false, false, true, false, false, false, false]
        .into_iter()
        .map(|broker| bootstrap.gone(broker))
        .collect();
    assert_eq!(
        told,
        [false, false, false, false, false, false, true, false]
    );
}
