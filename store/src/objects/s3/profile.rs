//! Profiles of AWS' own files, `~/.aws/credentials` and `~/.aws/config`.
//!
//! Keys, session tokens, regions, and roles by web identity are understood.
//! Whoever has another program write temporary keys there needs no restart:
//! the files are read again when they change. Single sign-on, programs that
//! print credentials, and roles by way of another profile are not understood,
//! and refused with their name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Result};
use parking_lot::Mutex;

use crate::objects::settings::{ProfileFiles, WebIdentity};

/// What a profile says.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) region: Option<String>,
    pub(super) what: Profile,
}

/// How a profile comes to a key.
#[derive(Debug)]
pub(super) enum Profile {
    Keys(AwsCredential),
    WebIdentity(WebIdentity),
}

type Section = BTreeMap<String, String>;

const KEYS: [&str; 3] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
];

/// Reads the profile from its files. The error says what to do.
pub(super) fn read(files: &ProfileFiles) -> Result<Read, String> {
    let name = &files.name;
    let mut all = Section::new();
    let mut looked = Vec::new();
    let mut found = false;
    // What stands in the credentials' file wins.
    for (path, is_config) in [(&files.config_file, true), (&files.credentials_file, false)] {
        let Some(path) = path else { continue };
        looked.push(path.display().to_string());
        if let Some(text) = text_of(path)?
            && let Some(section) = section(&text, name, is_config)
        {
            found = true;
            // A session token of one key makes requests with another fail.
            if section.contains_key("aws_access_key_id") {
                all.retain(|key, _| !KEYS.contains(&key.as_str()));
            }
            all.extend(section);
        }
    }
    if !found {
        let looked = match looked.is_empty() {
            true => "no file, for neither HOME nor AWS_SHARED_CREDENTIALS_FILE is set".to_owned(),
            false => looked.join(" and "),
        };
        return Err(format!(
            "no credentials: there is no profile {name:?} (looked into {looked}); write it there, choose \
             another by s3.profile, give s3.access_key_id and s3.secret_access_key, or say \
             s3.credentials = \"instance\" for the machine's own role"
        ));
    }
    let region = all.remove("region");
    let (id, secret) = (
        all.remove("aws_access_key_id"),
        all.remove("aws_secret_access_key"),
    );
    if let (Some(key_id), Some(secret_key)) = (id, secret) {
        let token = all.remove("aws_session_token");
        let keys = AwsCredential {
            key_id,
            secret_key,
            token,
        };
        return Ok(Read {
            region,
            what: Profile::Keys(keys),
        });
    }
    if let (Some(token_file), Some(role_arn)) = (
        all.get("web_identity_token_file"),
        all.get("role_arn").cloned(),
    ) {
        let web = WebIdentity {
            token_file: token_file.into(),
            role_arn,
            session_name: all.get("role_session_name").cloned(),
            sts_endpoint: files.sts_endpoint.clone(),
        };
        return Ok(Read {
            region,
            what: Profile::WebIdentity(web),
        });
    }
    Err(refusal(name, &all))
}

fn refusal(name: &str, all: &Section) -> String {
    let unknown = [
        "sso_session",
        "sso_start_url",
        "credential_process",
        "source_profile",
        "credential_source",
    ];
    match unknown.into_iter().find(|key| all.contains_key(*key)) {
        Some(key) => format!(
            "the profile {name:?} uses {key}, which Cairn does not do; have another program write \
             aws_access_key_id, aws_secret_access_key and aws_session_token to a profile (they are \
             read again when they change), or use s3.credentials = \"web-identity\" or \"instance\""
        ),
        None => format!(
            "the profile {name:?} holds no aws_access_key_id and aws_secret_access_key; write both there"
        ),
    }
}

/// The file's text; `None` where there is no such file.
fn text_of(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("{} cannot be read: {e}", path.display())),
    }
}

/// The lines of one section of a file in AWS' form. In the config file a
/// profile is called `[profile name]`, except for `[default]`.
fn section(text: &str, name: &str, is_config: bool) -> Option<Section> {
    let mut found: Option<Section> = None;
    let mut inside = false;
    for line in text.lines() {
        // Indented lines belong to a nested setting of another service.
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        let line = line.trim_end();
        if let Some(title) = line.strip_prefix('[') {
            let title = title.split(']').next().unwrap_or_default().trim();
            let prefixed = title.strip_prefix("profile ").map(str::trim);
            inside = match is_config {
                true => prefixed == Some(name) || (title == name && name == "default"),
                false => title == name,
            };
            if inside {
                found.get_or_insert_default();
            }
        } else if inside
            && let Some((key, value)) = line.split_once('=')
            && !value.trim().is_empty()
        {
            let section = found.get_or_insert_default();
            section.insert(key.trim().to_ascii_lowercase(), without_comment(value));
        }
    }
    found
}

/// AWS' tools end a value before ` #` and ` ;`.
fn without_comment(value: &str) -> String {
    let end = [" #", " ;", "\t#", "\t;"]
        .into_iter()
        .filter_map(|mark| value.find(mark))
        .min();
    value[..end.unwrap_or(value.len())].trim().to_owned()
}

/// When and how long the files were: what tells that they changed.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// A profile's keys, read again when the files change.
#[derive(Debug)]
pub(super) struct FileCredentials {
    files: ProfileFiles,
    last: Mutex<(Stamp, Arc<AwsCredential>)>,
}

impl FileCredentials {
    /// `keys` were read from `files` just now.
    pub(super) fn new(files: ProfileFiles, keys: AwsCredential) -> Self {
        // A stamp that no file has: the first request reads once more, so that
        // what was written in between is not missed.
        let never = [Some((SystemTime::UNIX_EPOCH, u64::MAX)), None];
        Self {
            files,
            last: Mutex::new((never, Arc::new(keys))),
        }
    }

    fn stamp(&self) -> Stamp {
        [&self.files.credentials_file, &self.files.config_file].map(|path| {
            let meta = std::fs::metadata(path.as_ref()?).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        })
    }
}

#[async_trait]
impl CredentialProvider for FileCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let stamp = self.stamp();
        let mut last = self.last.lock();
        if last.0 == stamp {
            return Ok(Arc::clone(&last.1));
        }
        match read(&self.files) {
            Ok(Read {
                what: Profile::Keys(keys),
                ..
            }) => {
                if keys != *last.1 {
                    tracing::info!(
                        profile = self.files.name,
                        key = keys.key_id,
                        "credentials renewed"
                    );
                }
                *last = (stamp, Arc::new(keys));
            }
            // Half-written, perhaps: what was good before is tried until the
            // files change again.
            Ok(_) => tracing::warn!(
                profile = self.files.name,
                "the profile holds no keys any more"
            ),
            Err(error) => {
                tracing::warn!(profile = self.files.name, %error, "credentials not read again")
            }
        }
        Ok(Arc::clone(&last.1))
    }
}

#[cfg(test)]
mod tests;
