//! What buckets answer, word for word.

use super::super::tests::stub::{Answer, Stub};
use super::*;
use crate::objects::{ObjectSettings, worm_status};

const LOCK: &str = "<?xml version=\"1.0\"?><ObjectLockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode>\
    <Days>365</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
const YEARS: &str = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
    <Mode>GOVERNANCE</Mode><Years>2</Years></DefaultRetention></Rule></ObjectLockConfiguration>";
const NO_RULE: &str = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
const NONE: &str =
    "<Error><Code>ObjectLockConfigurationNotFoundError</Code><Message>x</Message></Error>";
const VERSIONED: &str =
    "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
const UNVERSIONED: &str =
    "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>";
const DENIED: &str = "<Error><Code>AccessDenied</Code></Error>";

async fn status(lock: (u16, &'static str), versions: &'static str) -> WormStatus {
    let stub = Stub::start(move |request| {
        Some(match request.query.as_str() {
            "object-lock" => Answer::body(lock.0, lock.1),
            "versioning" => Answer::body(200, versions),
            _ => Answer::status(400),
        })
    })
    .await;
    worm_status(&stub.open(ObjectSettings::default()).await).await
}

#[tokio::test]
async fn a_bucket_says_whether_it_locks() {
    for (lock, versions, expected, enforced) in [
        (
            (200, LOCK),
            VERSIONED,
            "enforced by the bucket: COMPLIANCE 365 days",
            Some(true),
        ),
        (
            (200, YEARS),
            VERSIONED,
            "enforced by the bucket: GOVERNANCE 2 years",
            Some(true),
        ),
        (
            (200, NO_RULE),
            VERSIONED,
            "versioned only: the bucket has Object Lock",
            Some(false),
        ),
        ((404, NONE), VERSIONED, "versioned only", Some(false)),
        ((404, NONE), UNVERSIONED, "not enforced", Some(false)),
        (
            (403, DENIED),
            VERSIONED,
            "s3:GetBucketObjectLockConfiguration",
            None,
        ),
        ((501, ""), VERSIONED, "unknown: ", None),
    ] {
        let status = status(lock, versions).await;
        assert!(status.to_string().contains(expected), "{status}");
        assert_eq!(status.is_enforced(), enforced, "{status}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_not_known() {
    let stub = Stub::start(|_| None).await;
    let opened = stub.open(ObjectSettings::default()).await;
    assert_eq!(worm_status(&opened).await.is_enforced(), None);
}
