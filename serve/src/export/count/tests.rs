use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn packed(text: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap().into()
}

#[test]
fn rows_are_counted_and_what_is_none_is_refused() {
    let csv = |text: &str| rows("csv", &Bytes::copy_from_slice(text.as_bytes()));
    assert_eq!(csv("a,b\r\n"), Ok(0));
    assert_eq!(csv("a,b\r\n1,2\r\n\"x\r\n\"\"y\",2\r\n"), Ok(2));
    assert_eq!(csv("a\r\n1"), Ok(1));
    assert!(csv("").is_err());
    assert!(csv("a\r\n\"1\r\n").is_err());

    assert_eq!(rows("ndjson", &packed("{}\n{}\n")), Ok(2));
    assert_eq!(rows("ndjson", &packed("")), Ok(0));
    assert!(rows("ndjson", &packed("{}\n{")).is_err());
    assert!(rows("ndjson", &Bytes::from_static(b"{}\n")).is_err());

    assert_eq!(
        rows("cloudtrail", &packed("{\"Records\":[{\"a\":1},{}]}")),
        Ok(2)
    );
    assert!(rows("cloudtrail", &packed("[{}]")).is_err());
    assert!(rows("cloudtrail", &packed("{\"Records\":[{}]}x")).is_err());
    assert_eq!(rows("actiontrail", &packed("[{},{},{}]")), Ok(3));
    assert!(rows("actiontrail", &packed("[{}")).is_err());

    assert!(rows("parquet", &Bytes::from_static(b"PAR1\xff\xff\xff\x7fPAR1")).is_err());
    assert!(rows("xml", &Bytes::new()).is_err());
}
