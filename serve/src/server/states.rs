//! States of tables, as each principal is told of them.
//!
//! A state says how many records of the log were in: those of all accounts. Who
//! may read all accounts is told it as it is. Who may not is told it under a
//! seal, which says nothing and can be asked again, here, at every process of the
//! same store, and by everybody else who has it. A state that is not sealed is
//! refused from them: by trying which ones there are already, they could count.
//!
//! The key lies among the control documents, made once by whoever comes first.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_query::{AsOf, At, QueryError, TableVersion};
use cairn_schemas::IdSource;
use cairn_schemas::control::{ControlKind, Principal, SealingKey};
use cairn_schemas::selector::Among;
use cairn_store::control::{ControlError, ControlStore};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use serde_json::{Value, json};

use super::app::Ambient;

/// What a sealed state begins with; no time does.
const SEALED: &str = "sealed:";
/// The id of the key's document.
const STATES: &str = "states";
/// Random bytes of each seal.
const SALT: usize = 16;
/// States are filled up to a multiple of this, for the number of digits of an
/// offset would tell of it.
const FILLED: usize = 128;
/// A sealed state that is longer is none: one partition takes a few dozen bytes.
const LONGEST: usize = 1 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub struct States {
    key: hmac::Key,
    ids: Arc<dyn IdSource>,
}

impl States {
    /// With the key of the store, made if there is none.
    pub async fn open(control: &ControlStore, ambient: &Ambient) -> anyhow::Result<Self> {
        let there = match newest(control).await? {
            Some(there) => there,
            None => {
                let ids = &ambient.ids;
                let new = SealingKey {
                    version: 1,
                    at: ambient.clock.now(),
                    by: "cairn".to_owned(),
                    secret: ids.hex128() + &ids.hex128(),
                };
                match control.put(ControlKind::Key, STATES, 1, &new).await {
                    Ok(()) => new,
                    // Another process that starts at the same time was first.
                    Err(lost @ ControlError::Conflict { .. }) => {
                        newest(control).await?.ok_or(lost)?
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, there.secret.as_bytes()),
            ids: Arc::clone(&ambient.ids),
        })
    }

    /// The states `versions` by table, as `principal` may be told of them.
    /// `asked` is what they asked for: a state that came under a seal is told
    /// under the same one.
    pub fn told(
        &self,
        principal: &Principal,
        asked: Option<&AsOf>,
        versions: &BTreeMap<String, TableVersion>,
    ) -> Value {
        if principal.readable() == Among::All {
            return json!(versions);
        }
        let given = |table: &String| match asked {
            Some(AsOf::Versions(each)) => match each.get(table) {
                Some(At::Sealed { text, .. }) => Some(text.clone()),
                _ => None,
            },
            _ => None,
        };
        let text = |(table, version): (&String, &TableVersion)| {
            let text = given(table).unwrap_or_else(|| self.seal(table, version));
            (table.clone(), Value::String(text))
        };
        Value::Object(versions.iter().map(text).collect())
    }

    /// What `principal` asks for, from the form that the doors' JSON has.
    pub fn asked(&self, principal: &Principal, value: &Value) -> Result<AsOf, QueryError> {
        let Value::Object(tables) = value else {
            return AsOf::from_json(value);
        };
        let all = principal.readable() == Among::All;
        let each = tables.iter().map(|(table, at)| {
            let at = match at {
                Value::String(text) if text.starts_with(SEALED) => {
                    let version = self.open_seal(table, text).ok_or_else(|| not_ours(table))?;
                    let text = text.clone();
                    At::Sealed { text, version }
                }
                Value::Object(_) if !all => return Err(not_sealed(table)),
                other => At::from_json(other)?,
            };
            Ok((table.clone(), at))
        });
        Ok(AsOf::Versions(each.collect::<Result<_, QueryError>>()?))
    }

    fn seal(&self, table: &str, version: &TableVersion) -> String {
        let mut salt = [0; SALT];
        self.ids.fill(&mut salt);
        let mut text = json!(version).to_string().into_bytes();
        // Blanks are nothing to a reader of JSON.
        text.resize(text.len().next_multiple_of(FILLED), b' ');
        let (key, nonce) = self.cipher(&salt);
        key.seal_in_place_append_tag(nonce, Aad::from(table.as_bytes()), &mut text)
            .expect("a state is far below the longest message");
        let whole = [salt.as_slice(), &text].concat();
        format!("{SEALED}{}", URL_SAFE_NO_PAD.encode(whole))
    }

    fn open_seal(&self, table: &str, text: &str) -> Option<TableVersion> {
        let text = text.strip_prefix(SEALED).filter(|t| t.len() <= LONGEST)?;
        let whole = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (salt, sealed) = whole.split_first_chunk::<SALT>()?;
        let (key, nonce) = self.cipher(salt);
        let mut sealed = sealed.to_vec();
        let open = key.open_in_place(nonce, Aad::from(table.as_bytes()), &mut sealed);
        serde_json::from_slice(open.ok()?).ok()
    }

    /// A key for one seal alone, made of its salt: so the nonce may be always
    /// the same, and no count of seals uses a key up.
    fn cipher(&self, salt: &[u8; SALT]) -> (LessSafeKey, Nonce) {
        let own = hmac::sign(&self.key, &[b"cairn state 1".as_slice(), salt].concat());
        let key = UnboundKey::new(&CHACHA20_POLY1305, own.as_ref())
            .expect("the hash is as long as the key");
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        (LessSafeKey::new(key), nonce)
    }
}

async fn newest(control: &ControlStore) -> Result<Option<SealingKey>, ControlError> {
    let versions = control.versions(ControlKind::Key, STATES).await?;
    match versions.last() {
        Some(key) => control.get(key).await.map(Some),
        None => Ok(None),
    }
}

fn not_ours(table: &str) -> QueryError {
    let table: String = table.chars().take(64).collect();
    QueryError::invalid(format!(
        "as_of has a sealed state for {table} that no answer of this Cairn told for it"
    ))
    .with_hint("give it back as it was told, under the name of the same table")
}

fn not_sealed(table: &str) -> QueryError {
    let table: String = table.chars().take(64).collect();
    QueryError::invalid(format!(
        "as_of has a state for {table} that was told to somebody who reads all accounts"
    ))
    .with_hint("ask with what your own answers told, with a time, or with a version's number")
}

#[cfg(test)]
mod tests;
