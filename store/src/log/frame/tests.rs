use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn place() -> Place {
    Place {
        first: 41,
        position: 640,
        group: 64,
    }
}

fn whole(bytes: &[u8], position: u64) -> Result<(Header, Bytes), Fault> {
    let head = bytes.first_chunk().ok_or(Fault::Short)?;
    let header = Header::decode(head, position)?;
    let body = bytes[HEADER..].to_vec();
    header.check_body(&body)?;
    Ok((header, Bytes::from(body)))
}

#[test]
fn the_checksum_is_the_documented_one() {
    assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read(
        envelope in proptest::collection::vec(any::<u8>(), 0..200),
        records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..20),
        first in 0..i64::MAX / 2,
        before in 0usize..70,
    ) {
        let payloads: Vec<Bytes> = records.iter().cloned().map(Bytes::from).collect();
        let mut out = vec![9; before];
        let place = Place { first, ..place() };
        encode(&mut out, place, &envelope, &payloads);
        let out = &out[before..];
        prop_assert_eq!(out.len() as u64, len(&envelope, &payloads));
        let (header, body) = whole(out, 640).expect("a whole frame");
        prop_assert_eq!(header.place, place);
        prop_assert_eq!(header.next(), first + records.len() as i64);
        prop_assert_eq!(header.frame_len(), out.len() as u64);
        let (span, read) = split(&body, header.count).expect("records");
        prop_assert_eq!(&body[span], &envelope[..]);
        prop_assert_eq!(read, payloads);
    }

    #[test]
    fn any_other_bit_is_noticed(
        records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..5),
        bit in any::<prop::sample::Index>(),
    ) {
        let payloads: Vec<Bytes> = records.into_iter().map(Bytes::from).collect();
        let mut out = Vec::new();
        encode(&mut out, place(), b"{}", &payloads);
        let bit = bit.index(out.len() * 8);
        out[bit / 8] ^= 1 << (bit % 8);
        let fault = whole(&out, 640).expect_err("a flipped bit");
        prop_assert!(fault.may_be_torn());
    }

    #[test]
    fn hostile_bodies_are_refused_without_harm(
        body in proptest::collection::vec(any::<u8>(), 0..100),
        count in any::<u32>(),
    ) {
        let _ = split(&Bytes::from(body), count);
    }
}

#[test]
fn a_frame_elsewhere_is_no_frame() {
    let mut out = Vec::new();
    encode(&mut out, place(), b"{}", &[Bytes::from_static(b"x")]);
    assert_eq!(whole(&out, 641).expect_err("elsewhere"), Fault::Misplaced);
}

#[test]
fn records_share_the_memory_of_the_frame() {
    let mut out = Vec::new();
    encode(&mut out, place(), b"{}", &[Bytes::from_static(b"payload")]);
    let (header, body) = whole(&out, 640).expect("a whole frame");
    let (_, records) = split(&body, header.count).expect("records");
    let inside = body.as_ptr() as usize..body.as_ptr() as usize + body.len();
    assert!(inside.contains(&(records[0].as_ptr() as usize)));
}
