//! Messages, whole and broken.

use super::*;

fn parse_message() -> Vec<u8> {
    let mut body = b"s1\0SELECT $1\0".to_vec();
    body.extend([0, 1, 0, 0, 0, 25]);
    body
}

fn bind_message() -> Vec<u8> {
    let mut body = b"p\0s1\0".to_vec();
    body.extend([0, 1, 0, 1]);
    body.extend([0, 2, 0, 0, 0, 2, b'h', b'i', 255, 255, 255, 255]);
    body.extend([0, 1, 0, 0]);
    body
}

#[test]
fn messages_are_understood() {
    assert_eq!(
        read(b'P', parse_message().into()).unwrap(),
        Front::Parse {
            name: "s1".into(),
            sql: "SELECT $1".into(),
            types: vec![25]
        }
    );
    assert_eq!(
        read(b'B', bind_message().into()).unwrap(),
        Front::Bind(Bind {
            portal: "p".into(),
            statement: "s1".into(),
            formats: vec![1],
            values: vec![Some(Bytes::from_static(b"hi")), None],
            results: vec![0],
        })
    );
    assert_eq!(
        read(b'E', Bytes::from_static(b"p\0\0\0\0\x05")).unwrap(),
        Front::Execute {
            portal: "p".into(),
            rows: 5
        }
    );
}

#[test]
fn no_prefix_of_a_message_and_nothing_behind_it_is_taken() {
    for (kind, body) in [(b'P', parse_message()), (b'B', bind_message())] {
        for end in 0..body.len() {
            let part = Bytes::copy_from_slice(&body[..end]);
            let error = read(kind, part).unwrap_err();
            assert_eq!(error.code, state::PROTOCOL_VIOLATION, "{end}");
        }
        let longer = [body.as_slice(), b"x"].concat();
        assert!(read(kind, longer.into()).is_err());
    }
}

#[test]
fn a_count_beyond_the_message_sets_nothing_aside() {
    let mut body = b"p\0s1\0\0\0".to_vec();
    body.extend([255, 255]);
    assert!(read(b'B', body.into()).is_err());
    let mut body = b"p\0s1\0\0\0\0\x01".to_vec();
    body.extend([0x7f, 255, 255, 255]);
    assert!(read(b'B', body.into()).is_err());
}

#[test]
fn text_is_utf8() {
    let error = read(b'Q', Bytes::from_static(b"SELECT '\xff'\0")).unwrap_err();
    assert_eq!(error.code, state::BAD_TEXT);
}
