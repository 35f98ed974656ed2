//! `[s3]`: how trails, and a store in a bucket, are reached.

use std::path::PathBuf;

use super::super::Secret;
use super::super::understand::web_url;
use super::super::understand_s3::{credential_source, encryption, lock_mode, storage_class};
use super::{GIB, HOUR, Key, MIB, MS_100, SECOND, key};

/// The settings of `[s3]`, in the order of the file.
pub(super) const S3: &[Key] = &[
    key(
        "s3.endpoint",
        ["s3-endpoint", "CAIRN_S3_ENDPOINT"],
        "URL",
        "",
        "The S3 API's base URL, for stores other than AWS [else: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL]",
        |s, v| {
            s.s3.endpoint = Some(web_url(v)?);
            Ok(())
        },
    ),
    key(
        "s3.region",
        ["s3-region", "CAIRN_S3_REGION"],
        "REGION",
        "",
        "The S3 region [else: AWS_REGION, AWS_DEFAULT_REGION, the profile's]",
        |s, v| {
            s.s3.region = Some(v.text()?);
            Ok(())
        },
    ),
    key(
        "s3.credentials",
        ["s3-credentials", "CAIRN_S3_CREDENTIALS"],
        "SOURCE",
        "",
        "Whose key is used: static, environment, profile, web-identity or instance; the first that is there where nothing is said",
        |s, v| {
            s.s3.credentials = Some(credential_source(v)?);
            Ok(())
        },
    ),
    key(
        "s3.access_key_id",
        ["s3-access-key-id", "CAIRN_S3_ACCESS_KEY_ID"],
        "TEXT",
        "",
        "The key's public half [else: AWS_ACCESS_KEY_ID]",
        |s, v| {
            s.s3.access_key_id = Some(v.text()?);
            Ok(())
        },
    ),
    key(
        "s3.secret_access_key",
        ["s3-secret-access-key", "CAIRN_S3_SECRET_ACCESS_KEY"],
        "SECRET",
        "",
        "The key's secret half [else: AWS_SECRET_ACCESS_KEY]",
        |s, v| {
            s.s3.secret_access_key = Some(Secret::new(v.text()?));
            Ok(())
        },
    ),
    key(
        "s3.session_token",
        ["s3-session-token", "CAIRN_S3_SESSION_TOKEN"],
        "SECRET",
        "",
        "The session token of temporary credentials [else: AWS_SESSION_TOKEN]",
        |s, v| {
            s.s3.session_token = Some(Secret::new(v.text()?));
            Ok(())
        },
    ),
    key(
        "s3.profile",
        ["s3-profile", "CAIRN_S3_PROFILE"],
        "NAME",
        "",
        "The profile in ~/.aws/credentials and ~/.aws/config [else: AWS_PROFILE, default]",
        |s, v| {
            s.s3.profile = Some(v.text()?);
            Ok(())
        },
    ),
    key(
        "s3.role_arn",
        ["s3-role-arn", "CAIRN_S3_ROLE_ARN"],
        "ARN",
        "",
        "The role that web identity asks for [else: AWS_ROLE_ARN]",
        |s, v| {
            s.s3.role_arn = Some(v.text()?);
            Ok(())
        },
    ),
    key(
        "s3.web_identity_token_file",
        [
            "s3-web-identity-token-file",
            "CAIRN_S3_WEB_IDENTITY_TOKEN_FILE",
        ],
        "FILE",
        "",
        "The file of the token that web identity shows [else: AWS_WEB_IDENTITY_TOKEN_FILE]",
        |s, v| {
            s.s3.web_identity_token_file = Some(PathBuf::from(v.text()?));
            Ok(())
        },
    ),
    key(
        "s3.sts_endpoint",
        ["s3-sts-endpoint", "CAIRN_S3_STS_ENDPOINT"],
        "URL",
        "",
        "The STS that web identity asks, by TLS [else: AWS_ENDPOINT_URL_STS, the region's]",
        |s, v| {
            s.s3.sts_endpoint = Some(web_url(v)?);
            Ok(())
        },
    ),
    key(
        "s3.path_style",
        ["s3-path-style", "CAIRN_S3_PATH_STYLE"],
        "BOOL",
        "",
        "Put the bucket in the path; on where an endpoint is given",
        |s, v| {
            s.s3.path_style = Some(v.boolean()?);
            Ok(())
        },
    ),
    key(
        "s3.allow_http",
        ["s3-allow-http", "CAIRN_S3_ALLOW_HTTP"],
        "BOOL",
        "false",
        "Use an endpoint without TLS",
        |s, v| {
            s.s3.allow_http = v.boolean()?;
            Ok(())
        },
    ),
    key(
        "s3.ca_file",
        ["s3-ca-file", "CAIRN_S3_CA_FILE"],
        "FILE",
        "",
        "PEM certificates to trust besides the system's [else: AWS_CA_BUNDLE]",
        |s, v| {
            s.s3.ca_file = Some(PathBuf::from(v.text()?));
            Ok(())
        },
    ),
    key(
        "s3.connect_timeout",
        ["s3-connect-timeout", "CAIRN_S3_CONNECT_TIMEOUT"],
        "TIME",
        "10s",
        "How long a connection may take to be made",
        |s, v| {
            s.s3.connect_timeout = v.duration(MS_100, HOUR)?;
            Ok(())
        },
    ),
    key(
        "s3.request_timeout",
        ["s3-request-timeout", "CAIRN_S3_REQUEST_TIMEOUT"],
        "TIME",
        "120s",
        "How long a whole request may take, the object's bytes included",
        |s, v| {
            s.s3.request_timeout = v.duration(SECOND, HOUR)?;
            Ok(())
        },
    ),
    key(
        "s3.multipart_bytes",
        ["s3-multipart-bytes", "CAIRN_S3_MULTIPART_BYTES"],
        "SIZE",
        "64MiB",
        "Data files larger than this are sent in parts",
        |s, v| {
            s.s3.multipart_bytes = v.size(5 * MIB, 4 * GIB)?;
            Ok(())
        },
    ),
    key(
        "s3.encryption",
        ["s3-encryption", "CAIRN_S3_ENCRYPTION"],
        "KIND",
        "",
        "What the store encrypts with: AES256, aws:kms or aws:kms:dsse; the bucket's default where nothing is said",
        |s, v| {
            s.s3.encryption = Some(encryption(v)?);
            Ok(())
        },
    ),
    key(
        "s3.kms_key_id",
        ["s3-kms-key-id", "CAIRN_S3_KMS_KEY_ID"],
        "ID",
        "",
        "The key of KMS; AWS' own where nothing is said",
        |s, v| {
            s.s3.kms_key_id = Some(v.text()?);
            Ok(())
        },
    ),
    key(
        "s3.bucket_key",
        ["s3-bucket-key", "CAIRN_S3_BUCKET_KEY"],
        "BOOL",
        "",
        "Use a bucket key, which saves requests to KMS",
        |s, v| {
            s.s3.bucket_key = Some(v.boolean()?);
            Ok(())
        },
    ),
    key(
        "s3.checksum",
        ["s3-checksum", "CAIRN_S3_CHECKSUM"],
        "BOOL",
        "true",
        "Have each object carry its SHA-256 as S3's own checksum; buckets with a default retention need it",
        |s, v| {
            s.s3.checksum = v.boolean()?;
            Ok(())
        },
    ),
    key(
        "s3.storage_class",
        ["s3-storage-class", "CAIRN_S3_STORAGE_CLASS"],
        "CLASS",
        "",
        "The storage class of data files, such as STANDARD_IA; the bucket's default where nothing is said",
        |s, v| {
            s.s3.storage_class = Some(storage_class(v)?);
            Ok(())
        },
    ),
    key(
        "s3.object_lock",
        ["s3-object-lock", "CAIRN_S3_OBJECT_LOCK"],
        "MODE",
        "off",
        "The retention to ask for with each data file and log entry: off, governance or compliance",
        |s, v| {
            s.s3.object_lock = lock_mode(v)?;
            Ok(())
        },
    ),
    key(
        "s3.retain_days",
        ["s3-retain-days", "CAIRN_S3_RETAIN_DAYS"],
        "DAYS",
        "",
        "Days, counted from its making, that an object is locked",
        |s, v| {
            s.s3.retain_days = Some(v.number(1, 36_500)?);
            Ok(())
        },
    ),
];
