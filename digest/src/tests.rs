use super::*;

/// The examples of FIPS 180-4's companion page: one block, no block, two blocks.
#[test]
fn the_standards_own_examples() {
    for (text, hash) in [
        (
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        assert_eq!(hex::encode(event_hash(text.as_bytes())), hash);
    }
}

#[test]
fn one_space_more_is_another_event() {
    assert_ne!(event_hash(br#"{"a":1}"#), event_hash(br#"{"a": 1}"#));
}
