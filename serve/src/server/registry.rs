//! Who belongs to the organization, and who may do what.
//!
//! Everything is in memory and in control documents; a change is durable in
//! the documents before memory shows it. Changes are made one at a time; of
//! those that several processes make at once, put-if-absent lets one through,
//! and whoever lost has read the winner's before it says so.

mod tokens;

pub use tokens::TokenChange;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cairn_query::Standing;
use cairn_schemas::control::{
    Account, ControlKind, DEFAULT_MANAGEMENT_ACCOUNT, Organization, Principal, Role, Token,
};
use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, Clock, IdSource, TokenId, Withheld};
use cairn_store::control::{ControlError, ControlStore, DocumentKey};
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Why a change of the registry was refused.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It could not be written, or something written is damaged.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// There is no such thing.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// What was asked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// It exists already.
    #[error("there is {what} {id:?} already")]
    Exists {
        /// What was asked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The last administrator's token must stay.
    #[error("this is the last administrator's token; create another one first")]
    LastAdmin,
    /// Cairn's own constant is no account id.
    #[error(transparent)]
    Id(#[from] cairn_schemas::IdError),
}

#[derive(Debug)]
struct Inner {
    organization: Organization,
    accounts: BTreeMap<AccountId, Account>,
    tokens: BTreeMap<TokenId, Token>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Registry {
    control: ControlStore,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    inner: RwLock<Inner>,
    /// Held while a change is written, so that versions do not collide.
    changing: tokio::sync::Mutex<()>,
}

/// The id of the one organization's document.
const ORGANIZATION: &str = "organization";
/// The id of the first administrator's token. It is the same in every store, so
/// that of several processes that begin on an empty one only one makes it.
const FIRST_TOKEN: &str = "0000000000000001";

/// The prefix of every token, so that scanners for leaked secrets know it.
const TOKEN_PREFIX: &str = "cairn_";

async fn newest<T: DeserializeOwned>(
    control: &ControlStore,
    kind: ControlKind,
) -> Result<Vec<T>, ControlError> {
    let all: BTreeMap<String, Vec<T>> = control.load(kind).await?;
    Ok(all
        .into_values()
        .filter_map(|mut versions| versions.pop())
        .collect())
}

/// Writes the first organization, unless another process that starts at the
/// same time was there first: then it is that one's.
async fn found(control: &ControlStore, first: Organization) -> Result<Organization, RegistryError> {
    let put = control.put(ControlKind::Organization, ORGANIZATION, 1, &first);
    match put.await {
        Ok(()) => Ok(first),
        Err(lost @ ControlError::Conflict { .. }) => {
            let there = newest(control, ControlKind::Organization).await?.pop();
            there.ok_or_else(|| lost.into())
        }
        Err(error) => Err(error.into()),
    }
}

impl Registry {
    /// Reads the documents; makes the organization where there is none.
    pub async fn open(
        control: ControlStore,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        name: &str,
        management_account: Option<AccountId>,
    ) -> Result<Self, RegistryError> {
        let organization = match newest(&control, ControlKind::Organization).await?.pop() {
            Some(there) => there,
            None => {
                let management_account = match management_account {
                    Some(account) => account,
                    None => AccountId::new(DEFAULT_MANAGEMENT_ACCOUNT)?,
                };
                let first = Organization {
                    version: 1,
                    at: clock.now(),
                    by: "cairn".to_owned(),
                    name: name.to_owned(),
                    management_account,
                };
                found(&control, first).await?
            }
        };
        let accounts: Vec<Account> = newest(&control, ControlKind::Account).await?;
        let tokens: Vec<Token> = newest(&control, ControlKind::Token).await?;
        let inner = Inner {
            organization,
            accounts: accounts.into_iter().map(|a| (a.id.clone(), a)).collect(),
            tokens: tokens.into_iter().map(|t| (t.id.clone(), t)).collect(),
        };
        let changing = tokio::sync::Mutex::new(());
        Ok(Self {
            control,
            clock,
            ids,
            inner: RwLock::new(inner),
            changing,
        })
    }

    /// The organization now.
    pub fn organization(&self) -> Organization {
        self.inner.read().organization.clone()
    }

    /// Changes the organization's name or management account.
    pub async fn set_organization(
        &self,
        by: &str,
        name: Option<String>,
        management_account: Option<AccountId>,
    ) -> Result<Organization, RegistryError> {
        let _one_at_a_time = self.changing.lock().await;
        let old = self.organization();
        let new = Organization {
            version: old.version + 1,
            at: self.clock.now(),
            by: by.to_owned(),
            name: name.unwrap_or(old.name),
            management_account: management_account.unwrap_or(old.management_account),
        };
        self.put(ControlKind::Organization, ORGANIZATION, new.version, &new)
            .await?;
        self.inner.write().organization = new.clone();
        Ok(new)
    }

    /// Writes a document. If another process wrote that version first, what it
    /// wrote is read before the conflict is told.
    async fn put<T: Serialize + Sync>(
        &self,
        kind: ControlKind,
        id: &str,
        version: u64,
        doc: &T,
    ) -> Result<(), RegistryError> {
        let put = self.control.put(kind, id, version, doc).await;
        if let Err(ControlError::Conflict { .. }) = &put {
            self.catch_up().await;
        }
        Ok(put?)
    }

    async fn catch_up(&self) {
        let learned = match self.control.keys().await {
            Ok(keys) => self.refresh(&keys).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = learned {
            tracing::warn!(error = %error, "others' changes cannot be read");
        }
    }

    /// Takes in what others changed, by the keys of all documents that there
    /// are. Reads only documents that are not known here, and of each the newest.
    pub async fn refresh(&self, keys: &[DocumentKey]) -> Result<(), RegistryError> {
        let newest: BTreeMap<(ControlKind, &str), &DocumentKey> =
            keys.iter().map(|k| ((k.kind, k.id.as_str()), k)).collect();
        let mut failed = None;
        for key in newest.into_values() {
            // One that cannot be read keeps nobody from the others.
            if let Err(error) = self.refresh_one(key).await {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn refresh_one(&self, key: &DocumentKey) -> Result<(), RegistryError> {
        match key.kind {
            ControlKind::Organization => {
                if key.version > self.organization().version {
                    let new: Organization = self.control.get(key).await?;
                    let mut inner = self.inner.write();
                    if new.version > inner.organization.version {
                        inner.organization = new;
                    }
                }
            }
            ControlKind::Account => {
                let id = AccountId::new(&key.id)?;
                let known = self.inner.read().accounts.get(&id).map(|a| a.version);
                if known < Some(key.version) {
                    let new: Account = self.control.get(key).await?;
                    let mut inner = self.inner.write();
                    if inner.accounts.get(&id).map(|a| a.version) < Some(new.version) {
                        inner.accounts.insert(id, new);
                    }
                }
            }
            ControlKind::Token => {
                let id = TokenId::new(&key.id)?;
                let known = self.inner.read().tokens.get(&id).map(|t| t.version);
                if known < Some(key.version) {
                    let new: Token = self.control.get(key).await?;
                    let mut inner = self.inner.write();
                    if inner.tokens.get(&id).map(|t| t.version) < Some(new.version) {
                        inner.tokens.insert(id, new);
                    }
                }
            }
            ControlKind::Trail
            | ControlKind::Topic
            | ControlKind::Acceptance
            | ControlKind::Export
            | ControlKind::SavedQuery
            | ControlKind::Key => {}
        }
        Ok(())
    }

    /// Whether the account has a document.
    pub fn knows(&self, id: &AccountId) -> bool {
        self.inner.read().accounts.contains_key(id)
    }

    /// Every account that is or was a member.
    pub fn accounts(&self) -> Vec<Account> {
        self.inner.read().accounts.values().cloned().collect()
    }

    /// The ids of the accounts that have a document.
    pub fn known_accounts(&self) -> HashSet<AccountId> {
        self.inner.read().accounts.keys().cloned().collect()
    }

    /// Makes `id` a member. A member already is an error unless `found`, which
    /// is how intake adds accounts that it meets.
    pub async fn add_account(
        &self,
        by: &str,
        id: AccountId,
        name: Option<String>,
        found: bool,
    ) -> Result<Account, RegistryError> {
        let _one_at_a_time = self.changing.lock().await;
        let old = self.inner.read().accounts.get(&id).cloned();
        if let Some(old) = &old {
            if found {
                return Ok(old.clone());
            }
            if old.member && name.is_none() {
                return Err(RegistryError::Exists {
                    what: "an account",
                    id: id.to_string(),
                });
            }
        }
        let version = old.as_ref().map_or(0, |a| a.version) + 1;
        let name = name.or_else(|| old.and_then(|a| a.name));
        let put = self.put_account(Account {
            version,
            at: self.clock.now(),
            by: by.to_owned(),
            id: id.clone(),
            name,
            member: true,
        });
        match put.await {
            // Another process met it at the same moment, which is as good.
            Err(RegistryError::Control(ControlError::Conflict { .. })) if found => {
                let there = self.inner.read().accounts.get(&id).cloned();
                there.ok_or_else(|| RegistryError::NotFound {
                    what: "account",
                    id: id.to_string(),
                })
            }
            other => other,
        }
    }

    /// Ends the membership of `id`. Its events stay.
    pub async fn remove_account(&self, by: &str, id: &AccountId) -> Result<Account, RegistryError> {
        let _one_at_a_time = self.changing.lock().await;
        let old = self
            .inner
            .read()
            .accounts
            .get(id)
            .filter(|a| a.member)
            .cloned();
        let old = old.ok_or_else(|| RegistryError::NotFound {
            what: "member account",
            id: id.to_string(),
        })?;
        let (at, by) = (self.clock.now(), by.to_owned());
        self.put_account(Account {
            version: old.version + 1,
            at,
            by,
            member: false,
            ..old
        })
        .await
    }

    async fn put_account(&self, doc: Account) -> Result<Account, RegistryError> {
        self.put(ControlKind::Account, doc.id.as_str(), doc.version, &doc)
            .await?;
        self.inner
            .write()
            .accounts
            .insert(doc.id.clone(), doc.clone());
        Ok(doc)
    }
}

impl Standing for Registry {
    fn holds(&self, principal: &Principal) -> bool {
        let inner = self.inner.read();
        let id = TokenId::new(&principal.id).ok();
        let token = id.and_then(|id| inner.tokens.get(&id));
        let Some(token) = token.filter(|t| !t.revoked && t.role == principal.role) else {
            // The server itself has no token that could be taken from it.
            return *principal == Principal::cairn();
        };
        if !principal.withheld.covers(&token.withhold) {
            return false;
        }
        match (&token.accounts, &principal.accounts) {
            (Among::All, _) => true,
            (Among::Only(_), Among::All) => false,
            (Among::Only(now), Among::Only(then)) => then.is_subset(now),
        }
    }
}

#[cfg(test)]
mod tests;
