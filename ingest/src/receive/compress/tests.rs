use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn open(body: Vec<u8>, declared: Option<Encoding>) -> Result<Bytes, BodyError> {
    decompress(Bytes::from(body), declared, &ReceiveLimits::default())
}

const EVENT: &[u8] = br#"{"eventId":"1"}"#;

#[test]
fn a_plain_body_is_passed_on_without_a_copy() {
    let body = Bytes::from_static(EVENT);
    let out = decompress(body.clone(), None, &ReceiveLimits::default()).unwrap();
    assert_eq!(out.as_ptr(), body.as_ptr());
    assert_eq!(open(Vec::new(), None), Ok(Bytes::new()));
    assert_eq!(open(Vec::new(), Some(Encoding::Gzip)), Ok(Bytes::new()));
}

#[test]
fn both_encodings_are_opened_declared_or_not() {
    for (body, encoding) in [(gzip(EVENT), Encoding::Gzip), (zstd(EVENT), Encoding::Zstd)] {
        assert_eq!(open(body.clone(), Some(encoding)).unwrap(), EVENT);
        assert_eq!(open(body, None).unwrap(), EVENT);
    }
}

#[test]
fn bad_17_members_and_frames_follow_each_other() {
    let body = [gzip(b"{\"a\":1}\n"), gzip(b""), gzip(b"{\"b\":2}")].concat();
    assert_eq!(open(body, None).unwrap(), &b"{\"a\":1}\n{\"b\":2}"[..]);
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let body = [
        &skippable[..],
        &zstd(b"{\"a\":1}\n"),
        &skippable,
        &zstd(b"{\"b\":2}"),
    ]
    .concat();
    assert_eq!(
        open(body, Some(Encoding::Zstd)).unwrap(),
        &b"{\"a\":1}\n{\"b\":2}"[..]
    );
}

#[test]
fn a_declaration_that_the_bytes_contradict_is_an_error() {
    for (body, declared) in [
        (EVENT.to_vec(), Encoding::Gzip),
        (EVENT.to_vec(), Encoding::Zstd),
        (gzip(EVENT), Encoding::Zstd),
        (zstd(EVENT), Encoding::Gzip),
    ] {
        let error = open(body, Some(declared)).unwrap_err();
        assert!(matches!(error, BodyError::Encoding { .. }), "{error}");
        assert_eq!(error.code(), "invalid_body");
    }
}

#[test]
fn bad_17_a_stream_that_breaks_off_is_an_error_wherever_it_does() {
    let text: Vec<u8> = (0..2_000u32).flat_map(|n| n.to_le_bytes()).collect();
    for whole in [gzip(&text), zstd(&text)] {
        for length in (4..whole.len()).step_by(97).chain([whole.len() - 1]) {
            let error = open(whole[..length].to_vec(), None).unwrap_err();
            assert!(
                matches!(error, BodyError::Compression { .. }),
                "{length}: {error}"
            );
        }
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        // zstd's frames here carry no checksum; what matters is no panic.
        let _ = open(damaged, None);
        assert!(open([whole, b"junk".to_vec()].concat(), None).is_err());
    }
    let mut damaged = gzip(&text);
    let crc = damaged.len() - 6;
    damaged[crc] ^= 1;
    assert!(open(damaged, None).is_err());
}

#[test]
fn bad_17_a_bomb_stops_at_the_cap() {
    let limits = ReceiveLimits {
        max_body: 1 << 20,
        ..ReceiveLimits::default()
    };
    let zeros = vec![b' '; 64 << 20];
    for bomb in [gzip(&zeros), zstd(&zeros)] {
        assert!(bomb.len() < 1 << 20);
        let error = decompress(Bytes::from(bomb), None, &limits).unwrap_err();
        assert_eq!(error.code(), "too_large");
        assert!(matches!(error, BodyError::TooLarge { limit, .. } if limit == 1 << 20));
    }
}

#[test]
fn beyond_the_free_part_the_ratio_counts() {
    let zeros = vec![b' '; RATIO_FREE + (1 << 20)];
    let error = open(zstd(&zeros), None).unwrap_err();
    assert_eq!(error, BodyError::Ratio { limit: 1_000 });
    assert!(open(zstd(&zeros[..RATIO_FREE]), None).is_ok());
}

#[test]
fn bad_17_a_window_beyond_what_decoders_must_have_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(EVENT).unwrap();
    let body = encoder.finish().unwrap();
    let error = open(body, None).unwrap_err();
    assert!(matches!(error, BodyError::Compression { .. }), "{error}");
}

#[test]
fn bad_17_what_was_compressed_twice_is_opened_once() {
    let inner = gzip(EVENT);
    assert_eq!(open(gzip(&inner), None).unwrap(), inner);
}

#[test]
fn plain_bodies_have_limits_too() {
    let limits = ReceiveLimits {
        max_body: 10,
        max_compressed: 20,
        ..ReceiveLimits::default()
    };
    for size in [11, 21] {
        let error = decompress(Bytes::from(vec![b'x'; size]), None, &limits).unwrap_err();
        assert_eq!(error.code(), "too_large");
    }
    assert!(decompress(Bytes::from(vec![b'x'; 10]), None, &limits).is_ok());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        magic in prop::sample::select(vec![
            vec![], vec![0x1f, 0x8b, 8, 0], vec![0x28, 0xb5, 0x2f, 0xfd], vec![0x50, 0x2a, 0x4d, 0x18],
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = open([magic, rest].concat(), None);
    }

    #[test]
    fn what_goes_in_comes_out(bytes in prop::collection::vec(any::<u8>(), 0..5_000)) {
        prop_assert_eq!(open(gzip(&bytes), None).unwrap(), bytes.clone());
        prop_assert_eq!(open(zstd(&bytes), None).unwrap(), bytes);
    }
}
