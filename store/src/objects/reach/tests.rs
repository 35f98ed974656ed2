use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn addresses_inside_are_told_from_public_ones() {
    let inside = [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];
    for text in inside {
        assert!(!is_public(address(text)), "{text} passes for public");
    }
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "52.216.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.20.0.1",
        "223.255.255.255",
        "2600:1f18::1",
        "2a00:1450::1",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "::ffff:8.8.8.8",
        "2001:4860:4860::8888",
    ];
    for text in public {
        assert!(is_public(address(text)), "{text} passes for one inside");
    }
}

#[test]
fn every_way_to_write_an_address_is_the_address() {
    let reach = Reach::default();
    for url in [
        "http://127.0.0.1:1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/",
        "http://0xA9FEA9FE/",
        "http://１２７.0.0.1/",
    ] {
        let parsed = Url::parse(url).unwrap();
        assert!(reach.check_url(&parsed).is_err(), "{url} is let through");
    }
    let allowed = Reach::new(["127.0.0.1/32".parse().unwrap()]);
    assert!(
        allowed
            .check_url(&Url::parse("http://0x7f.1:9000/").unwrap())
            .is_ok()
    );
    assert!(
        allowed
            .check_url(&Url::parse("http://127.0.0.2:9000/").unwrap())
            .is_err()
    );
    assert!(allowed.may(address("::ffff:127.0.0.1")));
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_when_it_is_resolved() {
    let name = || "localhost".parse::<Name>().unwrap();
    let refused = Reach::default().resolve(name()).await.err().unwrap();
    assert!(
        refused.to_string().contains("inside the network"),
        "{refused}"
    );
    let allowed = Reach::new(["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert!(allowed.resolve(name()).await.unwrap().next().is_some());
}

/// Nothing is connected to, also not to find out what is there.
#[tokio::test]
async fn a_client_never_connects_inside_nor_follows_a_redirect() {
    let canary = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = canary.local_addr().unwrap().port();
    let settings = |host: &str| ObjectSettings {
        endpoint: Some(format!("http://{host}:{port}")),
        credentials: super::super::Credentials::Anonymous,
        connect_timeout: std::time::Duration::from_secs(5),
        reach: Some(Reach::default()),
        ..ObjectSettings::default()
    };
    let refused = super::super::open("s3://bucket/x", &settings("127.0.0.1")).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("inside the network")
    );
    let opened = super::super::open("s3://bucket/x", &settings("localhost"))
        .await
        .unwrap();
    let got = opened.store.get_opts(&"x".into(), Default::default()).await;
    assert!(got.is_err());
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(200), canary.accept());
    assert!(
        waiting.await.is_err(),
        "the address inside was connected to"
    );
}
