use super::*;

#[test]
fn the_verb_is_a_word_of_its_own() {
    for name in [
        "GetObject",
        "ListBuckets",
        "DescribeInstances20170320",
        "getObject",
        "HeadBucket",
        "Query",
        "BatchGetItem",
        "Decrypt",
        "GenerateDataKeyWithoutPlaintext",
        "LookupEvents",
    ] {
        assert_eq!(read_or_write(name), ReadWrite::Read, "{name}");
    }
    for name in [
        "CreateUser",
        "DeleteTrail",
        "Getaway",
        "Listen",
        "Headless",
        "BatchWriteItem",
        "AssumeRole",
        "ConsoleLogin",
        "CheckMfa",
        "GenerateCredentialReport",
        "GetFederationToken",
        "",
        "G",
        "InvokeModel",
        "Öffnen",
        "Selective",
    ] {
        assert_eq!(read_or_write(name), ReadWrite::Write, "{name}");
    }
}

#[test]
fn the_table_is_sorted_and_each_verb_stands_once() {
    assert!(READ_VERBS.is_sorted());
    assert!(READ_VERBS.windows(2).all(|pair| pair[0] != pair[1]));
}
