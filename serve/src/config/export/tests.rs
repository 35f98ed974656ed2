use super::*;

fn understood(text: &str) -> (String, Option<String>) {
    let AllowedPlace { url, endpoint } = place(text).unwrap();
    (url, endpoint)
}

#[test]
fn a_place_is_an_address_and_perhaps_an_endpoint() {
    let plain = |url: &str| (url.to_owned(), None);
    assert_eq!(
        understood("file:///srv/exports/"),
        plain("file:///srv/exports")
    );
    assert_eq!(
        understood(" s3://evidence/a=b "),
        plain("s3://evidence/a=b")
    );
    let (url, endpoint) = understood("s3://evidence/a=b=http://127.0.0.1:9000/");
    assert_eq!(url, "s3://evidence/a=b");
    assert_eq!(endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    for wrong in [
        "",
        "/srv",
        "file:///",
        "file://host/x",
        "http://x/y",
        "s3://",
        "s3://a:b@c/d",
        "s3://a/b=http://",
        "s3://a/b=https://u:p@h",
        "s3://a/b=https://h/path",
        "s3://a/b=https://h?x",
        "file:///srv=https://h",
    ] {
        let refused = place(wrong);
        assert!(refused.is_err(), "{wrong:?}: {refused:?}");
        assert!(
            refused.unwrap_err().starts_with("use file:///folder"),
            "{wrong:?}"
        );
    }
}

#[test]
fn addresses_are_single_or_ranges() {
    assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
    assert_eq!(network("fd00::/8").unwrap().to_string(), "fd00::/8");
    for wrong in ["", "localhost", "10.1.2.0/33", "10.1.2"] {
        assert!(network(wrong).is_err(), "{wrong:?}");
    }
}
