use super::*;

fn texts(of: &[Option<&str>]) -> ArrayRef {
    Arc::new(of.iter().copied().collect::<StringViewArray>())
}

#[test]
fn what_is_ones_own_is_what_cairn_recorded_of_oneself() {
    let scope = Scope::Own(Arc::from("0123456789abcdef"));
    let own = Some("0123456789abcdef");
    let senders = texts(&[
        Some("cairn"),
        Some("cairn"),
        Some("cairn"),
        None,
        // A sender who names somebody else as who acted.
        Some("fedcba9876543210"),
        own,
    ]);
    let principals = texts(&[own, Some("fedcba9876543210"), None, own, own, own]);
    let mask = scope.mask(&[&senders, &principals]).unwrap().unwrap();
    let kept: Vec<bool> = mask.iter().map(Option::unwrap).collect();
    assert_eq!(kept, [true, false, false, false, false, false]);
    let all = scope.mask(&[&texts(&[Some("cairn")]), &texts(&[own])]);
    assert!(all.unwrap().is_none());
    // No file is told by its accounts to hold nothing but that.
    let account = [AccountId::new("111111111111").unwrap()].into();
    assert!(scope.meets(Some(&account)) && !scope.holds(Some(&account)));
}

#[test]
fn columns_that_are_missing_are_no_licence() {
    let scope = Scope::Own(Arc::from("x"));
    assert!(scope.mask(&[]).is_err());
    assert!(scope.mask(&[&texts(&[Some("cairn")])]).is_err());
    let numbers: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1]));
    assert!(scope.mask(&[&numbers, &numbers]).is_err());
}
