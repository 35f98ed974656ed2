//! What goes along with objects: parts, keys, encryption, retention.

use std::sync::Arc;

use cairn_schemas::{Clock, Micros};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutPayload};

use super::super::Address;
use super::stub::{Answer, Request, Stub};
use crate::objects::{
    Credentials, Encryption, Instance, LockMode, ObjectLock, ObjectSettings, ProfileFiles, open,
    scratch,
};

const DATA: &str = "t/ingest_date=2026-01-01/a.parquet";
const ENTRY: &str = "t/_delta_log/00000000000000000001.json";
const CHECKPOINT: &str = "t/_delta_log/00000000000000000001.checkpoint.parquet";

fn in_parts() -> ObjectSettings {
    ObjectSettings {
        multipart_bytes: 1 << 20,
        ..ObjectSettings::default()
    }
}

fn large() -> Vec<u8> {
    (0..20_000_000u32).map(|n| (n / 7) as u8).collect()
}

/// The `Authorization` of each request that `which` takes.
fn keys(stub: &Stub, which: impl Fn(&Request) -> bool) -> Vec<String> {
    let seen = stub.seen().into_iter().filter(|r| which(r));
    seen.map(|r| r.header("authorization").unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn a_large_data_file_is_sent_in_parts() {
    let stub = Stub::start(|_| None).await;
    let opened = stub.open(in_parts()).await;
    let body = large();
    // In odd pieces, as nobody promises that a payload is one.
    let pieces: PutPayload = body
        .chunks(7_777_777)
        .map(bytes::Bytes::copy_from_slice)
        .collect();
    opened.store.put(&Path::from(DATA), pieces).await.unwrap();
    assert!(stub.object(DATA) == Some(body), "other bytes");
    assert_eq!(stub.open_uploads(), 0);
    let parts = stub.seen().iter().filter(|r| r.method == "PUT").count();
    assert_eq!(parts, 3);
}

#[tokio::test]
async fn a_log_entry_is_one_conditional_put_however_large() {
    let stub = Stub::start(|_| None).await;
    let opened = stub.open(in_parts()).await;
    let body = PutPayload::from(vec![b'x'; 3 << 20]);
    opened
        .store
        .put_opts(&Path::from(ENTRY), body, PutMode::Create.into())
        .await
        .unwrap();
    let seen = stub.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].is_create());
}

#[tokio::test]
async fn parts_of_an_upload_that_failed_are_taken_back() {
    let stub = Stub::start(|r| {
        r.query
            .contains("partNumber=2")
            .then(|| Answer::code(400, "EntityTooSmall"))
    })
    .await;
    let opened = stub.open(in_parts()).await;
    let put = opened.store.put(&Path::from(DATA), large().into()).await;
    assert!(put.unwrap_err().to_string().contains("EntityTooSmall"));
    assert_eq!(stub.object(DATA), None);
    assert_eq!(stub.open_uploads(), 0);
}

#[tokio::test]
async fn credentials_are_renewed_in_the_middle_of_an_upload() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("credentials");
    let text = |id: &str| {
        format!("[p]\naws_access_key_id={id}\naws_secret_access_key=S\naws_session_token={id}T\n")
    };
    std::fs::write(&file, text("EARLIER")).unwrap();
    let (renewed, name) = (text("RENEWED-KEY"), file.clone());
    let stub = Stub::start(move |r| {
        if r.query.contains("partNumber=1&") {
            std::fs::write(&name, &renewed).unwrap();
        }
        None
    })
    .await;
    let settings = ObjectSettings {
        credentials: Credentials::Profile(ProfileFiles {
            name: "p".to_owned(),
            credentials_file: Some(file),
            ..ProfileFiles::default()
        }),
        ..in_parts()
    };
    let opened = stub.open(settings).await;
    opened
        .store
        .put(&Path::from(DATA), large().into())
        .await
        .unwrap();
    let begun = keys(&stub, |r| r.query.starts_with("uploads"));
    assert!(begun[0].contains("EARLIER/"), "{begun:?}");
    let ended = keys(&stub, |r| {
        r.method == "POST" && r.query.contains("uploadId")
    });
    assert!(ended[0].contains("RENEWED-KEY/"), "{ended:?}");
    let last = stub.seen().pop().unwrap();
    assert_eq!(last.header("x-amz-security-token"), Some("RENEWED-KEYT"));
}

#[tokio::test]
async fn the_machines_role_is_asked_again_when_its_key_ends() {
    const ROLES: &str = "latest/meta-data/iam/security-credentials";
    let stub = Stub::start(|r| match r.key.as_str() {
        "latest/api/token" => Some(Answer::body(200, "T")),
        ROLES => Some(Answer::body(200, "cairn")),
        key if key.starts_with(ROLES) => Some(Answer::body(
            200,
            &format!(
                "{{\"AccessKeyId\":\"ROLE{}\",\"SecretAccessKey\":\"S\",\"Token\":\"TT\",\
                 \"Expiration\":\"2000-01-01T00:00:00Z\"}}",
                r.nth
            ),
        )),
        _ => None,
    })
    .await;
    let settings = ObjectSettings {
        credentials: Credentials::Instance(Instance {
            metadata_endpoint: Some(stub.endpoint().to_owned()),
            ..Instance::default()
        }),
        // Signed once; what is signed anew asks once more.
        checksum: false,
        ..ObjectSettings::default()
    };
    let store = stub.open(settings).await.store;
    for _ in 0..2 {
        let put = PutPayload::from("x");
        store.put(&Path::from(DATA), put).await.unwrap();
    }
    let signed = keys(&stub, |r| r.key == DATA);
    assert!(signed[0].contains("=ROLE1/"), "{signed:?}");
    assert!(signed[1].contains("=ROLE2/"), "{signed:?}");
    let last = stub.seen().pop().unwrap();
    assert_eq!(last.header("x-amz-security-token"), Some("TT"));
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Micros {
        Micros(1_763_812_800_123_456)
    }
}

