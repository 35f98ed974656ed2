//! Values that only `[s3]` takes.

use cairn_store::objects::LockMode;

use super::s3::CredentialSource;
use super::value::{Allowed, Given};

fn one_of<T: Copy>(v: &Given, known: &[(&str, T)]) -> Result<T, Allowed> {
    let found = match v {
        Given::Text(text) => known.iter().find(|(name, _)| *name == text.trim()),
        _ => None,
    };
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        match names.split_last() {
            Some((last, others)) => format!("use {} or {last}", others.join(", ")),
            None => String::new(),
        }
    })
}

pub(super) fn credential_source(v: &Given) -> Result<CredentialSource, Allowed> {
    one_of(
        v,
        &[
            ("static", CredentialSource::Static),
            ("environment", CredentialSource::Environment),
            ("profile", CredentialSource::Profile),
            ("web-identity", CredentialSource::WebIdentity),
            ("instance", CredentialSource::Instance),
        ],
    )
}

pub(super) fn encryption(v: &Given) -> Result<String, Allowed> {
    let kinds = ["AES256", "aws:kms", "aws:kms:dsse"];
    one_of(v, &kinds.map(|kind| (kind, kind))).map(str::to_owned)
}

pub(super) fn lock_mode(v: &Given) -> Result<Option<LockMode>, Allowed> {
    one_of(
        v,
        &[
            ("off", None),
            ("governance", Some(LockMode::Governance)),
            ("compliance", Some(LockMode::Compliance)),
        ],
    )
}

pub(super) fn storage_class(v: &Given) -> Result<String, Allowed> {
    // Of these an object has to be asked back for hours before it can be read.
    let asleep = ["GLACIER", "DEEP_ARCHIVE"];
    let allowed = || {
        "use a class that can be read at once, such as STANDARD, STANDARD_IA, ONEZONE_IA, \
         INTELLIGENT_TIERING or GLACIER_IR"
            .to_owned()
    };
    let text = v.text().map_err(|_| allowed())?;
    let text = text.trim();
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    match plain && !asleep.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(allowed()),
    }
}
