use super::*;

#[test]
fn a_header_is_read_as_it_was_written() {
    for previous in [None, Some(Previous { base: 0, bytes: 64 })] {
        let header = Header { base: 99, previous };
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }
}

#[test]
fn any_other_bit_of_a_header_is_noticed() {
    let good = Header {
        base: 99,
        previous: None,
    }
    .encode();
    for bit in 0..good.len() * 8 {
        let mut bytes = good;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Header::decode(&bytes), Err(Fault::Crc), "bit {bit}");
    }
}

#[test]
fn names() {
    assert_eq!(parse_name("00000000000000000041.log"), Name::Segment(41));
    assert_eq!(
        path(Path::new("/d"), 41),
        Path::new("/d/00000000000000000041.log")
    );
    assert_eq!(parse_name("00000000000000000041.log.new"), Name::Unfinished);
    for other in [
        "LOCK",
        "41.log",
        "+0000000000000000041.log",
        "99999999999999999999.log",
        "00000000000000000041.log.old",
        ".log",
    ] {
        assert_eq!(parse_name(other), Name::Other, "{other}");
    }
}