fn locking() -> ObjectSettings {
    ObjectSettings {
        object_lock: Some(ObjectLock {
            mode: LockMode::Compliance,
            days: 365,
            clock: Arc::new(Noon),
        }),
        storage_class: Some("STANDARD_IA".to_owned()),
        ..in_parts()
    }
}

#[tokio::test]
async fn what_is_evidence_carries_retention_and_nothing_else_does() {
    let stub = Stub::start(|_| None).await;
    let store = stub.open(locking()).await.store;
    let probe = scratch("probe", &"0".repeat(32));
    for (key, create) in [
        (DATA, false),
        (ENTRY, true),
        ("control/trail/x/00000000000000000001.json", true),
        (CHECKPOINT, false),
        ("t/_delta_log/_last_checkpoint", false),
        (probe.as_str(), true),
        ("t/_cairn/clock", false),
    ] {
        let mode = if create {
            PutMode::Create
        } else {
            PutMode::Overwrite
        };
        store
            .put_opts(&Path::from(key), PutPayload::from("x"), mode.into())
            .await
            .unwrap();
        let seen = stub.seen().pop().unwrap();
        let kept = key == DATA || key == ENTRY || key.starts_with("control/");
        let header = |name: &str| seen.header(name).map(str::to_owned);
        if !kept {
            assert_eq!(header("x-amz-object-lock-mode"), None, "{key}");
            continue;
        }
        assert_eq!(
            header("x-amz-object-lock-mode").as_deref(),
            Some("COMPLIANCE")
        );
        assert_eq!(
            header("x-amz-object-lock-retain-until-date").as_deref(),
            Some("2026-11-22T12:00:01Z")
        );
        assert!(header("x-amz-checksum-sha256").is_some());
        let algorithm = header("x-amz-sdk-checksum-algorithm");
        assert_eq!(algorithm.as_deref(), Some("SHA256"));
        let signed = header("authorization").unwrap();
        assert!(
            signed.contains(";x-amz-object-lock-mode;x-amz-object-lock-retain-until-date;x-amz-sdk-checksum-algorithm"),
            "{signed}"
        );
        let class = (key == DATA).then_some("STANDARD_IA");
        assert_eq!(header("x-amz-storage-class").as_deref(), class);
    }
}

#[tokio::test]
async fn an_upload_in_parts_is_retained_from_its_beginning() {
    let stub = Stub::start(|_| None).await;
    let store = stub.open(locking()).await.store;
    store.put(&Path::from(DATA), large().into()).await.unwrap();
    for request in stub.seen() {
        let asks = request.header("x-amz-object-lock-mode").is_some();
        assert_eq!(asks, request.query.starts_with("uploads"), "{request:?}");
    }
    assert!(stub.object(DATA) == Some(large()), "other bytes");
}

#[tokio::test]
async fn encryption_goes_along_with_every_object() {
    let stub = Stub::start(|_| None).await;
    let settings = ObjectSettings {
        encryption: Some(Encryption {
            kind: "aws:kms".to_owned(),
            kms_key_id: Some("arn:key".to_owned()),
            bucket_key: Some(true),
        }),
        ..in_parts()
    };
    let store = stub.open(settings).await.store;
    store
        .put(&Path::from(DATA), PutPayload::from("x"))
        .await
        .unwrap();
    store.put(&Path::from(DATA), large().into()).await.unwrap();
    for request in stub.seen() {
        if request.query.contains("uploadId") {
            continue;
        }
        let header = |name: &str| request.header(&format!("x-amz-server-side-encryption{name}"));
        assert_eq!(header(""), Some("aws:kms"));
        assert_eq!(header("-aws-kms-key-id"), Some("arn:key"));
        assert_eq!(header("-bucket-key-enabled"), Some("true"));
    }
}

#[test]
fn a_bucket_stands_where_it_is_wanted() {
    let address = |bucket: &str, endpoint: Option<&str>, path_style| {
        let settings = ObjectSettings {
            endpoint: endpoint.map(str::to_owned),
            path_style,
            ..ObjectSettings::default()
        };
        Address::new(bucket, "eu-west-1", &settings)
            .unwrap()
            .bucket_url
    };
    let own = Some("https://s3.example:9000/");
    for (bucket, endpoint, style, expected) in [
        ("b", None, None, "https://b.s3.eu-west-1.amazonaws.com"),
        ("b.c", None, None, "https://s3.eu-west-1.amazonaws.com/b.c"),
        (
            "b",
            None,
            Some(true),
            "https://s3.eu-west-1.amazonaws.com/b",
        ),
        ("b", own, None, "https://s3.example:9000/b"),
        ("b", own, Some(false), "https://b.s3.example:9000"),
    ] {
        assert_eq!(address(bucket, endpoint, style), expected);
    }
}

#[tokio::test]
async fn certificates_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    for (text, expected) in [
        (None, "cannot be read"),
        (Some("not PEM at all"), "holds no certificate"),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let settings = ObjectSettings {
            ca_file: Some(file.clone()),
            credentials: Credentials::Anonymous,
            ..ObjectSettings::default()
        };
        let error = open("s3://bucket", &settings).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
}
