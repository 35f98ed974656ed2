use super::*;
use crate::event_hash;

fn sum_of(texts: &[&str]) -> Multiset {
    let mut sum = Multiset::new();
    for text in texts {
        sum.add(&event_hash(text.as_bytes()));
    }
    sum
}

#[test]
fn order_does_not_matter_and_repetition_does() {
    assert_eq!(sum_of(&["a", "b", "c"]), sum_of(&["c", "a", "b"]));
    assert_ne!(sum_of(&["a", "b"]), sum_of(&["a", "b", "b"]));
    assert_ne!(sum_of(&["a", "b"]), sum_of(&["a", "c"]));
}

#[test]
fn parts_merge_into_the_whole() {
    let mut whole = sum_of(&["a", "b"]);
    whole.merge(&sum_of(&["c"]));
    assert_eq!(whole, sum_of(&["a", "b", "c"]));
    assert_eq!(whole.count(), 3);
}

#[test]
fn carries_run_through_all_words_and_wrap_at_2_to_the_256() {
    let mut one = [0; 32];
    one[31] = 1;
    let mut sum = Multiset::new();
    sum.add(&[0xff; 32]);
    assert_eq!(sum.sum(), [0xff; 32]);
    sum.add(&one);
    assert_eq!(sum.sum(), [0; 32]);
    sum.add(&one);
    assert_eq!(sum.sum(), one);
    // The same sum of another number of terms is another set.
    let mut other = Multiset::new();
    other.add(&one);
    assert_eq!(other.sum(), sum.sum());
    assert_ne!(other, sum);
}

#[test]
fn a_single_hash_is_its_own_sum() {
    let hash = event_hash(b"x");
    let mut sum = Multiset::new();
    sum.add(&hash);
    assert_eq!(sum.sum(), hash);
}
